"""When something was last received for each connection: noted beside the drain, stored now and
then; and how long a silence is unusual for an account.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from typing import Final, NamedTuple

from storage.activity import Activity

FLUSH_S: Final = 5.0
"""What was heard is stored; what was heard since is lost with a process that is killed."""
EXACT_MS: Final = 1000
"""What comes sooner after the last one is not noted: silences are hours."""
HABIT_DAYS: Final = 14
"""Days on which a habit is founded."""
FEWEST_DAYS: Final = 5
"""Days of them on which something came, before there is a habit."""
TIMES: Final = 3
"""A silence is unusual when it is so many times as long as the longest of those days,"""
LEAST_MS: Final = 6 * 3_600_000
"""and at least so long."""
BATCH_ROWS: Final = 1000

_DAY_MS: Final = 86_400_000


class Heard(NamedTuple):
    """What was received of a connection since the last flush: the first, the last, and the longest
    time between two. `breaks`: it was thought to be silent.
    """

    first_ms: int
    last_ms: int
    longest_ms: int = 0
    breaks: bool = False

    def then(self, at_ms: int, *, breaks: bool) -> "Heard":
        """And another one, later."""
        longest = max(self.longest_ms, at_ms - self.last_ms)
        return Heard(self.first_ms, at_ms, longest, self.breaks or breaks)


class Hearing:
    """What one process has heard. Safe to share between threads."""

    def __init__(
        self,
        known: Callable[[Collection[str]], Mapping[str, Activity]],
        store: Callable[[list[Activity]], None],
        broken: Callable[[str], None],
    ) -> None:
        """`broken` is called with each connection that was thought to be silent, and is not."""
        self._known, self._store, self._broken = known, store, broken
        self._heard: dict[str, Heard] = {}
        self._lock = threading.Lock()

    def note(self, connection_id: str, at_ms: int, *, breaks: bool) -> None:
        """Something was received at `at_ms`. On the drain's way: most calls are one look."""
        heard = self._heard.get(connection_id)
        if heard is not None and at_ms - heard.last_ms < EXACT_MS:
            return
        with self._lock:
            heard = self._heard.get(connection_id)
            if heard is None:
                self._heard[connection_id] = Heard(at_ms, at_ms, breaks=breaks)
            elif at_ms > heard.last_ms:
                self._heard[connection_id] = heard.then(at_ms, breaks=breaks)

    def flush(self) -> None:
        """Store what was heard. Raises `StoreUnavailable`: it is kept then, for the next."""
        with self._lock:
            heard, self._heard = self._heard, {}
        try:
            self._keep(heard)
        except BaseException:
            with self._lock:
                self._heard = heard | self._heard
            raise

    def _keep(self, heard: Mapping[str, Heard]) -> None:
        ids = iter(sorted(heard))
        while batch := list(islice(ids, BATCH_ROWS)):
            known = self._known(batch)
            self._store([merged(id_, known.get(id_), heard[id_]) for id_ in batch])
        for id_ in sorted(heard):
            if heard[id_].breaks:
                self._broken(id_)


def merged(connection_id: str, known: Activity | None, heard: Heard) -> Activity:
    """What is known of a connection, with what was heard."""
    day, longest = heard.first_ms // _DAY_MS, heard.longest_ms
    silences: dict[str, int] = {}
    if known is not None:
        longest = max(longest, heard.first_ms - known.last_at_ms)
        silences = {d: ms for d, ms in known.silences.items() if int(d) > day - HABIT_DAYS}
    silences[str(day)] = max(longest, silences.get(str(day), 0))
    last_ms = max(heard.last_ms, known.last_at_ms if known else 0)
    return Activity(connection_id, last_ms, silences)


def longest_ms(known: Activity) -> int | None:
    """The longest silence of the two weeks until something was last received; None while there is
    no habit yet.
    """
    last_day = known.last_at_ms // _DAY_MS
    habit = [ms for day, ms in known.silences.items() if int(day) > last_day - HABIT_DAYS]
    return max(habit) if len(habit) >= FEWEST_DAYS else None


def unusual_from_ms(known: Activity) -> int | None:
    """When a silence that goes on becomes unusual, Unix milliseconds; None without a habit."""
    longest = longest_ms(known)
    return None if longest is None else known.last_at_ms + max(TIMES * longest, LEAST_MS)
