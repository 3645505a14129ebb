"""Spans of missing history that the feed has yet to say."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import sqlalchemy as sa

from storage.connections import new_id
from storage.database import Database
from storage.schema import gaps

Reason = Literal["refused", "restored"]


class Gap(NamedTuple):
    """A span, Unix milliseconds, of the connections with `route` (a keyed hash), or of all (None).

    `refused`: the edge answered 503 while its store was away. `restored`: the database came from a
    backup, and what was logged after it is gone.
    """

    id: str
    route: bytes | None
    from_ms: int
    until_ms: int
    reason: Reason


def gap(route: bytes | None, from_ms: int, until_ms: int, reason: Reason) -> Gap:
    """A new gap with an id of its own."""
    return Gap(new_id("gap"), route, from_ms, until_ms, reason)


class Gaps:
    """Stores gaps of one database until a worker has announced them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, found: Sequence[Gap]) -> None:
        """Store; the same gap twice is one."""
        with self._database.write() as connection:
            for row in found:
                known = sa.select(gaps.c.id).where(gaps.c.id == row.id)
                if connection.scalar(known) is None:
                    connection.execute(sa.insert(gaps).values(**row._asdict()))

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
