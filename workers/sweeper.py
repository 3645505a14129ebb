"""Finds what nobody was told of: overdue lanes, unrouted items, replays and gaps that wait."""

import threading
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from contracts.errors import Misconfigured, Unavailable
from storage.drain import DrainStore
from workers.lanes import LaneQueue

log = structlog.get_logger()

EVERY_S: Final = 0.5
"""So that a message is visible within 2 s when the broker is away."""
ERRANDS_EVERY_S: Final = 3.0
LONGEST_PAUSE_S: Final = 6.0


class Sweeper:
    """Two threads per worker process, independent of the broker: one finds overdue lanes, one runs
    `errands`, jobs that are cheap when there is nothing to do and may take long when there is.
    """

    def __init__(
        self, store: DrainStore, lanes: LaneQueue, errands: Mapping[str, Callable[[], object]]
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._errands = errands
        self._stopping = threading.Event()
        self._threads = (
            threading.Thread(target=self._repeat, args=(EVERY_S, self._sweep), name="sweeper"),
            threading.Thread(
                target=self._repeat, args=(ERRANDS_EVERY_S, self._run), name="errands"
            ),
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

    def _run(self) -> bool:
        worked = [_works(name, errand) for name, errand in self._errands.items()]
        return all(worked)

    def _repeat(self, every_s: float, work: Callable[[], bool]) -> None:
        """Do `work` every so often, less often while it fails."""
        pause = every_s
        while not self._stopping.wait(pause):
            pause = every_s if work() else min(LONGEST_PAUSE_S, pause * 2)


def _works(name: str, job: Callable[[], object]) -> bool:
    """Run one job; its failure is logged and stops no other."""
    try:
        job()
    except (Unavailable, Misconfigured) as error:
        log.warning("sweep.unavailable", job=name, reason=error.reason, detail=str(error))
        return False
    except Exception:
        log.exception("sweep.failed", job=name)
        return False
    return True
