"""HTTP/1.1 as uvicorn speaks it, with a short way for deliveries.

A delivery is one small POST and one fixed answer. For it this protocol spares what ASGI costs (a
task, a scope, four messages: more than all else that is done with a delivery) and answers when the
inbox says that it is durable. Whatever is unusual (chunked, `Expect`, HTTP/1.0, upgrades,
pipelined, too large, another path or method) goes uvicorn's way, to the same endpoint as an ASGI
application.
"""

from functools import lru_cache
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.replies import Reply
from gateway.webhooks import BODY_CAP, Pending, Webhooks, declared_size


class _NoEvent:
    """Stands for the event that uvicorn sets for a waiting application; nobody waits here."""

    def set(self) -> None:
        """Nothing to do."""


_NO_EVENT: Final = _NoEvent()


@lru_cache(maxsize=2)
def _lines(*headers: tuple[bytes, bytes]) -> bytes:
    """Headers as HTTP; they change once a second, with the date."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)


class Delivery:
    """One POST on the short way. It has what uvicorn's connection asks of a request."""

    __slots__ = (
        "_pending",
        "_protocol",
        "body",
        "disconnected",
        "keep_alive",
        "path",
        "response_complete",
    )
    message_event = _NO_EVENT

    def __init__(self, protocol: "EdgeProtocol", path: str, keep_alive: bool) -> None:
        self._protocol, self.path, self.keep_alive = protocol, path, keep_alive
        self.body: bytes = b""
        self.disconnected = self.response_complete = False
        self._pending: Pending | None = None

    def take(self, webhooks: Webhooks) -> None:
        """The body is complete."""
        pending = webhooks.accept(self.path, self._protocol.headers, self.body, self.answer)
        if not self.response_complete:
            self._pending = pending

    def leave(self) -> None:
        """The sender has left before it was answered."""
        if self._pending is not None:
            self._pending.cancel()

    def answer(self, reply: Reply) -> None:
        """Send the reply, once."""
        protocol = self._protocol
        self.response_complete = True
        if self.disconnected or protocol.transport.is_closing():
            return
        date = _lines(*protocol.server_state.default_headers)
        close = b"" if self.keep_alive else b"connection: close\r\n"
        protocol.transport.write(b"".join((reply.status_line, date, close, reply.rest)))
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()


class EdgeProtocol(HttpToolsProtocol):
    """uvicorn's protocol, for an application that has `webhooks`."""

    def __init__(self, *arguments: Any, webhooks: Webhooks, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._webhooks = webhooks
        self._paths = {path.encode(): path for path in webhooks.paths}
        self._delivery: Delivery | None = None

    def on_message_begin(self) -> None:
        """A request begins; its scope is made when it turns out to need one."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._delivery = None

    def on_headers_complete(self) -> None:
        """Choose the way."""
        path = self._paths.get(self.url)
        if path is not None and self._is_plain():
            self._delivery = Delivery(self, path, self.parser.should_keep_alive())
            self.cycle = self._delivery  # type: ignore[assignment]
            return
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        delivery = self._delivery
        if delivery is None:
            super().on_body(body)
        else:
            delivery.body = delivery.body + body if delivery.body else body

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self._delivery is None:
            super().on_message_complete()
        else:
            self._delivery.take(self._webhooks)

    def connection_lost(self, exc: Exception | None) -> None:
        """The sender has left."""
        super().connection_lost(exc)
        if self._delivery is not None:
            self._delivery.leave()

    def _is_plain(self) -> bool:
        """Whether nothing is unusual about this POST to a callback path."""
        parser = self.parser
        return (
            parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and not self._is_answering()
            and 0 < self._declared() <= BODY_CAP
        )

    def _is_answering(self) -> bool:
        """Whether the request before, on this connection, has not been answered yet."""
        before: Any = self.cycle
        return before is not None and not before.response_complete

    def _declared(self) -> int:
        size = 0
        for name, value in self.headers:
            if name == b"content-length":
                size = declared_size(value)
            elif name == b"transfer-encoding":
                return 0
        return size
