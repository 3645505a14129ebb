"""Tells the feed of pauses, and resumes: appends what waited, in order, then lifts the pause."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import structlog

from contracts.causes import PAUSED
from contracts.connector import Receives
from contracts.content.account import ConnectionPaused
from contracts.errors import Conflict, GatewayError, Misconfigured, Unavailable, VaultError
from storage.connections import Connection, Connections
from storage.database import now_ms
from storage.drain import DrainStore
from storage.due import DueRows, Taken
from storage.pausing import RESUMING, Batch, Lifted, Pause, Pauses, Said
from storage.turns import Park, Turn
from workers.matching import Matching
from workers.normalizing import Normalizer, Outcome, nothing
from workers.turning import Change, Turning

log = structlog.get_logger()

BATCH_ROWS: Final = 200
"""Items that are appended in one transaction."""
ATTEMPTS: Final = 2
"""After a crash items are appended one by one; the one that crashed so often is parked."""


class _Read(NamedTuple):
    """What items became, and those that stay parked for another reason."""

    outcome: Outcome
    parks: list[Park]


class Pauser:
    """The job of a pause's due row. Safe to share between threads."""

    def __init__(
        self,
        pauses: Pauses,
        connections: Connections,
        rows: DueRows,
        store: DrainStore,
        normalizer: Normalizer,
        turning: Turning,
        connectors: Mapping[str, Receives],
        matching: Matching,
    ) -> None:
        self._matching = matching
        self._pauses, self._connections = pauses, connections
        self._rows, self._store = rows, store
        self._normalizer, self._turning = normalizer, turning
        self._connectors = connectors
        self.batch = BATCH_ROWS
        self._stopping = threading.Event()

    def run(self, row: Taken) -> None:
        """Say what is not said yet, and go on with what is being resumed. Raises `Misconfigured`
        while its provider is off, `Unavailable`, and `LeaseLost`.
        """
        pause = self._pauses.of(row.key)
        if pause is not None and not pause.said:
            self._say(row, pause)
        if pause is None or pause.state != RESUMING:
            self._rows.finish(row, None)
            return
        self._resume(row)

    def stop(self) -> None:
        """End after the items that are at work; the rest is due at once."""
        self._stopping.set()

    def _say(self, row: Taken, pause: Pause) -> None:
        connection = self._connections.get(row.key)
        content = ConnectionPaused(reason=pause.reason or None)
        said = self._turning.say(content, connection, f"paused|{row.key}|{pause.at_ms}")
        turn = Turn(first=Said(row).commit, appends=said, statuses=(PAUSED,))
        self._store.write(turn)

    def _resume(self, row: Taken) -> None:
        """As far as half a lease goes, which others have turns in between."""
        until = time.monotonic() + self._rows.seconds / 2
        while time.monotonic() < until and not self._stopping.is_set():
            pause = self._pauses.of(row.key)
            if pause is None or pause.state != RESUMING:
                self._rows.finish(row, None)
                return
            try:
                if self._append_some(row):
                    log.info("pausing.resumed", connection=row.key)
                    return
            except Conflict as error:  # more came, or it turned: seen anew
                log.debug("pausing.again", connection=row.key, detail=str(error))
        self._rows.finish(row, now_ms())

    def _append_some(self, row: Taken) -> bool:
        """Some of what waits; whether that was the last, and the pause is lifted."""
        connection = self._connections.get(row.key)
        limit = 1 if row.crashes else self.batch
        parks = self._pauses.waiting(row.key, limit)
        tried = [park.item for park in parks] if row.crashes else []
        try:
            read = self._read_again(connection, parks) if tried else self._read(connection, parks)
            ids = [park.id for park in parks]
            turn = Turn(parks=read.parks, unparked=ids, tried=tried)
            turn = turn._replace(**self._matching.matched(read.outcome).for_turn())
            if len(parks) < limit:
                self._lift(row, connection, turn)
            else:
                self._store.write(turn._replace(first=Batch(row).commit, statuses=(PAUSED,)))
        except GatewayError:
            for item in tried:  # it did not end its process after all
                self._store.forget_attempt(item)
            raise
        return len(parks) < limit

    def _lift(self, row: Taken, connection: Connection, turn: Turn) -> None:
        """The last of what waits, and with it the connection turns."""
        change = Change(connection, connection.causes, connection.missing)
        plan = self._turning.plan(row, [change], lifts=True)
        lifted = Lifted(row, plan.turned[0], turn.unparked)
        appends = [*turn.appends, *plan.appends]
        self._store.write(turn._replace(first=lifted.commit, appends=appends))

    def _read_again(self, connection: Connection, parks: Sequence[Park]) -> _Read:
        """One item after a crash: the attempt is committed before it is made, so that an item that
        kills its process is found.
        """
        (park,) = parks
        attempt = self._store.count_attempt(park.item)
        if attempt <= ATTEMPTS:
            return self._read(connection, parks)
        log.error("pausing.item_kills", item=park.item, attempts=attempt)
        return _Read(nothing(), [park._replace(reason="killed-its-worker")])

    def _read(self, connection: Connection, parks: Sequence[Park]) -> _Read:
        """As the drain would have read them; what cannot be read is parked for that."""
        read = _Read(nothing(), [])
        for park in parks:
            connector = self._connectors.get(connection.provider)
            if connector is None:
                raise Misconfigured(f"provider {connection.provider} is off")
            try:
                item = self._normalizer.unpark(park)
            except Unavailable:
                raise
            except VaultError as error:
                read.parks.append(park._replace(reason="unreadable", detail=error.reason))
                continue
            outcome = self._normalizer.normalize(
                item, park.received_at_ms, connector, connection, late=True
            )
            read.outcome.and_then(outcome)
            if outcome.unreadable:
                detail = "; ".join(f"{x.kind}: {x.error}" for x in outcome.unreadable)
                read.parks.append(park._replace(reason="unreadable", detail=detail[:500]))
        return read
