"""Counts who opens tokens, beside the hot way: by job, tenant, grant and minute."""

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from contracts.tokens import Opening

_MINUTE_S: Final = 60


class Openings:
    """The openings of one process, kept in memory until `flush` has stored them.

    What was opened since the last flush is lost with a process that is killed; nothing else is.
    Safe to share between threads.
    """

    def __init__(
        self,
        store: Callable[[Sequence[Opening]], None],
        told: Callable[[str], None] = lambda job: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`store` keeps counts for good; it may be given the same ones again. `told` hears of each
        opening and its job. `clock`: Unix seconds.
        """
        self._store = store
        self._told = told
        self._clock = clock
        self._process = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, int, str, str], int] = {}
        self._unstored: set[tuple[str, int, str, str]] = set()

    def count(self, job: str, tenant: str, grant: str) -> None:
        """One more opening, now."""
        with self._lock:  # or the minute is over, stored and let go before this one is in it
            key = (grant, int(self._clock()) // _MINUTE_S, job, tenant)
            self._counts[key] = self._counts.get(key, 0) + 1
            self._unstored.add(key)
        self._told(job)

    def flush(self) -> None:
        """Store what was counted since the last time. Raises `StoreUnavailable`: it is kept then,
        for the next.
        """
        with self._lock:
            keys, self._unstored = self._unstored, set()
            rows = [self._opening(key) for key in keys]
        try:
            self._store(rows)
        except BaseException:
            with self._lock:
                self._unstored |= keys
            raise
        self._forget()

    def _opening(self, key: tuple[str, int, str, str]) -> Opening:
        grant, minute, job, tenant = key
        return Opening(grant, minute, job, self._process, tenant, self._counts[key])

    def _forget(self) -> None:
        """Let go of minutes that are over, and stored."""
        minute = int(self._clock()) // _MINUTE_S
        with self._lock:
            over = [k for k in self._counts if k[1] < minute and k not in self._unstored]
            for key in over:
                del self._counts[key]
