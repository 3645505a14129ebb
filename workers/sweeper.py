"""Finds what nobody was told of: overdue lanes, unrouted items, replays and gaps that wait."""

from collections.abc import Callable, Mapping
from typing import Final

from storage.drain import DrainStore
from workers.lanes import LaneQueue
from workers.repeating import Repeating, works

EVERY_S: Final = 0.5
"""So that a message is visible within 2 s when the broker is away."""
ERRANDS_EVERY_S: Final = 3.0


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
        self._threads = (
            Repeating("sweeper", EVERY_S, self._sweep),
            Repeating("errands", ERRANDS_EVERY_S, self._run),
        )

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        for thread in self._threads:
            thread.stop()

    def _sweep(self) -> bool:
        found = works("sweep", lambda: self._lanes.add(self._store.overdue_lanes()))
        return works("catch_up", self._store.catch_up) and found

    def _run(self) -> bool:
        worked = [works(name, errand) for name, errand in self._errands.items()]
        return all(worked)
