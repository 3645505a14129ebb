"""Compares what providers say of connections with what we believe, mends it, and says so."""

import random
import time
from typing import Final

import structlog

from contracts.causes import LOOKED_AFTER, PAUSED, REFUSED, SILENCE, UNDELIVERED, kinds
from contracts.errors import BeingRevoked, KeyDestroyed, NotFound, Retryable
from contracts.messages import timestamp
from storage.activity import Activity, ActivityStore
from storage.connections import Connection, Connections
from storage.database import now_ms
from storage.drain import DrainStore
from storage.due import DueRows, Taken
from storage.inspections import Inspection
from storage.turns import Turn
from workers.hearing import longest_ms, unusual_from_ms
from workers.inspecting import Found, Inspector, Look
from workers.normalizing import utc
from workers.policy import Policy
from workers.retrying import until_stored
from workers.turning import Change, Turning

log = structlog.get_logger()

EVERY_S: Final = 86_400.0
"""A connection is looked at, a tenth sooner or later, so that they come apart."""
_SPREAD: Final = 0.1


class Reconciler:
    """The job of a connection's `reconcile` row: due daily, and now when somebody asks for it."""

    def __init__(
        self,
        connections: Connections,
        activity: ActivityStore,
        rows: DueRows,
        store: DrainStore,
        inspector: Inspector,
        turning: Turning,
        policy: Policy,
    ) -> None:
        self._policy = policy
        self._connections, self._activity = connections, activity
        self._rows, self._store = rows, store
        self._inspector, self._turning = inspector, turning

    def run(self, row: Taken) -> None:
        """A pending connection is subscribed and becomes active; one that is paused stays so, and
        one that was ended is left alone. Raises `LeaseLost`, and what the inspector raises: then it
        is tried again.
        """
        try:
            connection = self._connections.get(row.key)
            if connection.status not in LOOKED_AFTER:
                self._rows.finish(row, None)
                return
            known = self._activity.of([row.key]).get(row.key)
            found = self._look(row, connection, known)
        except (NotFound, KeyDestroyed) as error:
            log.info("reconcile.over", connection=row.key, reason=error.reason)
            self._rows.remove(row)
            return
        until_stored(self._rows.seconds / 4)(self._commit, row, found, known)

    def _look(self, row: Taken, connection: Connection, known: Activity | None) -> Found:
        try:
            return self._inspector.look(Look(connection, known, _Renewed(self._rows, row)))
        except NotFound as error:  # the connection is there: a grant of it went meanwhile
            raise Retryable(str(error)) from None

    def _commit(self, row: Taken, found: Found, known: Activity | None) -> None:
        """What was found, with what the connection is by now."""
        connection = self._connections.get(row.key)
        if connection.status not in LOOKED_AFTER:
            self._rows.finish(row, None)
            return
        explained = {REFUSED, *UNDELIVERED} & set(kinds(found.causes))
        silence = "" if explained else _silence(known)
        causes = found.causes | ({SILENCE: silence} if silence else {})
        plan = self._turning.plan(row, [Change(connection, causes, found.missing)], begins=True)
        inspection = Inspection(
            row,
            now_ms() + _until_next_ms(),
            plan.turned[0],
            found.allowed,
            found.refused,
            found.subscription,
            found.gap,
            found.parent,
            _watch_from_ms(known),
        )
        appends = [*plan.appends]
        if connection.status != PAUSED and (notice := self._policy.notice(connection)):
            key = f"policy|{connection.id}|{self._policy.version}"
            appends += self._turning.say(notice, connection, key)
            inspection = inspection._replace(noticed=self._policy.version)
        try:
            self._store.write(Turn(first=inspection.commit, appends=appends))
        except BeingRevoked as error:
            raise Retryable(str(error), after_s=5) from None


class _Renewed:
    """Called before each call to the provider, so that all of them together may take longer than a
    lease.
    """

    def __init__(self, rows: DueRows, row: Taken) -> None:
        self._rows, self._row = rows, row
        self._fresh_until = time.monotonic() + rows.seconds / 12

    def __call__(self) -> None:
        if time.monotonic() > self._fresh_until:
            self._rows.renew(self._row)
            self._fresh_until = time.monotonic() + self._rows.seconds / 12


def _silence(known: Activity | None) -> str:
    """In words, when nothing was received for longer than the account is used to."""
    unusual = unusual_from_ms(known) if known else None
    if known is None or unusual is None or unusual > now_ms():
        return ""
    hours = (longest_ms(known) or 0) / 3_600_000
    since = timestamp(utc(known.last_at_ms))
    return f"nothing since {since}; the longest silence in two weeks was {hours:.1f} h"


def _watch_from_ms(known: Activity | None) -> int | None:
    """When to look for silence; what is silent already is looked at daily, and once it is not."""
    unusual = unusual_from_ms(known) if known else None
    return unusual if unusual is not None and unusual > now_ms() else None


def _until_next_ms() -> int:
    spread = random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - spread, not secrecy
    return int(EVERY_S * 1000 * spread)
