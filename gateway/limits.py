"""What one connection may take before anybody knows who it is: bytes, requests, time."""

import asyncio
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import replies
from gateway.metrics import Metrics
from gateway.replies import Headers, Reply
from gateway.seldom import Seldom

CONNECTIONS: Final = 1_000
"""How many may be open at once, in one process."""
HEADERS: Final = 100
HEAD_CAP: Final = 64 << 10
"""Bytes of a request's line and headers."""
HEAD_S: Final = 10.0
"""How long they may take; so long a new connection may also be silent."""
BODY_S: Final = 20.0
"""How long a body may take after its headers, and each `PROGRESS_BYTES` of a larger one."""
PROGRESS_BYTES: Final = 4 << 20
"""As many as a delivery may have: only uploads are larger."""
STALLED_S: Final = 60.0
"""How long a sender may leave answers unread."""
PIPELINED: Final = 8
"""How many requests may wait for the one before, on one connection."""

_NOTHING: Final = 0
_HEAD: Final = 1
_BODY: Final = 2


@dataclass
class Limits:
    """The limits of one server, and what is counted of those who meet them."""

    metrics: Metrics
    connections: int = CONNECTIONS
    head_s: float = HEAD_S
    body_s: float = BODY_S
    progress_bytes: int = PROGRESS_BYTES
    stalled_s: float = STALLED_S
    told: dict[str, Seldom] = field(default_factory=dict)

    def note(self, reason: str) -> None:
        """One connection met a limit, or spoke no HTTP."""
        self.metrics.calls.labels("connection", reason).inc()
        self.told.setdefault(reason, Seldom("http.refused")).note(reason=reason)


class Ended(Exception):
    """Nothing more is read from this connection."""


class _Flow(FlowControl):
    """Does not read on while requests wait for the one before: their application would."""

    def __init__(self, transport: asyncio.Transport, pipeline: Any) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        """Read on, if nothing waits."""
        if not self._pipeline:
            super().resume_reading()


@lru_cache(maxsize=2)
def _lines(*headers: tuple[bytes, bytes]) -> bytes:
    """Headers as HTTP; they change once a second, with the date."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)


def as_http(reply: Reply, date: Headers, ends: bytes = b"") -> bytes:
    """A reply as it is written; `ends` are more headers."""
    return b"".join((reply.status_line, _lines(*date), ends, reply.rest))


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which itself bounds neither headers nor time nor what is pipelined.

    Where a request comes in several reads, one deadline is armed: for its head, then for its body.
    """

    def __init__(self, *arguments: Any, limits: Limits, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limits = limits
        self.headers = []
        self._coming = _NOTHING  # what of a request has begun to come and is not complete
        self._moved = False  # whether this read has completed anything
        self._short = True  # whether a head that is complete in this read cannot be too long
        self._fed = 0  # bytes of the body since its deadline was armed
        self._loose = 0  # bytes of reads that completed nothing
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_of = _NOTHING
        self._stalled: asyncio.TimerHandle | None = None

    # -- the connection ------------------------------------------------------------------------

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """Somebody has connected."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        if len(self.connections) > self._limits.connections:
            self.refuse(replies.CROWDED, "connections")
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        super().connection_lost(exc)
        self.pipeline.clear()
        self._unwatch()
        self._unset_keepalive_if_required()
        if self._stalled is not None:
            self._stalled.cancel()

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self._moved = False
        self._short = not self._coming and len(data) <= HEAD_CAP
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._limits.note("upgrade")
        except httptools.HttpParserError:
            self.refuse(replies.NOT_HTTP, "malformed")
        self._loose = 0 if self._moved else self._loose + len(data)
        if self._loose > HEAD_CAP or len(self.headers) > HEADERS:
            self.refuse(replies.LONG, "headers")
        if self._coming or not (self.timeout_keep_alive_task is not None or self.is_answering()):
            self._watch()

    def shutdown(self) -> None:
        """The server stops: what has not come yet is not waited for."""
        if self._coming and not self.pipeline and self._is_turn():
            self._end()
        else:
            super().shutdown()

    def pause_writing(self) -> None:
        """Answers are not read."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self._limits.stalled_s, self._end)

    def resume_writing(self) -> None:
        """They are."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def timeout_keep_alive_handler(self) -> None:
        """Nothing was asked for a while."""
        self._end()

    # -- a request -----------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins; its scope is made when it turns out to need one."""
        if len(self.pipeline) >= PIPELINED:
            self.refuse(replies.CROWDED, "pipelined")
            raise Ended
        self._coming, self._moved = _HEAD, True
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Its head is complete."""
        if len(self.headers) > HEADERS or (not self._short and self._head_size() > HEAD_CAP):
            self.refuse(replies.LONG, "headers")
            raise Ended
        self.dispatch()
        self._coming, self._moved = _BODY, True

    def dispatch(self) -> None:
        """Go uvicorn's way."""
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        self._moved = True
        self._fed += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It is complete."""
        self.completed()
        super().on_message_complete()

    def completed(self) -> None:
        """Nothing of it is to come."""
        self._coming, self._moved = _NOTHING, True
        if self._deadline is not None:
            self._unwatch()

    def is_answering(self) -> bool:
        """Whether a request, on this connection, has not been answered yet."""
        before: Any = self.cycle
        return before is not None and not before.response_complete

    def refuse(self, reply: Reply, reason: str) -> None:
        """Close the connection; with a reply, if it is its turn."""
        transport = self.transport
        if transport.is_closing():
            return
        self._limits.note(reason)
        if not self.flow.write_paused and not self.pipeline and self._is_turn():
            transport.write(as_http(reply, self.server_state.default_headers))
        self._end()

    # -- deadlines -----------------------------------------------------------------------------

    def _is_turn(self) -> bool:
        cycle: Any = self.cycle
        if self._coming == _BODY:
            return not cycle.response_started
        return not self.is_answering()

    def _head_size(self) -> int:
        return len(self.url) + sum([len(name) + len(value) for name, value in self.headers])

    def _watch(self) -> None:
        """Let the deadline be that of what is to come; what is answered, or kept alive, has its
        end elsewhere.
        """
        coming = self._coming or _HEAD
        if self._deadline is not None and self._deadline_of == coming:
            return
        self._unwatch()
        if not self.transport.is_closing():
            limits = self._limits
            within = limits.head_s if coming == _HEAD else limits.body_s
            self._deadline_of = coming
            self._fed = 0
            self._deadline = self.loop.call_later(within, self._too_late)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if self._coming == _BODY and self._fed >= self._limits.progress_bytes:
            self._watch()
        elif self._coming:
            self.refuse(replies.LATE, "late")
        else:
            self._end()

    def _end(self) -> None:
        """Close; what is not read by now is not waited for."""
        if self.flow.write_paused:
            self.transport.abort()
        else:
            self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Said by `data_received`."""
