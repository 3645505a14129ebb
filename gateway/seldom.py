"""What may happen a thousand times a second, in the log once a second."""

import time
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger()

EVERY_S: Final = 1.0


class Seldom:
    """One event of the log: told at most once a second, with how often it happened."""

    def __init__(self, event: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._event, self._clock_s = event, clock_s
        self._times = 0
        self._next = float("-inf")

    def note(self, **fields: object) -> None:
        """It happened; `fields` are told when it is this one that is told."""
        self._times += 1
        now = self._clock_s()
        if now >= self._next:
            log.warning(self._event, times=self._times, **fields)
            self._times, self._next = 0, now + EVERY_S
