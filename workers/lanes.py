"""Lanes that this process knows to have something: filled by nudges and sweeps, drained by threads.

Gathering them here makes a turn as large as the load asks for: one nudge, one quiet turn; many
nudges while a turn runs, one large turn after it.
"""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from contracts.errors import Misconfigured, Unavailable
from workers.drain import LANES_AT_ONCE, Drainer, Tally

log = structlog.get_logger()

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 30.0


class LaneQueue:
    """A set of lanes with blocking take, and a pause for those that failed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lanes: set[int] = set()
        self._paused: dict[int, tuple[float, float]] = {}
        self._changed = threading.Condition()
        self._closed = False

    def add(self, lanes: Iterable[int]) -> None:
        """Have `lanes` drained soon; one that failed waits out its pause first."""
        with self._changed:
            now = self._clock()
            before = len(self._lanes)
            self._lanes.update(
                lane for lane in lanes if self._paused.get(lane, (0.0, 0.0))[0] <= now
            )
            if len(self._lanes) > before:
                self._changed.notify_all()

    def take(self, at_most: int) -> list[int]:
        """Up to `at_most` lanes; waits for one. Empty once the queue is closed and done."""
        with self._changed:
            while not self._lanes and not self._closed:
                self._changed.wait()
            return [self._lanes.pop() for _ in range(min(at_most, len(self._lanes)))]

    def pause(self, lanes: Iterable[int]) -> None:
        """Leave failed lanes alone, twice as long each time, until `clear`."""
        with self._changed:
            for lane in lanes:
                last = self._paused.get(lane, (0.0, FIRST_PAUSE_S / 2))[1]
                length = min(LONGEST_PAUSE_S, last * 2)
                self._paused[lane] = (self._clock() + length, length)

    def clear(self, lanes: Iterable[int]) -> None:
        """The lanes work again."""
        if self._paused:
            with self._changed:
                for lane in lanes:
                    self._paused.pop(lane, None)

    def close(self) -> None:
        """Let the threads end; lanes that are left stay overdue in the database."""
        with self._changed:
            self._closed = True
            self._lanes.clear()
            self._changed.notify_all()


class DrainThreads:
    """Drains a lane queue with a few threads, which overlap one's computing with another's
    waiting.
    """

    def __init__(
        self, queue: LaneQueue, drainer: Drainer, done: Callable[[Tally], None], count: int
    ) -> None:
        self._queue = queue
        self._drainer = drainer
        self._done = done
        self._share = LANES_AT_ONCE // count  # else one thread takes all, and the others wait
        self._threads = [
            threading.Thread(target=self._run, name=f"drain-{number}") for number in range(count)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the turns under way."""
        self._queue.close()
        self._drainer.stop()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while lanes := self._queue.take(self._share):
            try:
                self._done(self._drainer.drain(lanes))
                self._queue.clear(lanes)
            except (Unavailable, Misconfigured) as error:
                log.warning(
                    "drain.unavailable", reason=error.reason, detail=str(error), lanes=len(lanes)
                )
                self._queue.pause(lanes)
            except Exception:
                log.exception("drain.failed", lanes=len(lanes))
                self._drain_singly(lanes)

    def _drain_singly(self, lanes: list[int]) -> None:
        """One lane's failure must not hold up those that were drained with it."""
        for lane in lanes:
            try:
                self._done(self._drainer.drain([lane]))
                self._queue.clear([lane])
            except Exception as error:  # noqa: BLE001 - whatever it is, the lane waits
                log.error("drain.lane_failed", lane=lane, error=type(error).__name__)
                self._queue.pause([lane])
