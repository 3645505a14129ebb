"""Sends what is due of a line, one after the other: each call is on disk before it is made.

A worker that dies in the middle of a call leaves a send that is `sending`: whoever comes next makes
it `unknown`, and never sends it again.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import structlog

from contracts.errors import (
    GatewayError,
    Gone,
    KeyDestroyed,
    NotFound,
    NotStored,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    ProviderError,
    Reauthorize,
    Retryable,
)
from contracts.sending import Letter, Sent
from storage.connections import Connection, Connections
from storage.database import now_ms
from storage.drain import DrainStore
from storage.due import DueRows, Taken
from storage.outbox import SEND, Becomes, Forestalled, Outbox, Send
from storage.turns import SENDING, TAKING, Append, Turn
from workers.calling import Accounts
from workers.letters import Letters
from workers.metrics import Metrics
from workers.retrying import pause_s, until_stored
from workers.scheduler import AT_ONCE
from workers.telling import Telling

log = structlog.get_logger()

TURN_S: Final = 30.0
"""After so long in one line a worker lets others have their turn."""
LINES_OF_ONE: Final = AT_ONCE // 2
"""Of one connection a worker is at so many lines: a provider that is slow for it, as for all of a
tenant's contacts at once, holds up no other."""
CROWDED_S: Final = (1.0, 3.0)
"""So long the others of its lines wait."""
UNKNOWN_S: Final = 900.0
"""So long an unknown outcome waits for an echo or a status; then the feed says that it is one."""
PAUSED_S: Final = 60.0
"""What waits for a paused connection is looked at so often."""

HOPELESS: Final = (Reauthorize, Permanent, NotFound, Gone, NotStored, KeyDestroyed)
"""What ends a send before its call."""

_LOST: Final = "the worker ended while it was being sent"
_TOO_LATE: Final = "it could not be sent in time"


class Line(NamedTuple):
    """A send about to go out: its line's due row, and its connection."""

    row: Taken
    send: Send
    connection: Connection


class Sender:
    """The job of due rows of lines. Safe to share between threads."""

    def __init__(
        self,
        outbox: Outbox,
        rows: DueRows,
        store: DrainStore,
        connections: Connections,
        accounts: Accounts,
        letters: Letters,
        telling: Telling,
        metrics: Metrics,
    ) -> None:
        self._outbox, self._rows, self._store = outbox, rows, store
        self._connections, self._accounts, self._letters = connections, accounts, letters
        self._telling, self._metrics = telling, metrics
        self._busy, self._counting = Counter[str](), threading.Lock()

    def run(self, row: Taken) -> None:
        """Send what waits in the line of `row`, in order. Raises `LeaseLost`, and what our own
        parts raise before a call: nothing is lost then. A connection that is at enough lines
        already leaves the threads to others.
        """
        send = self._outbox.next(row.key)
        if send is None:
            self._outbox.rest(row)
            return
        with self._place(send.connection) as has_one:
            if has_one:
                self._send_all(row, send)
            else:
                self._rows.give_back(row, random.uniform(*CROWDED_S))  # noqa: S311 - spread

    def _send_all(self, row: Taken, first: Send) -> None:
        until, send = time.monotonic() + TURN_S, first
        while not self._is_put_off(row, send):
            if time.monotonic() > until:
                self._rows.finish(row, now_ms())
                return
            following = self._outbox.next(row.key)
            if following is None:
                self._outbox.rest(row)
                return
            send = following

    @contextmanager
    def _place(self, connection: str) -> Iterator[bool]:
        """Whether one more line of the connection may be at work, which it is inside of it."""
        with self._counting:
            has_one = self._busy[connection] < LINES_OF_ONE
            self._busy[connection] += has_one
        try:
            yield has_one
        finally:
            with self._counting:
                self._busy[connection] -= has_one
                self._busy += Counter()  # without those at zero

    def _is_put_off(self, row: Taken, send: Send) -> bool:
        """Do what is to be done for the first of a line; whether the line has to wait."""
        if send.state == "sending":
            self._commit(_unknown(row, send, _LOST))
            return False
        connection = self._connections.get(send.connection)
        line = Line(row, send, connection)
        if now_ms() > send.until_ms:
            return self._fail(line, "expired", "", send.detail or _TOO_LATE)
        if connection.status == "paused":
            return self._wait(line, PAUSED_S, "the connection is paused")
        if connection.status not in SENDING:
            return self._fail(line, "not-connected", "", f"the connection is {connection.status}")
        return self._send(line)

    def _send(self, line: Line) -> bool:
        connector = self._telling.connector(line.connection)
        try:
            letter = self._letters.open(line.send)
            outgoing = self._letters.linked(line.send, letter.outgoing)
            client = self._accounts.caller_for(line.connection, job=SEND).client
        except Retryable as error:
            return self._again(line, error)
        except HOPELESS as error:
            return self._refused(line, error)
        begun = self._outbox.begin(line.row, line.send, self._rows.seconds)
        line = line._replace(send=begun)
        try:
            sent = connector.send(client, outgoing)
        except ProviderError as error:
            return self._failed(line, error)
        except Exception as error:  # noqa: BLE001 - it may have been sent; never again
            log.error("send.fault", send=begun.id, error=type(error).__name__)
            return self._failed(line, OutcomeUnknown(f"unexpected: {type(error).__name__}"))
        return self._sent(line, letter, sent)

    def _sent(self, line: Line, letter: Letter, sent: Sent) -> bool:
        send, connection = line.send, line.connection
        letter = Letter(letter.outgoing, sent)
        account = letter.outgoing.account
        becomes = Becomes(
            line.row,
            send,
            "sent",
            message=self._letters.message(send, connection.provider, account, sent),
            contact=self._letters.contact(send, connection.provider, sent.contact),
            sealed=self._letters.seal(send, letter),
            said=True,
        )
        self._commit(becomes, self._telling.sent(connection, send, letter))
        return False

    # -- what did not work ------------------------------------------------------------------

    def _failed(self, line: Line, error: ProviderError) -> bool:
        if isinstance(error, OutcomeUnknown):
            self._commit(_unknown(line.row, line.send, str(error), error.code or ""))
            return False
        if isinstance(error, Retryable):
            return self._again(line, error)
        return self._refused(line, error)

    def _again(self, line: Line, error: Retryable) -> bool:
        """It was surely not sent: the line waits, unless that would be too late."""
        wait_s = pause_s(error, line.send.attempts + 1)
        if now_ms() + wait_s * 1000 > line.send.until_ms:
            return self._fail(line, error.reason, error.code or "", f"{_TOO_LATE}: {error}")
        return self._wait(line, wait_s, str(error))

    def _wait(self, line: Line, wait_s: float, detail: str) -> bool:
        again_at_ms = now_ms() + int(wait_s * 1000)
        waits = Becomes(line.row, line.send, "queued", detail=detail, again_at_ms=again_at_ms)
        return self._commit(waits)

    def _refused(self, line: Line, error: GatewayError) -> bool:
        """For good. What is wrong with the grant is found, and told, by a look."""
        code = error.code or "" if isinstance(error, ProviderError) else ""
        look = isinstance(error, Reauthorize | PermissionMissing)
        return self._fail(line, error.reason, code, str(error), look=look)

    def _fail(self, line: Line, reason: str, code: str, detail: str, *, look: bool = False) -> bool:
        failed = line.send._replace(reason=reason, code=code, detail=detail)
        becomes = Becomes(line.row, line.send, "failed", reason, code, detail, look=look)
        self._commit(becomes, self._telling.failed(line.connection, failed))
        return False

    def _commit(self, becomes: Becomes, appends: tuple[Append, ...] = ()) -> bool:
        """However often that takes, as long as the line is surely ours. What the provider's own
        word was quicker with is left as it is, and the line goes on: whether it was not.
        """
        try:
            turn = Turn(first=becomes.commit, appends=appends, statuses=TAKING)
            until_stored(self._rows.seconds / 4)(self._store.write, turn)
        except Forestalled:
            log.info("send.settled_already", send=becomes.send.id)
            return False
        self._metrics.sends.labels(becomes.state, becomes.reason).inc()
        return True


def _unknown(row: Taken, send: Send, detail: str, code: str = "") -> Becomes:
    settle_at_ms = now_ms() + int(UNKNOWN_S * random.uniform(1, 1.1) * 1000)  # noqa: S311 - spread
    return Becomes(
        row, send, "unknown", OutcomeUnknown.reason, code, detail, settle_at_ms=settle_at_ms
    )


class Settler:
    """The job of a send whose outcome has to be told, or ended: by a status without an echo, or
    because nothing came.
    """

    def __init__(
        self,
        outbox: Outbox,
        rows: DueRows,
        store: DrainStore,
        connections: Connections,
        letters: Letters,
        telling: Telling,
    ) -> None:
        self._outbox, self._rows, self._store = outbox, rows, store
        self._connections, self._letters, self._telling = connections, letters, telling

    def run(self, row: Taken) -> None:
        """Raises `LeaseLost`, and `Forestalled` for what was settled meanwhile: due again then."""
        try:
            send = self._outbox.get(row.key)
        except NotFound:
            self._rows.remove(row)
            return
        appends = () if send.said else self._told(send)
        becomes = Becomes(row, send, send.state, send.reason, send.code, send.detail)
        becomes = becomes._replace(said=True, ends=True)
        self._store.write(Turn(first=becomes.commit, appends=appends, statuses=TAKING))

    def _told(self, send: Send) -> tuple[Append, ...]:
        connection = self._connections.get(send.connection)
        if send.state == "unknown":
            return self._telling.failed(connection, send)
        if send.state != "sent" or not send.sealed:
            return ()
        return self._telling.sent(connection, send, self._letters.open(send))
