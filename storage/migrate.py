"""Brings a database to the schema that this build needs, and says which one it has."""

from pathlib import Path

import sqlalchemy as sa

from storage.database import Database
from storage.partitions import ensure_partitions

NEEDED = "0013"
"""The oldest revision that this build works with; `/readyz` asks for it."""
_LOCK = 7_215_001


def upgrade(database: Database) -> None:
    """Run all missing migrations and make the partitions ahead; safe when several start at once."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    with database.write() as connection:
        if database.is_postgresql:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    ensure_partitions(database)


def revision(database: Database) -> str | None:
    """The revision that the database has, or None when it has none. Raises `StoreUnavailable`."""
    with database.read() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return found


def is_ready(database: Database) -> bool:
    """Whether the schema is at least what this build needs; revisions sort by their number."""
    return (revision(database) or "") >= NEEDED
