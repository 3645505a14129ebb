"""Finds what nobody was told of: overdue lanes, unrouted items, replays, gaps and rotations that
wait.
"""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import structlog

from contracts.errors import Unavailable
from storage.drain import DrainStore
from workers.lanes import LaneQueue

log = structlog.get_logger()

EVERY_S: Final = 0.5
"""So that a message is visible within 2 s when the broker is away."""
ERRANDS_EVERY_S: Final = 3.0
LONGEST_PAUSE_S: Final = 6.0


Jobs = Mapping[str, Callable[[], object]]


class Sweeper:
    """Three threads per worker process, independent of the broker: one finds overdue lanes, one
    runs `errands`, jobs that are cheap when there is nothing to do and may take long when there is,
    and one `chores`, which may take hours and hold nothing up.
    """

    def __init__(self, store: DrainStore, lanes: LaneQueue, errands: Jobs, chores: Jobs) -> None:
        self._store = store
        self._lanes = lanes
        self._stopping = threading.Event()
        self._threads = (
            self._thread("sweeper", EVERY_S, self._sweep),
            self._thread("errands", ERRANDS_EVERY_S, partial(_all_work, errands)),
            self._thread("chores", ERRANDS_EVERY_S, partial(_all_work, chores)),
        )

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _sweep(self) -> bool:
        return _works("sweep", lambda: self._lanes.add(self._store.overdue_lanes()))

    def _thread(self, name: str, every_s: float, work: Callable[[], bool]) -> threading.Thread:
        return threading.Thread(target=self._repeat, args=(every_s, work), name=name)

    def _repeat(self, every_s: float, work: Callable[[], bool]) -> None:
        """Do `work` every so often, less often while it fails."""
        pause = every_s
        while not self._stopping.wait(pause):
            pause = every_s if work() else min(LONGEST_PAUSE_S, pause * 2)


def _all_work(jobs: Jobs) -> bool:
    worked = [_works(name, job) for name, job in jobs.items()]
    return all(worked)


def _works(name: str, job: Callable[[], object]) -> bool:
    """Run one job; its failure is logged and stops no other."""
    try:
        job()
    except Unavailable as error:
        log.warning("sweep.unavailable", job=name, reason=error.reason)
        return False
    except Exception:
        log.exception("sweep.failed", job=name)
        return False
    return True
