"""Messages that wait to be completed by a call to their provider, each with a due row of its own.

A row is written in the drain's transaction and goes with the one that logs its message.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from storage.database import Database, now_ms
from storage.message_id import pack
from storage.schema import due, metadata
from storage.turns import Append, Lookup

LOOKUP: Final = "lookup"
"""The kind of a lookup's due row; its key is the message's id."""

# As in `messages`, of a message that is not logged yet: it is sealed as it came, and logged so when
# `until_ms` is over. `id`: the message's.
lookups = sa.Table(
    "lookups",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False, index=True),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("hash", sa.LargeBinary(16), nullable=False),
    sa.Column("contact", sa.LargeBinary(16)),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)

InsertNew = Callable[[sa.Connection, sa.Table, list[dict[str, Any]]], None]


class Waiting(NamedTuple):
    """A lookup with its id."""

    id: str
    append: Append
    until_ms: int


class Lookups:
    """The lookups of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, id_: str) -> Waiting | None:
        """None for one that was erased."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(lookups).where(lookups.c.id == id_)).first()
        if row is None:
            return None
        append = Append(*(getattr(row, name) for name in Append._fields))
        return Waiting(row.id, append, row.until_ms)


def keep(connection: sa.Connection, rows: Sequence[Lookup], insert_new: InsertNew) -> None:
    """Within a drain's transaction: have them looked up, those that do not wait already."""
    named = sorted({pack(row.append.day, row.append.hash): row for row in rows}.items())
    values = [{"id": id_, **row.append._asdict(), "until_ms": row.until_ms} for id_, row in named]
    insert_new(connection, lookups, values)
    at_once = now_ms()
    jobs = [{"kind": LOOKUP, "key": id_, "due_at_ms": at_once} for id_, _ in named]
    insert_new(connection, due, jobs)


def remove(connection: sa.Connection, ids: Collection[str]) -> None:
    """Within the transaction that logs their messages."""
    connection.execute(sa.delete(lookups).where(lookups.c.id.in_(ids)))


def of_connection(connection: sa.Connection, connection_id: str) -> Sequence[str]:
    """Within a transaction: the ids of what waits to be looked up for a connection, in order."""
    its = sa.select(lookups.c.id).where(lookups.c.connection == connection_id)
    return connection.scalars(its.order_by(lookups.c.id)).all()
