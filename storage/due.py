"""Due rows: work that comes due by itself, such as refreshing tokens or renewing subscriptions.

A row belongs to one worker at a time: taking it moves its time on by a lease and leaves a random
ticket, and only who has the ticket finishes it. A worker that dies leaves a row that comes due
again when the lease is over; a row that keeps killing its workers is left alone for longer each
time (`DueRows.suspect`). What a search costs depends on what is due, not on what exists.
"""

import random
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import LeaseLost
from storage.database import Database
from storage.schema import due

RECONCILE: Final = "reconcile"
"""The kind of a connection's row, by which it is looked at; its key is the connection's id."""

LEASE_S: Final = 60.0
"""How long a taken row is its taker's: longer than any job on it may take, calls included."""
LANE_TIMES: Final = 6
"""So many times as long as a lane is (`GATEWAY_LEASE_SECONDS`)."""
SUSPECT_TIMES: Final = (2, 4, 60)
"""And so many times longer than that, where the last holder of a row crashed, by how many did so
one after the other: if this one crashes as well, nobody takes the row for so long. A crash for
which the row is not to blame costs little; one that kills each worker kills one an hour in the
end."""
_LONGEST_ERROR: Final = 300


class Taken(NamedTuple):
    """A row that is ours. `due_at_ms` is when it was due (or when the lease of a holder ran out),
    `attempts` how often it failed since it last succeeded, `crashes` how many holders in a row, up
    to now, left it without an end: they crashed, or were too slow.
    """

    kind: str
    key: str
    ticket: int
    due_at_ms: int | None
    attempts: int
    crashes: int


class Standing(NamedTuple):
    """How a row stands: `wait_ms` until its time comes (None: it has none), which for a `taken` one
    is when its holder's lease ends.
    """

    taken: bool
    wait_ms: int | None
    attempts: int
    last_error: str


class DueRows:
    """The due rows of one database."""

    def __init__(self, database: Database, *, seconds: float = LEASE_S) -> None:
        self._database = database
        self._lease_ms = int(seconds * 1000)
        self.seconds = seconds

    def take(self, kinds: Collection[str], limit: int) -> list[Taken]:
        """Up to `limit` rows of `kinds` whose time has come, now ours; of a kind those that have
        been due longest. Which kind comes first is left to chance, so that none is always behind.

        Not worth a wait for the disk: a taking that a crash of the database forgets is refused by
        its ticket.
        """
        taken: list[Taken] = []
        for kind in random.sample(sorted(kinds), len(kinds)):
            if len(taken) < limit:
                taken += self._take(kind, None, limit - len(taken))
        return taken

    def take_now(self, kind: str, key: str) -> Taken | None:
        """One row ahead of its time; None when it is not there, is somebody's, or waits after a
        failure.
        """
        return next(iter(self._take(kind, key, 1)), None)

    def _take(self, kind: str, key: str | None, limit: int) -> Sequence[Taken]:
        which = (_RIPE if key is None else _FREE).format(clock=self._database.clock_ms())
        asked = {"kind": kind, "key": key, "n": limit}
        ticket = secrets.randbits(63)
        if self._database.is_postgresql:
            rows = self._take_at_once(which, asked, ticket)
        else:
            rows = self._take_in_steps(which, asked, ticket)
        return [
            Taken(
                kind,
                row.key,
                ticket,
                row.due_at_ms,
                row.attempts,
                row.crashes + (row.ticket is not None),
            )
            for row in rows
        ]

    def _take_at_once(self, which: str, asked: dict[str, Any], ticket: int) -> Sequence[Any]:
        taking = {"taken": ticket, "lease": self._lease_ms}
        take = sa.text(_TAKE.format(which=which, clock=self._database.clock_ms()))
        with self._database.read() as connection:
            return connection.execute(take, asked | taking).all()

    def _take_in_steps(self, which: str, asked: dict[str, Any], ticket: int) -> Sequence[Any]:
        look = sa.text(_LOOK.format(which=which))
        with self._database.read() as connection:
            if not connection.execute(look, asked).all():
                return []  # without a turn as the writer
        with self._database.write() as connection:
            rows = connection.execute(look, asked).all()
            keys = [row.key for row in rows]
            mine = sa.update(due).where(due.c.kind == asked["kind"], due.c.key.in_(keys))
            until = self._database.clock_ms() + self._lease_ms
            connection.execute(mine.values(ticket=ticket, due_at_ms=until))
            return rows

    def suspect(self, taken: Taken) -> float:
        """Before the job of a row with `crashes`, on disk when it returns: it is begun once more,
        and the row is ours for longer. Returns for how many seconds. Raises `LeaseLost`.
        """
        lease_s = self.seconds * SUSPECT_TIMES[min(taken.crashes, len(SUSPECT_TIMES)) - 1]
        values = {
            "due_at_ms": self._database.clock_ms() + int(lease_s * 1000),
            "crashes": taken.crashes,
            "last_error": f"crashed its worker, or took too long: {taken.crashes} times in a row",
        }
        with self._database.write() as connection:
            _update(connection, taken, values)
        return lease_s

    def give_back(self, taken: Taken, pause_s: float) -> None:
        """Not begun; due again after `pause_s` seconds, as it was. A lost row is left alone."""
        values = {
            "ticket": None,
            "due_at_ms": self._database.clock_ms() + int(pause_s * 1000),
            "crashes": taken.crashes,
        }
        with self._database.write() as connection:
            connection.execute(sa.update(due).where(*_ours(taken)).values(values))

    def standing(self, kind: str, key: str) -> Standing | None:
        """How a row stands now, or None when there is none."""
        wait = due.c.due_at_ms - self._database.clock_ms()
        row = sa.select(due.c.ticket.is_not(None), wait, due.c.attempts, due.c.last_error)
        with self._database.read() as connection:
            found = connection.execute(row.where(due.c.kind == kind, due.c.key == key)).first()
        if found is None:
            return None
        is_taken = bool(found[0]) and found[1] is not None and found[1] > 0
        return Standing(is_taken, *found[1:])

    def schedule(self, kind: str, key: str, due_at_ms: int) -> None:
        """Have a row come due, whether it is there already or not; see `schedule`."""
        with self._database.write() as connection:
            schedule(connection, kind, key, due_at_ms)

    def ask(self, kind: str, key: str, by_ms: int) -> None:
        """Have a row come due by then, without taking it from anybody; see `ask`."""
        self.ask_all(kind, {key: by_ms})

    def ask_all(self, kind: str, times: Mapping[str, int]) -> None:
        """Have many rows come due by then, by key."""
        with self._database.write() as connection:
            for key in sorted(times):
                ask(connection, kind, key, times[key])

    def finish(self, taken: Taken, due_at_ms: int | None) -> None:
        """Done; due again then, or not by itself. Raises `LeaseLost`."""
        with self._database.write() as connection:
            finish(connection, taken, due_at_ms)

    def put_off(self, taken: Taken, pause_s: float, error: str) -> None:
        """Failed; due again after `pause_s` seconds by the database's clock, or when somebody asked
        for it meanwhile. Raises `LeaseLost`.
        """
        values = {
            "ticket": None,
            **_or_asked(self._database.clock_ms() + int(pause_s * 1000)),
            "attempts": taken.attempts + 1,
            "crashes": 0,
            "last_error": error[:_LONGEST_ERROR],
        }
        with self._database.write() as connection:
            _update(connection, taken, values)

    def renew(self, taken: Taken) -> None:
        """The row stays ours for another lease, for a job of several calls. Raises `LeaseLost`."""
        with self._database.write() as connection:
            renew(connection, taken, self._database.clock_ms() + self._lease_ms)

    def remove(self, taken: Taken) -> None:
        """What the row was for is gone; a lost row is left alone."""
        with self._database.write() as connection:
            connection.execute(sa.delete(due).where(*_ours(taken)))


def schedule(connection: sa.Connection, kind: str, key: str, due_at_ms: int) -> None:
    """Within a transaction: have a row come due then. Who is at it just now has lost it, since what
    it knows is older; nobody can tell any more whether it crashed, so it counts as if it had. A row
    that rests after crashes goes on resting, or whoever schedules it often would have it kill one
    worker after the other.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    fresh: dict[str, Any] = {"due_at_ms": due_at_ms, "ticket": None, "again_at_ms": None}
    fresh |= {"attempts": 0, "last_error": ""}
    row = dialect.insert(due).values(kind=kind, key=key, **fresh)
    rests = sa.and_(due.c.crashes > 0, due.c.due_at_ms > due_at_ms)
    again = fresh | {
        "due_at_ms": sa.case((rests, due.c.due_at_ms), else_=due_at_ms),
        "crashes": due.c.crashes + sa.case((due.c.ticket.is_not(None), 1), else_=0),
    }
    connection.execute(row.on_conflict_do_update(index_elements=["kind", "key"], set_=again))


def ask(connection: sa.Connection, kind: str, key: str, by_ms: int) -> None:
    """Within a transaction: have a row come due by then at the latest. Who is at it just now goes
    on, and it comes due again after that: for work that is repeated, and must be seen to be under
    way. A row that rests after crashes goes on resting.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = dialect.insert(due).values(kind=kind, key=key, due_at_ms=by_ms)
    held = due.c.ticket.is_not(None)
    stays = sa.or_(held, due.c.crashes > 0, due.c.due_at_ms <= by_ms)
    sooner = sa.and_(held, sa.func.coalesce(due.c.again_at_ms, by_ms) >= by_ms)
    asked = {
        "due_at_ms": sa.case((stays, due.c.due_at_ms), else_=by_ms),
        "again_at_ms": sa.case((sooner, by_ms), else_=due.c.again_at_ms),
    }
    connection.execute(row.on_conflict_do_update(index_elements=["kind", "key"], set_=asked))


def finish(connection: sa.Connection, taken: Taken, due_at_ms: int | None) -> None:
    """Within a transaction, as its first step: the row is done, and due again then (None: not by
    itself), or when somebody asked for it meanwhile. Raises `LeaseLost`.
    """
    ended = {"ticket": None, "attempts": 0, "crashes": 0, "last_error": ""}
    _update(connection, taken, ended | _or_asked(due_at_ms))


def end(connection: sa.Connection, taken: Taken) -> None:
    """Within a transaction, as its first step: the row is done for good. Raises `LeaseLost`."""
    if connection.execute(sa.delete(due).where(*_ours(taken))).rowcount != 1:
        raise LeaseLost(f"{taken.kind} {taken.key}")


def end_unless_asked(connection: sa.Connection, taken: Taken) -> None:
    """Within a transaction, as its first step: the row is done for good, but for somebody who asked
    for it meanwhile. Raises `LeaseLost`.
    """
    unasked = sa.delete(due).where(*_ours(taken), due.c.again_at_ms.is_(None))
    if connection.execute(unasked).rowcount != 1:
        finish(connection, taken, None)


def pause(connection: sa.Connection, taken: Taken, due_at_ms: int) -> None:
    """Within a transaction, as its first step: not done, and due again then, whoever asked for it
    meanwhile. Raises `LeaseLost`.
    """
    paused = {"ticket": None, "due_at_ms": due_at_ms, "again_at_ms": None, "crashes": 0}
    _update(connection, taken, paused)


def check(connection: sa.Connection, taken: Taken) -> None:
    """Within a transaction, as its first step: the row is still ours, and stays so until the
    commit. Raises `LeaseLost`.
    """
    _update(connection, taken, {"ticket": taken.ticket})


def renew(connection: sa.Connection, taken: Taken, until_ms: sa.ColumnElement[int]) -> None:
    """Within a transaction, as its first step: the row stays ours until then at least, for a job of
    several calls. Raises `LeaseLost`.
    """
    longer = sa.case((due.c.due_at_ms > until_ms, due.c.due_at_ms), else_=until_ms)
    _update(connection, taken, {"due_at_ms": longer})


def _update(connection: sa.Connection, taken: Taken, values: dict[str, Any]) -> None:
    changed = sa.update(due).where(*_ours(taken)).values(values)
    if connection.execute(changed).rowcount != 1:
        raise LeaseLost(f"{taken.kind} {taken.key}")


def _or_asked(due_at_ms: int | sa.ColumnElement[int] | None) -> dict[str, Any]:
    """Due then, or before that when it was asked for while somebody was at it."""
    again = due.c.again_at_ms
    if due_at_ms is None:
        return {"due_at_ms": again, "again_at_ms": None}
    return {
        "due_at_ms": sa.case((again < due_at_ms, again), else_=due_at_ms),
        "again_at_ms": None,
    }


def _ours(taken: Taken) -> list[sa.ColumnElement[bool]]:
    return [due.c[name] == getattr(taken, name) for name in ("kind", "key", "ticket")]


# The clock stands in a subquery of its own, since an index is not searched for what may change from
# row to row.
_RIPE: Final = "kind = :kind AND due_at_ms <= (SELECT {clock}) ORDER BY due_at_ms LIMIT :n"
_FREE: Final = """
kind = :kind AND key = :key
AND ((ticket IS NULL AND attempts = 0 AND crashes = 0) OR due_at_ms <= (SELECT {clock})) LIMIT :n
"""
_LOOK: Final = "SELECT key, ticket, due_at_ms, attempts, crashes FROM due WHERE {which}"
_TAKE: Final = """
WITH quick AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
), ripe AS MATERIALIZED (
    SELECT key, ticket, due_at_ms FROM due WHERE {which} FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE due SET ticket = :taken, due_at_ms = {clock} + :lease
    FROM ripe, quick WHERE due.kind = :kind AND due.key = ripe.key
    RETURNING ripe.key, ripe.ticket, ripe.due_at_ms, due.attempts, due.crashes
)
SELECT * FROM taken ORDER BY due_at_ms
"""
