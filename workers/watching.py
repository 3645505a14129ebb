"""Notices connections that have fallen silent: due when their silence becomes unusual."""

from functools import partial
from typing import Final

import sqlalchemy as sa

from storage import due
from storage.activity import ActivityStore
from storage.database import now_ms
from storage.drain import DrainStore
from storage.due import Taken
from storage.grants import RECONCILE
from storage.turns import Turn
from workers.hearing import unusual_from_ms

SOONEST_MS: Final = 60_000
"""A connection is not watched more often."""


class Watchdog:
    """The job of a connection's `silence` row. It calls nobody: whether the silence is the
    provider's fault is for who looks at the connection.
    """

    def __init__(self, activity: ActivityStore, store: DrainStore) -> None:
        self._activity, self._store = activity, store

    def run(self, row: Taken) -> None:
        """Raises `LeaseLost` and `Unavailable`."""
        known = self._activity.of([row.key]).get(row.key)
        unusual = unusual_from_ms(known) if known else None
        is_silent = unusual is not None and unusual <= now_ms()
        next_ms = None if unusual is None or is_silent else max(unusual, now_ms() + SOONEST_MS)
        self._store.write(Turn(first=partial(_finish, row=row, look=is_silent, next_ms=next_ms)))


def _finish(connection: sa.Connection, row: Taken, next_ms: int | None, *, look: bool) -> None:
    if look:
        due.ask(connection, RECONCILE, row.key, now_ms())
    due.finish(connection, row, next_ms)
