"""The write transaction's one order: no deadlock whatever runs at once, and nothing revived."""

import contextlib
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
import sqlalchemy as sa

from contracts.errors import Conflict, LeaseLost, StoreUnavailable
from storage import drain_sql
from storage.connections import Connections, Grant
from storage.database import Database, now_ms
from storage.drain import DrainStore
from storage.drain_sql import Key
from storage.due import DueRows
from storage.erasing import Erasing
from storage.expiry import drop_dedupe
from storage.gaps import Gaps, gap
from storage.grants import RECONCILE, REFRESH, Grants, Outcome, Renewal, Turned
from storage.inspections import Allowed, Inspection, Seen
from storage.leases import LANE, Lease, Leases
from storage.partitions import ensure_partitions, today
from storage.pausing import PAUSE, Batch, Lifted, Pauses, Said
from storage.schema import messages
from storage.turns import Append, Deferred, Park, Turn, Unrouted
from tests.storage.rows import add_connection, append, count, digest

TRANSACTIONS: Final = int(os.environ.get("GATEWAY_TEST_TRANSACTIONS", "2000"))
THREADS: Final = 8
KEYS: Final = 60
CONNECTIONS: Final = {f"con_{n}": f"tenant_{n % 3}" for n in range(8)}
CONTACTS: Final = [digest("contact", n) for n in range(6)]
LANES: Final = range(4)


class Unsorted(drain_sql.Postgresql):
    """Claims keys in any order: what the rule forbids."""

    def claim_keys(
        self, connection: sa.Connection, keys: Sequence[Key], at_ms: int
    ) -> Collection[Key]:
        """As the real one, in two steps and out of order."""
        mixed = random.sample(list(keys), len(keys))
        return {
            key
            for one in mixed
            for key in super(Unsorted, self).claim_keys(connection, [one], at_ms)
        }


class Traffic:
    """Everything that writes to the log and to connections, at random, over the same few rows."""

    def __init__(self, database: Database, sql: drain_sql.DrainSql | None = None) -> None:
        self._database = database
        self._store = DrainStore(database)
        if sql is not None:
            self._store._sql = sql
        self._connections, self._erasing = Connections(database), Erasing(database)
        self.done: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._jobs: list[tuple[Callable[[random.Random], None], int]] = [
            (self._drain, 6),
            (self._replay, 4),
            (self._announce_gap, 2),
            (self._change_status, 3),
            (self._erase_contact, 2),
            (self._erase_tenant, 1),
            (self._keep_house, 1),
            (self._consent, 1),
            (self._refresh, 3),
            (self._look, 3),
            (self._pause, 3),
            (self._resume, 3),
        ]

    def run(self, transactions: int, seed: int) -> None:
        """At least so many transactions. Raises what they raise."""
        chance = random.Random(seed)
        jobs, shares = zip(*self._jobs, strict=True)
        for _ in range(transactions):
            (job,) = chance.choices(jobs, shares)
            job(chance)
            with self._lock:
                self.done[job.__name__] += 1

    def _drain(self, chance: random.Random) -> None:
        leases = Leases(self._database)
        held = leases.take(LANE, [str(lane) for lane in chance.sample(LANES, 2)])
        turn = Turn(held, [lease.mark + 1 for lease in held], release=True)
        if held:
            self._write(self._filled(turn, held, chance))

    def _filled(self, turn: Turn, held: Sequence[Lease], chance: random.Random) -> Turn:
        lane, number = int(held[0].key), chance.randrange(KEYS)
        unrouted = Unrouted(number, today(), lane, digest(lane), "facebook", now_ms())
        deferred = Deferred(lane, digest(lane), number, today())
        return turn._replace(
            appends=_appends(chance),
            parks=[_park(chance)],
            resume=[deferred],
            defer=[deferred],
            strand=[unrouted],
            tried=[number],
        )

    def _replay(self, chance: random.Random) -> None:
        self._write(Turn(appends=_appends(chance), routed=[chance.randrange(KEYS)]))

    def _announce_gap(self, chance: random.Random) -> None:
        gaps, now = Gaps(self._database), now_ms()
        gaps.announce_all(now - 1000, now, "refused")
        for told in gaps.waiting():
            said = [_append(chance, id_, key=(told.id, id_)) for id_ in CONNECTIONS]
            self._write(Turn(appends=said))
            gaps.done(told.id)

    def _change_status(self, chance: random.Random) -> None:
        status = chance.choice(["active", "active", "revoked"])
        self._connections.set_status(chance.choice(list(CONNECTIONS)), status, "")

    def _erase_contact(self, chance: random.Random) -> None:
        tenant = chance.choice(list(CONNECTIONS.values()))
        self._erasing.contact(tenant, chance.choice(CONTACTS), now_ms() - 1000)

    def _erase_tenant(self, chance: random.Random) -> None:
        self._erasing.tenant(chance.choice(list(CONNECTIONS.values())))

    def _keep_house(self, chance: random.Random) -> None:
        ensure_partitions(self._database)
        drop_dedupe(self._database, today() - 30)

    def _consent(self, chance: random.Random) -> None:
        tenant = chance.choice(list(CONNECTIONS.values()))
        id_ = f"gra_{tenant}"
        new = Grant(id_, tenant, "google", digest(tenant), [], b"consented", 1, now_ms())
        carried = [name for name, whose in CONNECTIONS.items() if whose == tenant]
        Grants(self._database).consented(new, carried)

    def _refresh(self, chance: random.Random) -> None:
        grants, rows = Grants(self._database), DueRows(self._database)
        row = rows.take_now(REFRESH, f"gra_{chance.choice(list(CONNECTIONS.values()))}")
        if row is None:
            return
        grant, carried = grants.get(row.key), grants.carried(row.key)
        becomes = chance.choice(["active", "needs_reauth"])
        turned = [Turned(c, becomes, "", {}, []) for c in carried if chance.random() < 0.7]
        renewal = Renewal(grant.id, grant.version, b"newer", now_ms(), None)
        outcome = Outcome(row, now_ms(), turned, renewal, look=[c.id for c in carried])
        said = [_append(chance, one.was.id, key=(row.ticket, one.was.id)) for one in turned]
        with contextlib.suppress(LeaseLost):
            try:
                self._write(Turn(first=outcome.commit, appends=said))
            except Conflict:
                rows.finish(row, now_ms())

    def _look(self, chance: random.Random) -> None:
        rows, grants, id_ = (
            DueRows(self._database),
            Grants(self._database),
            chance.choice([*CONNECTIONS]),
        )
        row = rows.take_now(RECONCILE, id_)
        if row is None:
            rows.ask(RECONCILE, id_, now_ms())
            return
        was = self._connections.get(id_)
        allowed = [Allowed(grant, ["a"], ["b"]) for grant in grants.of_connection(id_)]
        inspection = Inspection(
            row,
            now_ms(),
            Turned(was, chance.choice(["active", "degraded"]), "", {}, []),
            allowed,
            subscription=Seen("facebook", digest("account"), is_on=True),
            gap=gap(digest("account"), 1, now_ms(), "unsubscribed"),
            watch_at_ms=now_ms(),
        )
        said = [_append(chance, id_, key=(row.ticket, id_))]
        with contextlib.suppress(LeaseLost):
            try:
                self._write(Turn(first=inspection.commit, appends=said))
            except Conflict:
                rows.finish(row, now_ms())

    def _pause(self, chance: random.Random) -> None:
        with contextlib.suppress(Conflict):
            Pauses(self._database).order(chance.choice([*CONNECTIONS]), reason="", by="test")

    def _resume(self, chance: random.Random) -> None:
        rows, pauses, id_ = (
            DueRows(self._database),
            Pauses(self._database),
            chance.choice([*CONNECTIONS]),
        )
        with contextlib.suppress(Conflict, LeaseLost):
            if pauses.resume(id_) and (row := rows.take_now(PAUSE, id_)):
                self._write(Turn(first=Said(row).commit))
                waits = pauses.waiting(id_, 5)
                ids = [park.id for park in waits]
                said = [_append(chance, id_) for _ in waits]
                batch = Turn(first=Batch(row).commit, appends=said, unparked=ids)
                self._write(batch._replace(statuses=("paused",)))
                was = self._connections.get(id_)
                lifted = Lifted(row, Turned(was, "active", "", was.causes, []), ids)
                self._write(Turn(first=lifted.commit, appends=[_append(chance, id_)]))

    def _write(self, turn: Turn) -> None:
        with contextlib.suppress(LeaseLost):
            self._store.write(turn)


def _appends(chance: random.Random) -> list[Append]:
    return [_append(chance, id_) for id_ in chance.choices(list(CONNECTIONS), k=8)]


def _append(chance: random.Random, id_: str, key: object = None) -> Append:
    key = (id_, chance.randrange(KEYS), chance.randrange(20)) if key is None else key
    contact = chance.choice(CONTACTS)
    return append(key, connection=id_, tenant=CONNECTIONS[id_], contact=contact)


def _park(chance: random.Random) -> Park:
    id_, number = chance.choice(list(CONNECTIONS)), chance.randrange(KEYS)
    name = f"prk_{number}_{chance.randrange(1 << 40)}"
    reason = chance.choice(["unreadable", "paused"])
    return Park(name, number, id_, CONNECTIONS[id_], "facebook", reason, "", now_ms(), b"x")


@pytest.mark.timeout(120 + TRANSACTIONS // 20)
def test_no_deadlock_whatever_writes_at_once(database: Database) -> None:
    for id_, tenant in CONNECTIONS.items():
        add_connection(database, id_, tenant)
    traffic = Traffic(database)
    each = TRANSACTIONS // THREADS if database.is_postgresql else TRANSACTIONS // THREADS // 4
    with ThreadPoolExecutor(THREADS) as threads:
        for running in [threads.submit(traffic.run, each, seed) for seed in range(THREADS)]:
            running.result()
    assert traffic.done.total() == each * THREADS
    assert _deadlocks(database) == 0
    assert count(database, messages) > 0


@pytest.mark.postgres
def test_unsorted_keys_do_deadlock(postgres: Database) -> None:
    for id_, tenant in CONNECTIONS.items():
        add_connection(postgres, id_, tenant)
    traffic = Traffic(postgres, Unsorted())
    with ThreadPoolExecutor(THREADS) as threads:
        running = [threads.submit(traffic.run, 100, seed) for seed in range(THREADS)]
        failed = [x.exception() for x in running]
    assert any("deadlock" in str(error) for error in failed), "the harness would not notice one"
    assert all(error is None or isinstance(error, StoreUnavailable) for error in failed)


def _deadlocks(database: Database) -> int:
    if not database.is_postgresql:
        return 0
    counted = sa.text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    with database.read() as connection:
        return connection.scalar(counted) or 0
