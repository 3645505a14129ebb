"""Finds what nobody was told of: overdue lanes, unrouted items, replays, gaps and rotations that
wait.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from storage.drain import DrainStore
from workers.lanes import LaneQueue
from workers.repeating import Repeating, works

EVERY_S: Final = 0.5
"""So that a message is visible within 2 s when the broker is away."""
ERRANDS_EVERY_S: Final = 3.0


Jobs = Mapping[str, Callable[[], object]]


class Sweeper:
    """Three threads per worker process, independent of the broker: one finds overdue lanes, one
    runs `errands`, jobs that are cheap when there is nothing to do and may take long when there is,
    and one `chores`, which may take hours and hold nothing up.
    """

    def __init__(self, store: DrainStore, lanes: LaneQueue, errands: Jobs, chores: Jobs) -> None:
        self._store = store
        self._lanes = lanes
        self._threads = (
            Repeating("sweeper", EVERY_S, self._sweep),
            Repeating("errands", ERRANDS_EVERY_S, partial(_all_work, errands)),
            Repeating("chores", ERRANDS_EVERY_S, partial(_all_work, chores)),
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


def _all_work(jobs: Jobs) -> bool:
    worked = [works(name, job) for name, job in jobs.items()]
    return all(worked)
