"""Spans of missing history that the feed has yet to say."""

import base64
import hashlib
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from storage.database import Database
from storage.schema import gaps

Reason = Literal["refused", "restored", "unsubscribed", "expired"]


class Gap(NamedTuple):
    """A span, Unix milliseconds, of the connections with `route` (a keyed hash), of one
    `connection`, or of all (neither).

    `refused`: the edge answered 503 while its store was away. `restored`: the database came from a
    backup, and what was logged after it is gone. `unsubscribed`: the provider delivered nothing, or
    not all of it, for some of that time. `expired`: it waited for a paused connection longer than
    it is kept.
    """

    id: str
    route: bytes | None
    from_ms: int
    until_ms: int
    reason: Reason
    connection: str | None = None


def gap(
    route: bytes | None,
    from_ms: int,
    until_ms: int,
    reason: Reason,
    connection: str | None = None,
) -> Gap:
    """A gap whose id is the same each time that the same span is told.

    So it is one gap when its storing was repeated because nobody knew whether it had succeeded.
    """
    span = repr((connection or route, from_ms, until_ms, reason)).encode()
    digest = hashlib.blake2b(span, digest_size=12).digest()
    id_ = f"gap_{base64.b32encode(digest).decode().rstrip('=').lower()}"
    return Gap(id_, route, from_ms, until_ms, reason, connection)


class Gaps:
    """Stores gaps of one database until a worker has announced them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, found: Sequence[Gap]) -> None:
        """Store; the same gap twice is one."""
        if found:
            with self._database.write() as connection:
                put(connection, found)

    def announce_all(self, from_ms: int, until_ms: int, reason: Reason) -> None:
        """A gap of every connection."""
        self.add([gap(None, from_ms, until_ms, reason)])

    def waiting(self) -> Sequence[Gap]:
        """Not announced yet."""
        with self._database.read() as connection:
            return [
                Gap(*row) for row in connection.execute(sa.select(gaps).order_by(gaps.c.from_ms))
            ]

    def done(self, gap_id: str) -> None:
        """Forget a gap whose messages are logged."""
        with self._database.write() as connection:
            connection.execute(sa.delete(gaps).where(gaps.c.id == gap_id))


def put(connection: sa.Connection, found: Collection[Gap]) -> None:
    """Within a transaction: store; the same gap twice is one."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = [row._asdict() for row in sorted(set(found), key=lambda row: row.id)]
    if rows:
        connection.execute(dialect.insert(gaps).on_conflict_do_nothing(), rows)
