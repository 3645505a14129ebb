"""Runs what comes due by itself: finds due rows and has their jobs done, a few at a time."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import structlog

from contracts.errors import (
    GatewayError,
    LeaseLost,
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
"""Due rows are looked for."""
AT_ONCE: Final = 16
"""Jobs of one worker at the same time: they mostly wait for providers."""

Job = Callable[[Taken], None]
"""Does what a row is for, and finishes the row (`storage.due.finish`) with its own commit.

Raises `LeaseLost` when the row is another's by now; after any other error the row comes due again.
"""


class Scheduler:
    """Independent of the broker: each worker process looks for due rows, and leases no more of them
    than it has threads for, so that no row waits while its lease runs.
    """

    def __init__(self, rows: DueRows, jobs: Mapping[str, Job], metrics: Metrics) -> None:
        """`jobs`: by the kind of row that each is for."""
        self._rows = rows
        self._jobs = jobs
        self._metrics = metrics
        self._free = threading.Semaphore(AT_ONCE)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="due")
        self._stopping = threading.Event()
        self._finder = Repeating("scheduler", EVERY_S, self._look)

    def start(self) -> None:
        self._finder.start()

    def stop(self) -> None:
        """Finish the jobs under way; the rest stays due."""
        self._stopping.set()
        self._finder.stop()
        self._pool.shutdown()

    def _look(self) -> bool:
        return works("due", self.run_due)

    def run_due(self) -> list[Future[None]]:
        """Hand out all that is due now, and return the jobs. Raises `Unavailable`."""
        jobs: list[Future[None]] = []
        while not self._stopping.is_set():
            free = self._reserve()
            try:
                taken = self._rows.take(self._jobs.keys(), free)
            except BaseException:
                self._free.release(free)
                raise
            if free > len(taken):
                self._free.release(free - len(taken))
            jobs += [self._pool.submit(self._run, row) for row in taken]
            if len(taken) < free:
                break
        return jobs

    def _reserve(self) -> int:
        """Wait for one free thread, and take all that are free."""
        self._free.acquire()
        free = 1
        while self._free.acquire(blocking=False):
            free += 1
        return free

    def _run(self, row: Taken) -> None:
        try:
            if row.due_at_ms is not None:
                lag_s = max(0, now_ms() - row.due_at_ms) / 1000
                self._metrics.lag.labels(row.kind).observe(lag_s)
            with putting_off(self._rows, row):
                self._jobs[row.kind](row)
        except LeaseLost:
            log.warning("due.lease_lost", kind=row.kind, key=row.key)
        except Exception as error:  # noqa: BLE001 - told already, and the row comes due again
            log.debug("due.put_off", kind=row.kind, key=row.key, error=type(error).__name__)
        finally:
            self._free.release()


@contextmanager
def putting_off(rows: DueRows, row: Taken) -> Iterator[None]:
    """What fails inside comes due again, later each time; the error goes on to the caller."""
    try:
        yield
    except LeaseLost:
        raise
    except Exception as error:
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
