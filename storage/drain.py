"""What a drain reads, and the one transaction in which it writes.

The transaction's order is always the same, so that drains, syncs, replays, erasures and revocations
cannot deadlock: fence, connections, sends, conversations, deduplication keys (each sorted), inbox,
position lock, log, commit.
"""

import os
import random
import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from contracts.causes import PAUSED
from contracts.errors import Overtaken
from storage import drain_sql, lookups, profiles, undrained
from storage.database import Database, now_ms, one_trip
from storage.leases import LANE, Lease, check_fences, move_marks
from storage.media import arrive
from storage.schema import (
    attempts,
    deferred,
    inbox,
    leases,
    parked,
    run_keys,
    unrouted,
)
from storage.settling import settle, tell_later
from storage.signals import look_at
from storage.turns import (
    RECEIVING,
    TAKING,
    Append,
    Asked,
    Deferred,
    NewMedia,
    PutOff,
    StoredItem,
    Thread,
    Turn,
    Written,
)


class DrainStore:
    """Reads the inbox by lanes and writes turns, on either database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = drain_sql.for_dialect(database.is_postgresql)

    def waiting(self, lanes: Sequence[Lease], each: int) -> list[StoredItem]:
        """Up to `each` items of every lane behind its mark, in order of id within a lane."""
        with self._database.read() as connection:
            rows = self._sql.waiting(connection, [(int(x.key), x.mark) for x in lanes], each)
            return [StoredItem(*row) for row in rows]

    def deferred(self, lanes: Collection[int], each: int, limit: int) -> PutOff:
        """Up to `each` items of every account that was put off, oldest first, about `limit` in all.

        Which accounts come first is left to chance, so that none is always behind.
        """
        found: list[tuple[Deferred, StoredItem]] = []
        behind: set[bytes] = set()
        with self._database.read() as connection:
            accounts = _deferred_routes(connection, lanes)
            random.shuffle(accounts)
            for lane, route in accounts:
                if len(found) >= limit:
                    behind.add(route)
                    continue
                rows = connection.execute(_OF_ROUTE, {"l": lane, "r": route, "n": each}).all()
                found.extend((Deferred(*row[:4]), StoredItem(*row[4:])) for row in rows)
                if len(rows) == each:
                    behind.add(route)
        return PutOff(found, behind)

    def run_key(self, key: bytes) -> tuple[int, bytes] | None:
        """Day and wrapped bytes of a run key, or None when it was removed with its day."""
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(run_keys.c.day, run_keys.c.wrapped).where(run_keys.c.id == key)
            ).first()
        return (row.day, row.wrapped) if row else None

    def overdue_lanes(self) -> list[int]:
        """Lanes that have something to drain which nobody holds."""
        free = leases.c.until_ms <= self._database.clock_ms()
        with self._database.read() as connection:
            return [int(key) for key in connection.scalars(self._undrained(free))]

    def has_waiting(self, lanes: Collection[int]) -> list[str]:
        """Those of `lanes` that have something to drain, as lease keys, whoever holds them."""
        of_these = leases.c.key.in_([str(lane) for lane in lanes])
        with self._database.read() as connection:
            return list(connection.scalars(self._undrained(of_these)))

    def catch_up(self) -> None:
        """SQLite: move the marks of drained lanes to the inbox's end, so that nobody looks through
        what lies between. Ids grow, so what comes meanwhile stands behind the new mark.
        """
        if self._database.is_postgresql:
            return
        with self._database.read() as connection:
            behind = connection.execute(undrained.left_behind(self._database.clock_ms())).all()
        if behind:
            free = leases.c.until_ms <= self._database.clock_ms()
            with self._database.write() as connection:
                connection.execute(_CATCH_UP.where(free), [row._asdict() for row in behind])

    def _undrained(self, *those: sa.ColumnElement[bool]) -> sa.Select[Any]:
        return undrained.lanes(self._database.is_postgresql, *those)

    def count_attempt(self, item: int) -> int:
        """Commit that `item` is about to be tried; returns how often it has been by now."""
        with self._database.write() as connection:
            values = {"item": item, "at_ms": now_ms()}
            return int(connection.execute(_COUNT_ATTEMPT, values).scalar_one())

    def forget_attempt(self, item: int) -> None:
        """The attempt did not end its process after all: take it back."""
        with self._database.write() as connection:
            connection.execute(sa.delete(attempts).where(attempts.c.item == item))

    def write(self, turn: Turn) -> Written:
        """Commit a turn. Raises `LeaseLost` (nothing is written then) and `StoreUnavailable`."""
        with self._database.write() as connection:
            tell_later(connection, turn.settled)
            if turn.first is not None:
                turn.first(connection)
            look_at(connection, turn.named, turn.looks)
            wanted = self._guarded(connection, turn)
            settle(connection, turn.settled)
            if wanted.threads:
                self._sql.put_threads(connection, wanted.threads)
            if asks := {row.id: row.connection for row in wanted.threads if row.ask}:
                profiles.ask(connection, asks)
            if wanted.asked:
                profiles.put(connection, wanted.asked)
            fresh = self._fresh(connection, wanted.appends)
            if turn.media:
                _arrive(connection, turn.media, fresh)
            self._move_items(connection, wanted)
            if fresh:
                self._sql.append(connection, fresh, _tags(len(fresh)), now_ms())
        refused = len(turn.appends) - len(wanted.appends)
        duplicate = len(wanted.appends) - len(fresh)
        return Written(len(fresh), duplicate, refused, tuple(wanted.threads))

    def _guarded(self, connection: sa.Connection, turn: Turn) -> Turn:
        """Without what was revoked or erased since it was computed; holds both off until the
        commit, and pausing and resuming too. Raises `LeaseLost`.
        """
        about: list[Append | Asked] = [*turn.appends, *(row.append for row in turn.lookups)]
        about += turn.asked
        ids = sorted({row.connection for row in (*about, *turn.parks)})
        whom = sorted({(row.tenant, row.contact) for row in about if row.contact is not None})
        with one_trip(connection):
            if turn.leases:
                moved = move_marks(connection, turn.leases, turn.marks, release=turn.release)
            shared = self._sql.share_connections(connection, ids) if ids else ()
            erased = self._sql.erased(connection, whom) if whom else ()
        # all is read before anything raises: a cursor left open holds an old snapshot of SQLite's
        statuses: dict[str, str] = dict(map(tuple, shared))
        when = {(tenant, who): at for tenant, who, at in erased}
        if turn.leases:
            check_fences(turn.leases, moved)
        _check_pauses(turn, statuses)
        return _still_wanted(turn, statuses, when)

    def _fresh(self, connection: sa.Connection, appends: Sequence[Append]) -> list[Append]:
        """Those not logged before: the first of each key within the batch, in the batch's order."""
        first: dict[tuple[int, bytes], Append] = {}
        for append in appends:
            first.setdefault((append.day, append.hash), append)
        if not first:
            return []
        new = self._sql.claim_keys(connection, sorted(first), now_ms())
        return [append for key, append in first.items() if key in new]

    def _move_items(self, connection: sa.Connection, turn: Turn) -> None:
        if turn.resume:
            connection.execute(_RESUME, [row._asdict() for row in turn.resume])
        if turn.defer:
            connection.execute(sa.insert(deferred), [row._asdict() for row in turn.defer])
        if turn.routed:
            connection.execute(sa.delete(unrouted).where(unrouted.c.item.in_(turn.routed)))
        if turn.strand:
            self._sql.insert_new(connection, unrouted, [row._asdict() for row in turn.strand])
        if turn.unparked:
            connection.execute(sa.delete(parked).where(parked.c.id.in_(turn.unparked)))
        if turn.parks:
            at = {"parked_at_ms": now_ms()}
            self._sql.insert_new(connection, parked, [row._asdict() | at for row in turn.parks])
        if turn.lookups:
            lookups.keep(connection, turn.lookups, self._sql.insert_new)
        if turn.completed:
            lookups.remove(connection, turn.completed)
        if turn.tried:
            connection.execute(sa.delete(attempts).where(attempts.c.item.in_(turn.tried)))


_CATCH_UP: Final = (
    sa.update(leases)
    .where(leases.c.kind == LANE, leases.c.key == sa.bindparam("lane"))
    .where(leases.c.mark == sa.bindparam("from"))
    .values(mark=sa.bindparam("newest"))
)

_COUNT_ATTEMPT: Final = sa.text(
    """
    INSERT INTO attempts (item, count, at_ms) VALUES (:item, 1, :at_ms)
    ON CONFLICT (item) DO UPDATE SET count = attempts.count + 1, at_ms = excluded.at_ms
    RETURNING count
    """
)

_OF_ROUTE: Final = (
    sa.select(deferred, *(inbox.c[name] for name in StoredItem._fields))
    .join(
        inbox,
        sa.and_(
            inbox.c.lane == deferred.c.lane,
            inbox.c.id == deferred.c.item,
            inbox.c.day == deferred.c.day,
        ),
    )
    .where(deferred.c.lane == sa.bindparam("l"), deferred.c.route == sa.bindparam("r"))
    .order_by(deferred.c.item)
    .limit(sa.bindparam("n"))
)


def _check_pauses(turn: Turn, statuses: Mapping[str, str]) -> None:
    """Raises `Overtaken` when a connection was paused, or resumed, since the turn was computed:
    computed anew, its items wait, or follow those that waited.
    """
    paused = {id_ for id_, status in statuses.items() if status == PAUSED}
    appends = [*turn.appends, *(row.append for row in turn.lookups)] if paused else []
    if PAUSED not in turn.statuses and any(append.connection in paused for append in appends):
        raise Overtaken("a connection was paused meanwhile")
    waits = {park.connection for park in turn.parks if park.reason == PAUSED}
    if any(statuses.get(id_) in RECEIVING for id_ in waits):
        raise Overtaken("a connection was resumed meanwhile")


def _arrive(connection: sa.Connection, found: Sequence[NewMedia], fresh: Sequence[Append]) -> None:
    """Media of messages that are new."""
    new = {(append.day, append.hash) for append in fresh}
    if rows := [one for one in found if one.message in new]:
        arrive(connection, rows)


def _still_wanted(
    turn: Turn, statuses: Mapping[str, str], erased: Mapping[tuple[str, bytes], int]
) -> Turn:
    live = {id_ for id_, status in statuses.items() if status in turn.statuses}
    keeps = {id_ for id_, status in statuses.items() if status in TAKING}

    def wanted(row: Append | Thread | Asked) -> bool:
        if row.connection not in live:
            return False
        return not erased or row.at_ms > erased.get((row.tenant, row.contact or b""), -1 << 62)

    threads = {row.id: row for row in sorted(filter(wanted, turn.threads), key=_by_action)}
    return turn._replace(
        appends=[row for row in turn.appends if wanted(row)],
        parks=[row for row in turn.parks if row.connection in keeps],
        lookups=[row for row in turn.lookups if wanted(row.append)],
        asked=[row for row in turn.asked if wanted(row)],
        threads=[threads[id_] for id_ in sorted(threads)],
    )


def _by_action(row: Thread) -> int:
    """Of rows of one conversation the last one stays: that of the latest action."""
    return row.acted_at_ms


_RESUME: Final = sa.delete(deferred).where(
    deferred.c.lane == sa.bindparam("lane"),
    deferred.c.route == sa.bindparam("route"),
    deferred.c.item == sa.bindparam("item"),
)


def _deferred_routes(connection: sa.Connection, lanes: Collection[int]) -> list[tuple[int, bytes]]:
    """Accounts with deferred items, found by skipping through the index: a flood's rows are not
    read.
    """
    found: list[tuple[int, bytes]] = []
    column = deferred.c.route
    for lane in connection.scalars(
        sa.select(deferred.c.lane).where(deferred.c.lane.in_(lanes)).distinct()
    ).all():
        routes = sa.select(column).where(deferred.c.lane == lane).order_by(column).limit(1)
        route = connection.scalar(routes)
        while route is not None:
            found.append((lane, route))
            route = connection.scalar(routes.where(column > route))
    return found


def _tags(count: int) -> tuple[Any, ...]:
    """`count` random 64-bit tags."""
    return struct.unpack(f">{count}q", os.urandom(8 * count))
