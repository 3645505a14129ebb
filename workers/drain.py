"""Drains lanes: inbox items in order → normalised messages in the log, one transaction a turn."""

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

import structlog

from contracts.connector import Item
from contracts.errors import LeaseLost, Unavailable
from storage.drain import DrainStore
from storage.leases import LANE, Lease, Leases
from storage.turns import Deferred, StoredItem, Turn
from token_vault import Vault
from workers.fair import share
from workers.normalizing import Outcome
from workers.opening import FINAL, ItemOpener
from workers.routing import Opened, Router

log = structlog.get_logger()

BATCH_ROWS: Final = 500
ACCOUNT_ROWS: Final = 100
LANES_AT_ONCE: Final = 64
TURNS: Final = 20
MAX_ATTEMPTS: Final = 3
UNREADABLE_ROUTE: Final = bytes(16)
"""Route of unrouted items that can never be opened."""


class Tally(NamedTuple):
    """What a drain did."""

    items: int = 0
    added: int = 0
    duplicate: int = 0
    parked: int = 0
    unrouted: int = 0

    def plus(self, other: "Tally") -> "Tally":
        return Tally(*(a + b for a, b in zip(self, other, strict=True)))


class Planned(NamedTuple):
    """A turn's reading: what to normalise in order, and how the lanes stand afterwards."""

    work: list[Opened]
    marks: list[int]
    defer: list[Deferred]
    resume: list[Deferred]
    has_more: bool


class Drainer:
    """Drains lanes of one database, for one worker process. Safe to share between threads."""

    def __init__(
        self,
        store: DrainStore,
        leases: Leases,
        vault: Vault,
        router: Router,
    ) -> None:
        self._store = store
        self._leases = leases
        self._vault = vault
        self._router = router
        self._opener = ItemOpener(store, vault)
        self._stopping = threading.Event()

    def drain(self, lanes: Collection[int]) -> Tally:
        """Drain `lanes` until they are empty or had their turns; lanes that others hold are theirs.

        Raises `Unavailable` when the store or a key is away: nothing is lost, the lanes stay
        overdue.
        """
        tally = Tally()
        waiting = sorted({str(lane) for lane in lanes})
        for first in range(0, len(waiting), LANES_AT_ONCE):
            keys: Collection[str] = waiting[first : first + LANES_AT_ONCE]
            for _ in range(TURNS):
                if not keys or self._stopping.is_set():
                    break
                done, keys = self._take_and_drain(keys)
                tally = tally.plus(done)
        return tally

    def stop(self) -> None:
        """End each `drain` after the turn that it is at; what is left stays overdue."""
        self._stopping.set()

    def _take_and_drain(self, keys: Collection[str]) -> tuple[Tally, Collection[str]]:
        """One holding of lanes; returns those that have something to drain again already.

        Of lanes whose last holder crashed only one is looked after, since that is slow; the others
        are given back as they were, for other workers or for the next holding.
        """
        held = self._leases.take(LANE, keys)
        if not held:
            return Tally(), ()
        sound = [lease for lease in held if not lease.broken]
        broken = [lease for lease in held if lease.broken]
        try:
            self._leases.release(broken[1:], broken=True)
            tally = self._drain_together(sound) if sound else Tally()
            if broken:
                tally = tally.plus(self._drain_carefully(broken[0]))
        except LeaseLost:
            log.warning("drain.lease_lost", lanes=len(held))
            self._give_back(sound, broken)
            return Tally(), ()
        except BaseException:
            self._give_back(sound, broken)
            raise
        return tally, self._overdue(held)

    def _drain_together(self, held: Sequence[Lease]) -> Tally:
        """Turns over all `held` lanes at once; the last one gives them back."""
        tally = Tally()
        until = time.monotonic() + self._leases.seconds / 2
        while True:
            plan = self._plan(held)
            is_last = not plan.has_more or time.monotonic() > until or self._stopping.is_set()
            done = self.write(
                plan.work,
                Turn(
                    leases=held,
                    marks=plan.marks,
                    release=is_last,
                    defer=plan.defer,
                    resume=plan.resume,
                ),
            )
            tally = tally.plus(done)
            if is_last:
                return tally
            held = [x._replace(mark=mark) for x, mark in zip(held, plan.marks, strict=True)]

    def _drain_carefully(self, lease: Lease) -> Tally:
        """After a crash: one item a transaction, each attempt committed before it is made, so that
        an item that kills its process is found and parked.

        Covers what the crashed turn can have read. When half the lease's time is not enough, the
        next holder goes on as carefully.
        """
        self._leases.extend(lease)
        tally = Tally()
        until = time.monotonic() + self._leases.seconds / 2
        put_off = self._store.deferred({int(lease.key)}, ACCOUNT_ROWS, BATCH_ROWS)
        steps = [(stored, [row]) for row, stored in put_off.items]
        if not steps:  # newer items come after all that was put off
            steps = [(stored, []) for stored in self._store.waiting([lease], BATCH_ROWS)]
        for stored, resume in steps:
            if time.monotonic() > until or self._stopping.is_set():
                self._leases.release([lease], broken=True)
                return tally
            mark = lease.mark if resume else stored.id
            tally = tally.plus(self._try_one(stored, Turn([lease], [mark], resume=resume)))
            lease = lease._replace(mark=mark)
        self._leases.release([lease], broken=bool(put_off.behind))
        return tally

    def _try_one(self, stored: StoredItem, turn: Turn) -> Tally:
        attempt = self._store.count_attempt(stored.id)
        turn = turn._replace(tried=[stored.id])
        reason = None if attempt <= MAX_ATTEMPTS else "killed-its-worker"
        try:
            if reason:
                log.error("drain.item_kills", item=stored.id, attempts=attempt)
            return self.write([self.open(stored)], turn, park_reason=reason)
        except (LeaseLost, Unavailable):
            self._store.forget_attempt(stored.id)
            raise

    def _plan(self, held: Sequence[Lease]) -> Planned:
        window = max(16, BATCH_ROWS // len(held))
        put_off = self._store.deferred({int(x.key) for x in held}, ACCOUNT_ROWS, BATCH_ROWS)
        used = Counter(row.route for row, _ in put_off.items)
        plan = Planned([], [], [], [row for row, _ in put_off.items], False)
        plan.work.extend(self.open(stored) for _, stored in put_off.items)
        by_lane: dict[int, list[StoredItem]] = {}
        for stored in self._store.waiting(held, window):
            by_lane.setdefault(stored.lane, []).append(stored)
        more = bool(put_off.behind)
        for lease in held:
            opened = [self.open(stored) for stored in by_lane.get(int(lease.key), ())]
            is_full = len(opened) >= window
            routes = [x.route for x in opened]
            portion = share(routes, ACCOUNT_ROWS, used=used, held=put_off.behind, is_full=is_full)
            plan.work.extend(opened[i] for i in portion.take)
            plan.defer.extend(_deferred(opened[i]) for i in portion.defer)
            plan.marks.append(opened[portion.end - 1].stored.id if portion.end else lease.mark)
            more = more or is_full or portion.end < len(opened) or bool(portion.defer)
        return plan._replace(has_more=more)

    def open(self, stored: StoredItem) -> Opened:
        """Open an item; one that never opens again has no content. Raises `Unavailable`."""
        try:
            item = self._opener.open(stored)
        except FINAL as error:
            log.error("drain.item_unreadable", item=stored.id, reason=error.reason)
            return Opened(stored, None, UNREADABLE_ROUTE)
        return Opened(stored, item, self._route(item))

    def _route(self, item: Item) -> bytes:
        return self._vault.deployment().hash("route", item.provider, item.route)

    def matched(self, outcome: Outcome) -> Outcome:
        """See `Matching.matched`: of what is read again apart from the lanes."""
        return self._router.matched(outcome)

    def write(
        self,
        work: Sequence[Opened],
        turn: Turn,
        *,
        park_reason: str | None = None,
        late: bool = False,
    ) -> Tally:
        """Normalise `work` for every connection that may have it, and commit all with `turn`.

        With `park_reason` nothing is normalised: every connection's item is parked for it. Raises
        `LeaseLost` and `Unavailable`; nothing is written then.
        """
        if park_reason is None:
            routed = self._router.route(work, late=late)
        else:
            routed = self._router.park(work, park_reason)
        written = self._store.write(turn._replace(**routed._asdict()))
        self._router.wrote(written)
        parked, unrouted = len(routed.parks), len(routed.strand)
        return Tally(len(work), written.added, written.duplicate, parked, unrouted)

    def _overdue(self, held: Iterable[Lease]) -> Collection[str]:
        """Look again after giving the lanes back: an item whose nudge found them taken is seen
        here.
        """
        return self._store.has_waiting([int(lease.key) for lease in held])

    def _give_back(self, sound: Sequence[Lease], broken: Sequence[Lease]) -> None:
        """After an error: what is still ours, to whoever comes next."""
        try:
            self._leases.release(sound)
            self._leases.release(broken, broken=True)
        except Unavailable:
            log.warning("drain.release_failed", lanes=len(sound) + len(broken))


def _deferred(opened: Opened) -> Deferred:
    stored = opened.stored
    return Deferred(stored.lane, opened.route, stored.id, stored.day)
