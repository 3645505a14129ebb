"""Finds what nobody was told of: overdue lanes, unrouted items, replays and gaps that wait."""

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from contracts.errors import Unavailable
from storage.drain import DrainStore
from workers.lanes import LaneQueue

log = structlog.get_logger()

EVERY_S: Final = 0.5
"""So that a message is visible within 2 s when the broker is away."""
ERRANDS_EVERY_S: Final = 3.0
LONGEST_PAUSE_S: Final = 5.0


class Sweeper:
    """One thread per worker process, independent of the broker.

    `errands` are jobs that are cheap when there is nothing to do: they run every few seconds.
    """

    def __init__(
        self, store: DrainStore, lanes: LaneQueue, errands: tuple[Callable[[], object], ...]
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._errands = errands
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        pause, errands_due = EVERY_S, 0.0
        while not self._stopping.wait(pause):
            try:
                self._lanes.add(self._store.overdue_lanes())
                if time.monotonic() >= errands_due:
                    errands_due = time.monotonic() + ERRANDS_EVERY_S
                    for errand in self._errands:
                        errand()
                pause = EVERY_S
            except Unavailable as error:
                log.warning("sweep.unavailable", reason=error.reason)
                pause = min(LONGEST_PAUSE_S, pause * 2)
            except Exception:
                log.exception("sweep.failed")
                pause = min(LONGEST_PAUSE_S, pause * 2)
