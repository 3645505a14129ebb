"""What is known of contacts, and when it was asked for: a row and a due row for each."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from storage.database import Database, now_ms
from storage.schema import connection_grants, due, metadata
from storage.sending_schema import threads
from storage.turns import Asked

PROFILE: Final = "profile"
"""The kind of a contact's due row, whose key is the conversation's id: it is there while there is a
reason to ask."""
AGE_S: Final = 30 * 86_400.0
"""What is known of a contact is asked for again when it is so old, and they do something."""

# `id`: that of the conversation with the contact (`threads`). `sealed`: name and picture.
profiles = sa.Table(
    "profiles",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("contact", sa.LargeBinary(16), nullable=False),
    sa.Column("asked_at_ms", sa.BigInteger, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Index("ix_profiles_tenant_contact", "tenant", "contact"),
)


class Contact(NamedTuple):
    """A conversation's contact, as `threads` has it; `asked`: what is known of them."""

    id: str
    connection: str
    contact: bytes
    sealed: bytes
    asked: Asked | None


class Profiles:
    """The profiles of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, id_: str) -> Contact | None:
        """None when the contact was erased."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(threads).where(threads.c.id == id_)).first()
            known = connection.execute(sa.select(profiles).where(profiles.c.id == id_)).first()
        if row is None:
            return None
        asked = Asked(*known) if known is not None else None
        return Contact(row.id, row.connection, row.contact, row.sealed, asked)


def ask(connection: sa.Connection, contacts: Mapping[str, str]) -> None:
    """Within a drain's transaction: these contacts (id → connection) did something. Those of whom
    nothing is known, or only something old, are to be asked for, where there is a grant to ask by:
    jobs that could not ask took two fifths of a drain's speed (9,500 messages/s, 5,700 with them).
    """
    of = connection_grants.c.connection
    carried = {*connection.scalars(sa.select(of).where(of.in_({*contacts.values()})))}
    ids = [id_ for id_, whose in contacts.items() if whose in carried]
    if ids:
        _ask(connection, ids)


def _ask(connection: sa.Connection, ids: Collection[str]) -> None:
    now = now_ms()
    fresh = sa.select(profiles.c.id).where(
        profiles.c.id.in_(ids), profiles.c.asked_at_ms > now - int(AGE_S * 1000)
    )
    wanted = sorted(set(ids) - set(connection.scalars(fresh)))
    if wanted:
        insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(due)
        rows = [{"kind": PROFILE, "key": id_, "due_at_ms": now} for id_ in wanted]
        connection.execute(insert.on_conflict_do_nothing(), rows)


def put(connection: sa.Connection, rows: Sequence[Asked]) -> None:
    """Within the transaction that says what changed."""
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(profiles)
    newer = {"asked_at_ms": insert.excluded.asked_at_ms, "sealed": insert.excluded.sealed}
    values = [
        dict(zip(profiles.c.keys(), row, strict=True)) for row in sorted(rows, key=lambda it: it.id)
    ]
    connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=newer), values)
