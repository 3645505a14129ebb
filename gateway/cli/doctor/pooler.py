"""The pooler before the main database, where there is one."""

from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from contracts.errors import Unavailable
from gateway.cli.doctor.finding import Finding, fault, ok, warn
from gateway.cli.parts import Parts
from storage.database import Database
from storage.pooler import direct_database

_WHICH: Final = sa.text("SELECT current_database(), pg_postmaster_start_time()")
_TIMEOUTS: Final = ("statement_timeout", "idle_in_transaction_session_timeout")


def passed(built: Parts) -> Iterator[Finding]:
    """Whether the direct address leads to the same database, and who sets time-outs there."""
    if not built.settings.has_pooler:
        yield ok("pooler", "none")
        return
    direct = direct_database(built.settings, built.any_database)
    try:
        same = _row(direct, _WHICH) == _row(built.any_database, _WHICH)
    except Unavailable as error:
        yield fault("pooler", f"GATEWAY_DATABASE_LISTEN_URL: {error}", "nothing can be stored")
        return
    finally:
        direct.close()
    if not same:
        text = "GATEWAY_DATABASE_LISTEN_URL leads to another database"
        yield fault("pooler", text, "what is stored there is never read")
        return
    unset = [
        name for name in _TIMEOUTS if _row(built.any_database, sa.text(f"SHOW {name}")) == ("0",)
    ]
    if unset:
        yield warn(
            "pooler", f"{' and '.join(unset)} not set", "ALTER ROLE … SET: see operations.md"
        )
    else:
        yield ok("pooler", "the direct address leads to the same database")


def _row(database: Database, query: sa.TextClause) -> tuple[object, ...]:
    with database.read() as connection:
        return tuple(connection.execute(query).one())
