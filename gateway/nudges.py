"""Tells the workers which lanes have something to drain, off the requests' way."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from contracts.errors import Unavailable
from gateway.metrics import Metrics

log = structlog.get_logger()

EVERY_S: Final = 0.005
LONGEST_S: Final = 0.03
SHARE: Final = 0.1
"""The most of one core that sending nudges may take. With many lanes at once it is less: then the
workers are busy anyhow."""
AWAY_S: Final = 1.0
"""Pause after the broker failed; workers find overdue lanes without nudges meanwhile."""


class Nudges:
    """One thread that sends what was committed since its last nudge, as one task."""

    def __init__(self, send: Callable[[list[int]], None], metrics: Metrics) -> None:
        """`send` blocks and raises `Unavailable` when the broker is away."""
        self._send = send
        self._sent = metrics.nudges.labels("sent")
        self._failed = metrics.nudges.labels("failed")
        self._lanes: set[int] = set()
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nudges", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, within_s: float = 2.0) -> None:
        """Send what is left and end; a broker that hangs is not waited for."""
        self._stopping.set()
        self._some.set()
        self._thread.join(within_s)

    def committed(self, lanes: Iterable[int]) -> None:
        """These lanes have new items; never blocks."""
        with self._lock:
            self._lanes.update(lanes)
        self._some.set()

    def _run(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            with self._lock:
                lanes, self._lanes = sorted(self._lanes), set()
            pause = self._nudge(lanes) if lanes else 0.0
            if self._stopping.wait(pause):
                self._last_words()
                return

    def _last_words(self) -> None:
        if self._lanes:
            self._nudge(sorted(self._lanes))

    def _nudge(self, lanes: list[int]) -> float:
        """Send one nudge; returns how many seconds to gather before the next."""
        began = time.thread_time()
        try:
            self._send(lanes)
        except Unavailable as error:
            self._failed.inc()
            log.warning("nudge.failed", detail=str(error), lanes=len(lanes))
            return AWAY_S
        except Exception:
            self._failed.inc()
            log.exception("nudge.failed", lanes=len(lanes))
            return AWAY_S
        self._sent.inc()
        cost = (time.thread_time() - began) / SHARE
        return min(LONGEST_S, max(EVERY_S, cost * (1 + len(lanes) / 32)))
