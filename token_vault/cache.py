"""Opened keys, kept for a limited time."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Expiring(Generic[K, V]):
    """A thread-safe mapping whose values vanish `lifetime_s` after they were put.

    Vanished values are let go at the latest `lifetime_s` later, when something else is put.
    What was read before something was forgotten is not kept: it may be just that.
    """

    def __init__(self, lifetime_s: float, clock: Callable[[], float]) -> None:
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._entries: dict[K, tuple[float, V]] = {}
        self._lock = threading.Lock()
        self._generation = 0
        self._sweep_at = clock() + lifetime_s

    @property
    def generation(self) -> int:
        """Counts how often something was forgotten: taken before what is to be put is read."""
        return self._generation

    def get(self, key: K) -> V | None:
        entry = self._entries.get(key)
        if entry is None or entry[0] <= self._clock():
            return None
        return entry[1]

    def put(self, key: K, value: V, generation: int) -> None:
        """Keep `value`, unless something was forgotten since `generation`."""
        now = self._clock()
        with self._lock:
            if generation != self._generation:
                return
            self._entries[key] = (now + self._lifetime_s, value)
            if self._sweep_at <= now:
                self._entries = {k: entry for k, entry in self._entries.items() if entry[0] > now}
                self._sweep_at = now + self._lifetime_s

    def drop(self, key: K) -> None:
        with self._lock:
            self._generation += 1
            self._entries.pop(key, None)

    def clear(self) -> None:
        with self._lock:
            self._generation += 1
            self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
