"""Threads that do something every so often, whatever becomes of it."""

import threading
from collections.abc import Callable
from typing import Final

import structlog

from contracts.errors import Misconfigured, Unavailable

log = structlog.get_logger()

LONGEST_PAUSE_S: Final = 6.0


class Repeating:
    """One thread that does `work` every `every_s` seconds, and less often while it fails."""

    def __init__(self, name: str, every_s: float, work: Callable[[], bool]) -> None:
        """`work` says whether all went well; `works` makes it of a job that may raise."""
        self._every_s = every_s
        self._work = work
        self._stopping = False
        self._soon = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        self._thread.start()

    def soon(self) -> None:
        """Do it now, or once more if it is being done; never blocks."""
        self._soon.set()

    def stop(self) -> None:
        """End after what is under way."""
        self._stopping = True
        self._soon.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        pause = self._every_s
        while True:
            self._soon.wait(pause)
            self._soon.clear()
            if self._stopping:
                return
            pause = self._every_s if self._work() else min(LONGEST_PAUSE_S, pause * 2)


def works(name: str, job: Callable[[], object]) -> bool:
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
