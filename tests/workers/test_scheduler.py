"""The scheduler: due rows handed out, failures put off, nothing lost with a thread or a process."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from contracts.errors import (
    GatewayError,
    KeyUnavailable,
    Misconfigured,
    Permanent,
    Retryable,
    StoreUnavailable,
    Throttled,
)
from contracts.settings import Settings
from storage import migrate
from storage.database import Database, now_ms
from storage.due import DueRows, Taken
from storage.schema import due
from tests.processes import eventually
from tests.workers.crashers import KILLED, POISON
from workers.metrics import Metrics
from workers.repeating import Repeating
from workers.retrying import LONGEST_AFTER_S, pause_s, told, until_stored
from workers.scheduler import AT_ONCE, KILLS, Job, Scheduler

KIND = "work"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, pool_size=12)
    migrate.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def rows(database: Database) -> DueRows:
    return DueRows(database)


def _run(rows: DueRows, job: Job, metrics: Metrics | None = None) -> None:
    """All that is due, once."""
    scheduler = Scheduler(rows, {KIND: job}, metrics or Metrics())
    wait(scheduler.run_due())
    scheduler.stop()


def _put(rows: DueRows, count: int) -> None:
    for number in range(count):
        rows.schedule(KIND, str(number), now_ms() - 1000)


def test_all_that_is_due_is_run_once_though_there_are_fewer_threads(rows: DueRows) -> None:
    done: list[str] = []
    most = [0, 0]
    lock = threading.Lock()

    def job(row: Taken) -> None:
        with lock:
            most[0] += 1
            most[1] = max(most)
        rows.finish(row, None)
        with lock:
            most[0] -= 1
            done.append(row.key)

    _put(rows, 3 * AT_ONCE)
    metrics = Metrics()
    _run(rows, job, metrics)
    assert sorted(done, key=int) == [str(n) for n in range(3 * AT_ONCE)]
    assert most[1] <= AT_ONCE
    lag = metrics.registry.get_sample_value("gateway_due_lag_seconds_count", {"kind": KIND})
    assert lag == 3 * AT_ONCE


def test_one_that_fails_is_put_off_and_stops_no_other(rows: DueRows) -> None:
    def job(row: Taken) -> None:
        if row.key == "0":
            raise ValueError("with content of a customer")
        rows.finish(row, None)

    _put(rows, 2)
    _run(rows, job)
    failed, done = (rows.standing(KIND, key) for key in ("0", "1"))
    assert failed is not None
    assert done is not None
    assert (failed.attempts, failed.last_error) == (1, "unexpected: ValueError")
    assert (failed.wait_ms or 0) > 50_000
    assert (done.attempts, done.wait_ms) == (0, None)


def test_a_kind_without_a_job_is_left_to_others(rows: DueRows) -> None:
    rows.schedule("of a newer version", "a", now_ms() - 1)
    _run(rows, lambda row: None)
    assert len(rows.take(["of a newer version"], 5)) == 1


def test_it_looks_by_itself_and_stops_after_what_is_under_way(rows: DueRows) -> None:
    began, may_end = threading.Event(), threading.Event()

    def job(row: Taken) -> None:
        began.set()
        assert may_end.wait(20)
        rows.finish(row, None)

    scheduler = Scheduler(rows, {KIND: job}, Metrics())
    scheduler.start()
    _put(rows, 1)
    assert began.wait(10)
    stopping = threading.Thread(target=scheduler.stop)
    stopping.start()
    assert stopping.is_alive()
    may_end.set()
    stopping.join(10)
    standing = rows.standing(KIND, "0")
    assert standing is not None
    assert (standing.taken, standing.wait_ms) == (False, None)


def test_no_row_is_taken_once_it_stops(rows: DueRows) -> None:
    """Threads that come free while the last jobs end are for nobody."""
    busy, may_end = threading.Semaphore(0), threading.Event()

    def job(row: Taken) -> None:
        busy.release()
        assert may_end.wait(20)
        rows.finish(row, None)

    _put(rows, AT_ONCE)
    scheduler = Scheduler(rows, {KIND: job}, Metrics())
    scheduler.start()
    for _ in range(AT_ONCE):
        assert busy.acquire(timeout=10)
    rows.schedule(KIND, "late", now_ms() - 1000)
    time.sleep(0.2)  # until the next look waits for a thread
    stopping = threading.Thread(target=scheduler.stop)
    stopping.start()
    time.sleep(0.1)
    may_end.set()
    stopping.join(10)
    assert [row.key for row in rows.take([KIND], 5)] == ["late"]


def test_it_looks_at_once_when_it_is_told(rows: DueRows) -> None:
    began = threading.Event()

    def job(row: Taken) -> None:
        began.set()
        rows.finish(row, None)

    scheduler = Scheduler(rows, {KIND: job}, Metrics())
    scheduler._finder = Repeating("scheduler", 60, scheduler._look)
    scheduler.start()
    _put(rows, 1)
    assert not began.wait(1)
    scheduler.look()
    assert began.wait(10)
    scheduler.stop()


def _left(database: Database) -> dict[str, int]:
    """Rows that are not done, and how many crashes in a row each is known for."""
    waiting = sa.select(due.c.key, due.c.crashes).where(due.c.due_at_ms.is_not(None))
    with database.read() as connection:
        return {row.key: row.crashes for row in connection.execute(waiting)}


def _let_all_come_due(database: Database) -> None:
    with database.write() as connection:
        waits = sa.update(due).where(due.c.due_at_ms.is_not(None))
        connection.execute(waits.values(due_at_ms=database.clock_ms() - 1))


def test_a_row_that_kills_its_workers_is_found_and_rests(rows: DueRows, database: Database) -> None:
    """Its neighbours die with the first worker, and are done by a later one."""

    def work() -> int:
        worker = [sys.executable, "-m", "tests.workers.crashers", database.url, KIND]
        return subprocess.run(worker, cwd=ROOT, timeout=60, check=False).returncode

    for key in (POISON, *map(str, range(5))):
        rows.schedule(KIND, key, now_ms() - 1000)
    for deaths in range(KILLS + 1):
        _let_all_come_due(database)
        assert work() == KILLED
        left = _left(database)
        assert left.pop(POISON) == deaths
        assert all(crashes <= 1 for crashes in left.values()), "others' crashes are not theirs"
    assert work() == 0, "it rests, and the others are done"
    assert _left(database) == {POISON: KILLS}
    rest = rows.standing(KIND, POISON)
    assert rest is not None
    assert (rest.wait_ms or 0) > 3_500_000


def test_a_row_that_kills_is_told_to_the_operator(rows: DueRows, database: Database) -> None:
    metrics = Metrics()
    done: list[int] = []

    def job(row: Taken) -> None:
        done.append(row.crashes)
        rows.finish(row, None)

    for crashes in (1, KILLS):
        _put(rows, 1)
        (row,) = rows.take([KIND], 1)
        rows.give_back(row._replace(crashes=crashes), 0)
        with capture_logs() as logs:
            _run(rows, job, metrics)
        (told_,) = (line for line in logs if line["event"] == "due.crashed")
        assert told_["log_level"] == ("error" if crashes == KILLS else "warning")
        assert (told_["kind"], told_["key"], told_["crashes"]) == (KIND, "0", crashes)
    assert done == [1, KILLS]
    count = metrics.registry.get_sample_value("gateway_due_crashes_total", {"kind": KIND})
    assert count == 2


def test_a_store_that_is_away_ends_nothing(rows: DueRows) -> None:
    class Away(DueRows):
        away = True

        def take(self, kinds: object, limit: int) -> list[Taken]:
            if self.away:
                raise StoreUnavailable("away")
            return super().take([KIND], limit)

    away = Away(rows._database)
    scheduler = Scheduler(away, {KIND: lambda row: rows.finish(row, None)}, Metrics())
    scheduler.start()
    _put(rows, 1)
    for _ in range(2 * AT_ONCE):
        with pytest.raises(StoreUnavailable):
            scheduler.run_due()
    away.away = False
    eventually(lambda: (x := rows.standing(KIND, "0")) and x.wait_ms is None)
    scheduler.stop()


def test_metrics_are_served_where_it_is_said(free_port: int) -> None:
    metrics = Metrics()
    metrics.openings.labels("send").inc()
    close = metrics.serve(f"127.0.0.1:{free_port}")
    with pytest.raises(Misconfigured, match="GATEWAY_WORKER_METRICS"):
        Metrics().serve(f"127.0.0.1:{free_port}")
    text = httpx.get(f"http://127.0.0.1:{free_port}/metrics").text
    assert 'gateway_token_openings_total{job="send"} 1.0' in text
    with pytest.raises(Misconfigured, match="host:port"):
        Settings(worker_metrics="9464")
    close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{free_port}/metrics")


@pytest.mark.parametrize(
    ("error", "first_s", "longest_s"),
    [
        (KeyUnavailable("away"), (2, 4), 60),
        (StoreUnavailable("away"), (2, 4), 60),
        (Retryable("503"), (5, 20), 900),
        (Throttled("429", scope="app", after_s=300), (305, 320), 1200),
        (Permanent("invalid_client"), (60, 240), 3600),
        (Misconfigured("login meta is off"), (10, 40), 300),
        (ValueError("a fault of ours"), (60, 240), 3600),
    ],
)
def test_pauses_grow_with_jitter_up_to_a_bound(
    error: Exception, first_s: tuple[float, float], longest_s: float
) -> None:
    first = [pause_s(error, 1) for _ in range(100)]
    assert first_s[0] <= min(first) < max(first) <= first_s[1]
    late = [pause_s(error, attempt) for attempt in (30, 5000) for _ in range(50)]
    assert max(late) <= longest_s
    assert max(late) > longest_s * 0.7
    assert len({round(pause, 3) for pause in late}) > 50


def test_nobody_has_us_wait_for_ever() -> None:
    assert pause_s(Retryable("", after_s=1e12), 1) < LONGEST_AFTER_S + 30


def test_texts_of_others_are_not_told() -> None:
    assert told(Retryable("503")) == "retryable: 503"
    assert told(KeyError("customer")) == "unexpected: KeyError"


@pytest.mark.parametrize("error", [StoreUnavailable("away"), Misconfigured("no such key")])
def test_a_commit_is_tried_while_the_store_or_the_kms_is_away(error: GatewayError) -> None:
    tries = []

    def commit() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise error

    until_stored(5)(commit)
    assert len(tries) == 3

    def fails(error: GatewayError) -> None:
        tries.append(1)
        raise error

    with pytest.raises(StoreUnavailable):
        until_stored(0.2)(fails, StoreUnavailable("away"))
    tries.clear()
    with pytest.raises(Permanent):
        until_stored(5)(fails, Permanent("no"))
    assert len(tries) == 1
