"""Leases: the one primitive by which a lane, stream, refresh or saga belongs to one worker at a
time.

A lease row has an owner, a fence number that grows with every taking, and an end by the database's
clock. The holder's write transaction checks the fence first, so that a holder who was too slow
cannot overwrite what its successor did.
"""

import secrets
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import LeaseLost
from storage.database import Database, driver_cursor
from storage.schema import leases

LANE: Final = "lane"


class Lease(NamedTuple):
    """A lease that we hold. `mark` is the low-water mark of what it guards; `broken` says that the
    holder before us did not give it back: it crashed, or was too slow.
    """

    kind: str
    key: str
    owner: str
    fence: int
    mark: int
    broken: bool


class Leases:
    """Takes and gives back leases of one database, for one worker."""

    def __init__(self, database: Database, *, seconds: float = 10.0) -> None:
        self._database = database
        self.seconds = seconds
        self._duration_ms = int(seconds * 1000)
        self.owner = secrets.token_hex(8)

    def take(self, kind: str, keys: Collection[str]) -> list[Lease]:
        """Those of `keys` that are free, now ours, sorted by key; others are left to their
        holders.
        """
        clock = self._database.clock_ms()
        free = sa.and_(
            leases.c.kind == kind, leases.c.key.in_(sorted(keys)), leases.c.until_ms <= clock
        )
        with self._database.write() as connection:
            if self._database.is_postgresql:
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            before = sa.select(leases.c.key, leases.c.owner).where(free).order_by(leases.c.key)
            rows = connection.execute(before.with_for_update(skip_locked=True)).all()
            if not rows:
                return []
            broken = {row.key for row in rows if row.owner is not None}
            taken = (
                sa.update(leases)
                .where(leases.c.kind == kind, leases.c.key.in_([row.key for row in rows]))
                .values(
                    owner=self.owner,
                    fence=leases.c.fence + 1,
                    until_ms=clock + self._duration_ms,
                )
                .returning(leases.c.key, leases.c.fence, leases.c.mark)
            )
            return sorted(
                Lease(kind, key, self.owner, fence, mark, key in broken)
                for key, fence, mark in connection.execute(taken)
            )

    def take_new(self, kind: str, key: str) -> Lease | None:
        """The lease of something whose row may not exist yet, or None while another holds it."""
        insert = (postgresql if self._database.is_postgresql else sqlite).insert(leases)
        with self._database.write() as connection:
            connection.execute(insert.values(kind=kind, key=key).on_conflict_do_nothing())
        return next(iter(self.take(kind, [key])), None)

    def remove(self, kind: str, key: str) -> None:
        """Remove the row of a lease that we hold and that nobody will take again."""
        ours = (leases.c.kind == kind, leases.c.key == key, leases.c.owner == self.owner)
        with self._database.write() as connection:
            connection.execute(sa.delete(leases).where(*ours))

    def release(self, held: Sequence[Lease]) -> None:
        """Give back what was not given back with the work's own commit; lost ones are left
        alone.
        """
        if not held:
            return
        with self._database.write() as connection:
            for lease in held:
                ours = [
                    leases.c[name] == getattr(lease, name)
                    for name in ("kind", "key", "owner", "fence")
                ]
                connection.execute(sa.update(leases).where(*ours).values(owner=None, until_ms=0))


_MOVE: Final = """
WITH held AS (
    SELECT * FROM unnest(
        %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::bigint[]
    ) AS lease(kind, key, owner, fence, mark, becomes)
), ours AS MATERIALIZED (
    SELECT kind, key, becomes FROM leases JOIN held USING (kind, key, owner, fence, mark)
    ORDER BY kind, key FOR UPDATE OF leases
)
UPDATE leases SET mark = ours.becomes{} FROM ours
WHERE leases.kind = ours.kind AND leases.key = ours.key
"""
_MOVE_ONE: Final = """
UPDATE leases SET mark = ?{} WHERE kind = ? AND key = ? AND owner = ? AND fence = ? AND mark = ?
"""
_RELEASE: Final = ", until_ms = 0, owner = NULL"


def check_fences(
    connection: sa.Connection, held: Sequence[Lease], marks: Sequence[int], *, release: bool
) -> None:
    """First step of a write transaction: prove that `held` (sorted) is still ours, move its marks
    by compare-and-swap and, with `release`, give it back. Raises `LeaseLost`.
    """
    rows = [(*lease[:5], mark) for lease, mark in zip(held, marks, strict=True)]
    also = _RELEASE if release else ""
    cursor = driver_cursor(connection)
    if connection.dialect.name == "postgresql":  # one round trip: 64 lanes took 64
        cursor.execute(_MOVE.format(also), [list(column) for column in zip(*rows, strict=True)])
    else:
        cursor.executemany(_MOVE_ONE.format(also), [(mark, *lease) for *lease, mark in rows])
    if cursor.rowcount != len(rows):
        raise LeaseLost(f"{held[0].kind} {','.join(lease.key for lease in held)}")
