"""Leases: the one primitive by which a lane, stream, refresh or saga belongs to one worker at a
time.

A lease row has an owner, a fence number that grows with every taking, and an end by the database's
clock. The holder's write transaction checks the fence first, so that a holder who was too slow
cannot overwrite what its successor did.
"""

import secrets
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

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

        Not worth a wait for the disk: a taking that a crash of the database forgets is refused by
        its fence.
        """
        if self._database.is_postgresql:
            taken = self._take_at_once(kind, sorted(keys))
        else:
            taken = self._take_in_steps(kind, sorted(keys))
        return sorted(Lease(kind, key, self.owner, *rest) for key, *rest in taken)

    def _take_at_once(self, kind: str, keys: list[str]) -> Sequence[Any]:
        """One round trip instead of five: a quiet turn is mostly round trips."""
        values = {"kind": kind, "keys": keys, "owner": self.owner, "ms": self._duration_ms}
        statement = _TAKE.format(clock=self._database.clock_ms())
        with self._database.read() as connection:
            rows: Sequence[Any] = driver_cursor(connection).execute(statement, values).fetchall()
            return rows

    def _take_in_steps(self, kind: str, keys: list[str]) -> Sequence[Any]:
        clock = self._database.clock_ms()
        free = sa.and_(leases.c.kind == kind, leases.c.key.in_(keys), leases.c.until_ms <= clock)
        with self._database.write() as connection:
            rows = connection.execute(sa.select(leases.c.key, leases.c.owner).where(free)).all()
            owners = {row.key: row.owner for row in rows}
            taken = (
                sa.update(leases)
                .where(leases.c.kind == kind, leases.c.key.in_(list(owners)))
                .values(
                    owner=self.owner,
                    fence=leases.c.fence + 1,
                    until_ms=clock + self._duration_ms,
                )
                .returning(leases.c.key, leases.c.fence, leases.c.mark)
            )
            return [(*row, owners[row.key] is not None) for row in connection.execute(taken)]

    def take_new(self, kind: str, key: str) -> Lease | None:
        """The lease of something whose row may not exist yet, or None while another holds it."""
        insert = (postgresql if self._database.is_postgresql else sqlite).insert(leases)
        with self._database.write() as connection:
            connection.execute(insert.values(kind=kind, key=key).on_conflict_do_nothing())
        return next(iter(self.take(kind, [key])), None)

    def extend(self, lease: Lease) -> None:
        """Hold `lease` for another full time. Raises `LeaseLost`."""
        until = self._database.clock_ms() + self._duration_ms
        with self._database.write() as connection:
            longer = sa.update(leases).where(*_ours(lease)).values(until_ms=until)
            if connection.execute(longer).rowcount != 1:
                raise LeaseLost(f"{lease.kind} {lease.key}")

    def remove(self, lease: Lease) -> None:
        """Remove the row of a lease that nobody will take again; a lost one is left alone."""
        with self._database.write() as connection:
            connection.execute(sa.delete(leases).where(*_ours(lease)))

    def release(self, held: Sequence[Lease], *, broken: bool = False) -> None:
        """Give back what was not given back with the work's own commit; lost ones are left alone.

        With `broken` the next holder is told so, as after a crash.
        """
        owner = leases.c.owner if broken else None
        if held:
            with self._database.write() as connection:
                for lease in held:
                    freed = sa.update(leases).where(*_ours(lease)).values(owner=owner, until_ms=0)
                    connection.execute(freed)


def _ours(lease: Lease) -> list[sa.ColumnElement[bool]]:
    return [leases.c[name] == getattr(lease, name) for name in ("kind", "key", "owner", "fence")]


_TAKE: Final = """
WITH quick AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
), free AS MATERIALIZED (
    SELECT key, owner FROM leases, quick
    WHERE kind = %(kind)s AND key = ANY(%(keys)b::text[]) AND until_ms <= {clock}
    ORDER BY key FOR UPDATE OF leases SKIP LOCKED
)
UPDATE leases SET owner = %(owner)s, fence = fence + 1, until_ms = {clock} + %(ms)s
FROM free WHERE leases.kind = %(kind)s AND leases.key = free.key
RETURNING leases.key, leases.fence, leases.mark, free.owner IS NOT NULL
"""
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


def move_marks(
    connection: sa.Connection, held: Sequence[Lease], marks: Sequence[int], *, release: bool
) -> Any:
    """First step of a write transaction: move the marks of `held` (sorted) by compare-and-swap and,
    with `release`, give it back. The driver's cursor is for `check_fences`.
    """
    rows = [(*lease[:5], mark) for lease, mark in zip(held, marks, strict=True)]
    also = _RELEASE if release else ""
    cursor = driver_cursor(connection)
    if connection.dialect.name == "postgresql":
        cursor.execute(_MOVE.format(also), [list(column) for column in zip(*rows, strict=True)])
    else:
        cursor.executemany(_MOVE_ONE.format(also), [(mark, *lease) for *lease, mark in rows])
    return cursor


def check_fences(held: Sequence[Lease], moved: Any) -> None:
    """Prove that `held` was still ours when `move_marks` moved it. Raises `LeaseLost`."""
    if moved.rowcount != len(held):
        raise LeaseLost(f"{held[0].kind} {','.join(lease.key for lease in held)}")
