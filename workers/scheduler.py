"""Runs what comes due by itself: finds due rows and has their jobs done, a few at a time."""

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import structlog

from contracts.errors import (
    GatewayError,
    LeaseLost,
    Overtaken,
    Permanent,
    Tampered,
    Unavailable,
    UnknownKey,
)
from storage.database import now_ms
from storage.due import DueRows, Taken
from workers.metrics import Metrics
from workers.repeating import Repeating, works
from workers.retrying import pause_s, told

log = structlog.get_logger()

EVERY_S: Final = 1.0
"""Due rows are looked for, unless somebody says so before (`Scheduler.look`)."""
AT_ONCE: Final = 16
"""Jobs of one worker at the same time: they mostly wait for providers."""
KILLS: Final = 3
"""Crashes in a row after which an operator is told that a row kills its workers."""
ASIDE_S: Final = 1.0
"""Rows whose last holder crashed wait about so long for another such row of the same worker."""

Job = Callable[[Taken], None]
"""Does what a row is for, and finishes the row (`storage.due.finish`) with its own commit.

Raises `LeaseLost` when the row is another's by now; after any other error the row comes due again.
"""


class Scheduler:
    """Independent of the broker: each worker process looks for due rows, and leases no more of them
    than it has threads for, so that no row waits while its lease runs.

    After a crash nobody knows which of the rows under way was to blame: they are worked on again
    one at a time, each attempt committed before it is made, so that only the guilty one is left.
    """

    def __init__(
        self,
        rows: DueRows,
        jobs: Mapping[str, Job],
        metrics: Metrics,
        *,
        at_once: int = AT_ONCE,
        name: str = "scheduler",
    ) -> None:
        """`jobs`: by the kind of row that each is for. `at_once`: so many of them."""
        self._rows = rows
        self._jobs = jobs
        self._metrics = metrics
        self._free = threading.Semaphore(at_once)
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="due")
        self._stopping = threading.Event()
        self._taking = threading.Lock()
        self._suspecting = threading.Lock()
        self._finder = Repeating(name, EVERY_S, self._look)

    def start(self) -> None:
        self._finder.start()

    def look(self) -> None:
        """Look for due rows now: somebody says that there are some. Never blocks."""
        self._finder.soon()

    def stop(self) -> None:
        """Finish the jobs under way; the rest stays due, and no row is taken from now on."""
        with self._taking:
            self._stopping.set()
        self._finder.stop()
        self._pool.shutdown()

    def _look(self) -> bool:
        return works("due", self.run_due)

    def run_due(self) -> list[Future[None]]:
        """Hand out all that is due now, and return the jobs. Raises `Unavailable`."""
        jobs: list[Future[None]] = []
        while True:
            free = self._reserve()
            begun = self._begin(free)
            jobs += begun
            if len(begun) < free:
                return jobs

    def _begin(self, free: int) -> list[Future[None]]:
        """Take rows for `free` reserved threads, unless we are stopping; threads that are not used
        are given back.
        """
        begun: list[Future[None]] = []
        try:
            with self._taking:
                if not self._stopping.is_set():
                    taken = self._rows.take(self._jobs.keys(), free)
                    begun += [self._pool.submit(self._run, row) for row in taken]
        finally:
            if free > len(begun):
                self._free.release(free - len(begun))
        return begun

    def _reserve(self) -> int:
        """Wait for one free thread, and take all that are free."""
        self._free.acquire()
        free = 1
        while self._free.acquire(blocking=False):
            free += 1
        return free

    def _run(self, row: Taken) -> None:
        try:
            if row.crashes:
                self._run_suspect(row)
            else:
                self._work(row)
        except LeaseLost:
            log.warning("due.lease_lost", kind=row.kind, key=row.key)
        except Exception as error:  # noqa: BLE001 - told already, and the row comes due again
            log.debug("due.put_off", kind=row.kind, key=row.key, error=type(error).__name__)
        finally:
            self._free.release()

    def _run_suspect(self, row: Taken) -> None:
        """One at a time, or another one's crash would be counted as this one's."""
        if not self._suspecting.acquire(blocking=False):
            self._rows.give_back(row, random.uniform(0, 2 * ASIDE_S))  # noqa: S311 - spread
            return
        try:
            self._metrics.crashes.labels(row.kind).inc()
            self._work(row)
        finally:
            self._suspecting.release()

    def _work(self, row: Taken) -> None:
        if row.due_at_ms is not None:
            lag_s = max(0, now_ms() - row.due_at_ms) / 1000
            self._metrics.lag.labels(row.kind).observe(lag_s)
        with putting_off(self._rows, row):
            self._jobs[row.kind](row)


@contextmanager
def putting_off(rows: DueRows, row: Taken) -> Iterator[None]:
    """What fails inside comes due again, later each time; the error goes on to the caller. A row
    whose last holder crashed is noted as begun again, before anything is done for it.
    """
    if row.crashes:
        rests_s = rows.suspect(row)
        tell = log.error if row.crashes >= KILLS else log.warning
        tell("due.crashed", kind=row.kind, key=row.key, crashes=row.crashes, rests_s=rests_s)
    try:
        yield
    except Exception as error:
        if isinstance(error, LeaseLost) and not isinstance(error, Overtaken):
            raise  # the row is another's
        pause = pause_s(error, row.attempts + 1)
        _tell(error, kind=row.kind, key=row.key, reason=told(error), again_in_s=int(pause))
        try:
            rows.put_off(row, pause, told(error))
        except (LeaseLost, Unavailable):
            log.warning("due.not_put_off", kind=row.kind, key=row.key)  # its lease runs out
        raise


def _tell(error: Exception, **what: object) -> None:
    """What only an operator can mend is told louder; a fault of ours says where it is."""
    if isinstance(error, Permanent | Tampered | UnknownKey):
        log.error("due.failed", **what)
    elif isinstance(error, GatewayError):
        log.warning("due.failed", **what)
    else:
        log.error("due.failed", exc_info=error, **what)
