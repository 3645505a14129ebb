"""HTTP/1.1 as uvicorn speaks it, with a short way for deliveries.

A delivery is one small POST and one fixed answer. For it this protocol spares what ASGI costs (a
task, a scope, four messages: more than all else that is done with a delivery) and answers when the
inbox says that it is durable. Whatever is unusual (chunked, `Expect`, HTTP/1.0, upgrades,
pipelined, too large, another path or method) goes uvicorn's way, to the same endpoint as an ASGI
application.
"""

from typing import Any, Final

import structlog

from gateway import replies
from gateway.bodies import BODY_CAP, Body, declared_size
from gateway.limits import Ended, LimitedProtocol, as_http
from gateway.replies import Reply
from gateway.webhooks import Pending, Webhooks

log = structlog.get_logger()


class _NoEvent:
    """Stands for the event that uvicorn sets for a waiting application; nobody waits here."""

    def set(self) -> None:
        """Nothing to do."""


_NO_EVENT: Final = _NoEvent()


class Delivery:
    """One POST on the short way. It has what uvicorn's connection asks of a request."""

    __slots__ = (
        "_pending",
        "_protocol",
        "_webhooks",
        "body",
        "disconnected",
        "keep_alive",
        "path",
        "response_complete",
    )
    message_event = _NO_EVENT

    def __init__(
        self, protocol: "EdgeProtocol", webhooks: Webhooks, path: str, keep_alive: bool
    ) -> None:
        self._protocol, self._webhooks = protocol, webhooks
        self.path, self.keep_alive = path, keep_alive
        self.body = Body(webhooks.bodies)
        self.disconnected = self.response_complete = False
        self._pending: Pending | None = None

    @property
    def response_started(self) -> bool:
        """An answer is written at once."""
        return self.response_complete

    def take(self) -> None:
        """The body is complete."""
        body = self.body.whole()
        self.body.drop()
        headers = self._protocol.headers
        try:
            pending = self._webhooks.accept(self.path, headers, body, self.answer)
        except Exception:  # the parser would answer 400, and the provider not deliver again
            log.exception("webhook.accept_failed")
            if not self.response_complete:
                self.answer(replies.AWAY)
            return
        if not self.response_complete:
            self._pending = pending

    def leave(self) -> None:
        """The sender has left; if it is not too late, nothing is stored."""
        self.body.drop()
        if self._pending is not None:
            self._pending.cancel()
        elif not self.response_complete:
            self._webhooks.left(self.path)

    def answer(self, reply: Reply) -> None:
        """Send the reply, once."""
        protocol = self._protocol
        self.response_complete = True
        self._pending = None
        if self.disconnected or protocol.transport.is_closing():
            return
        ends = b"" if self.keep_alive else b"connection: close\r\n"
        protocol.transport.write(as_http(reply, protocol.server_state.default_headers, ends))
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()


class EdgeProtocol(LimitedProtocol):
    """Speaks to senders, for an application that has `webhooks`."""

    def __init__(self, *arguments: Any, webhooks: Webhooks, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._webhooks = webhooks
        self._paths = {path.encode(): path for path in webhooks.paths}
        self._delivery: Delivery | None = None  # the request that comes, on the short way
        self._latest: Delivery | None = None  # the last one there; others may have come since

    def dispatch(self) -> None:
        """Choose the way."""
        path = self._paths.get(self.url)
        if path is None or not self._is_plain():
            self._delivery = None
            super().dispatch()
            return
        delivery = Delivery(self, self._webhooks, path, self.parser.should_keep_alive())
        self._delivery = self._latest = delivery
        self.cycle = delivery  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        delivery = self._delivery
        if delivery is None:
            super().on_body(body)
            return
        self._moved = True
        if not delivery.body.add(body):
            self._webhooks.crowded(delivery.path)
            self.refuse(replies.CROWDED, "bodies")
            delivery.response_complete = True
            raise Ended

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self._delivery is None:
            super().on_message_complete()
        else:
            self.completed()
            self._delivery.take()

    def connection_lost(self, exc: Exception | None) -> None:
        """The sender has left."""
        super().connection_lost(exc)
        if self._latest is not None:
            self._latest.leave()

    def _is_plain(self) -> bool:
        """Whether nothing is unusual about this POST to a callback path."""
        parser = self.parser
        return (
            parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and not self.flow.write_paused
            and not self.is_answering()
            and 0 < self._declared() <= BODY_CAP
        )

    def _declared(self) -> int:
        size = 0
        for name, value in self.headers:
            if name == b"content-length":
                size = declared_size(value)
            elif name == b"transfer-encoding":
                return 0
        return size
