"""The scheduler: due rows handed out, failures put off, nothing lost with a thread or a process."""

import threading
from collections.abc import Iterator
from concurrent.futures import wait

import httpx
import pytest

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
from tests.processes import eventually
from workers.metrics import Metrics
from workers.retrying import LONGEST_AFTER_S, pause_s, told, until_stored
from workers.scheduler import AT_ONCE, Job, Scheduler

KIND = "work"


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
