"""Where providers deliver: verified, split, sealed and durable before it is acknowledged.

A raw ASGI endpoint: nothing is read from the database here, and nothing is parsed twice.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from contracts.connector import Delivery, Endpoint, Item, VerifiedDelivery
from contracts.errors import BadSignature, InvalidInput, MalformedDelivery, Unavailable
from contracts.messages import clean_text
from gateway import replies
from gateway.metrics import Metrics
from gateway.query import parse_pairs
from gateway.refused import Refused
from gateway.replies import Headers, Reply
from gateway.run_keys import RunKeys
from storage.database import now_ms
from storage.inbox import Inbox, NewItem
from storage.lanes import lane_of

log = structlog.get_logger()

PREFIX: Final = "/webhooks/"
BODY_CAP: Final = 4 << 20
DRAIN_CAP: Final = 16 << 20
"""How much of a body beyond the cap is read and thrown away, so that its sender gets the answer."""

Answer = Callable[[Reply], None]


_encode: Final = msgspec.msgpack.Encoder().encode


class _Disconnected(Exception):
    """The sender left before its body was complete."""


class _TooLarge(Exception):
    """The body is beyond the cap."""


class _Counters:
    """One endpoint's counters, bound to their labels once."""

    def __init__(self, path: str, metrics: Metrics) -> None:
        def count(result: str) -> Callable[[], None]:
            return metrics.deliveries.labels(path, result).inc

        self.stored, self.empty, self.malformed = (
            count("stored"),
            count("empty"),
            count("malformed"),
        )
        self.forged, self.too_large = count("bad_signature"), count("too_large")
        self.refused, self.disconnected = count("refused"), count("disconnected")


class Pending:
    """A delivery on its way into the store; the inbox tells it, and it tells the sender.

    `cancel` it when the sender has left: what is not in a batch by then is not stored.
    """

    __slots__ = ("_answer", "_at_ms", "_done", "_items", "_webhooks", "count")

    def __init__(
        self, webhooks: "Webhooks", count: _Counters, items: list[Item], at_ms: int, answer: Answer
    ) -> None:
        self._webhooks, self.count, self._items = webhooks, count, items
        self._at_ms, self._answer, self._done = at_ms, answer, False

    def done(self) -> bool:
        """Whether nobody waits for the outcome any more."""
        return self._done

    def cancel(self) -> None:
        """The sender has left."""
        self._done = True

    def set_result(self, _: None, /) -> None:
        """It is durable: acknowledge it."""
        self._done = True
        self.count.stored()
        for item in self._items:
            self._webhooks.stored_of(item.provider)()
        self._answer(replies.STORED)

    def set_exception(self, error: BaseException, /) -> None:
        """It is not stored: say so, and remember whom it concerned."""
        self._done = True
        if isinstance(error, InvalidInput):
            log.error("webhook.store_refused", provider=self._items[0].provider)
        self.count.refused()
        for item in self._items:
            self._webhooks.refused.note(item.provider, item.route, self._at_ms)
        self._answer(replies.AWAY)


class Webhooks:
    """Everything under `/webhooks/`, as an ASGI application and, for `protocol`, without ASGI."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        inbox: Inbox,
        run_keys: RunKeys,
        refused: Refused,
        metrics: Metrics,
    ) -> None:
        """`endpoints` by path, without `/webhooks/`."""
        self._endpoints = {
            PREFIX + path: (endpoint, _Counters(path, metrics))
            for path, endpoint in endpoints.items()
        }
        self._inbox = inbox
        self._run_keys = run_keys
        self.refused = refused
        self.stored_of = cache(lambda provider: metrics.items.labels(provider).inc)

    @property
    def paths(self) -> Sequence[str]:
        """Where providers deliver."""
        return list(self._endpoints)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; never a 500, and never a 200 for what is not stored."""
        found = self._endpoints.get(scope["path"])
        if found is None:
            reply: Reply | None = replies.UNKNOWN
        elif scope["method"] == "POST":
            reply = await self._receive(scope["path"], found[1], scope["headers"], receive)
        elif scope["method"] == "GET":
            reply = _greet(found[0], scope["query_string"])
        else:
            reply = replies.METHOD
        if reply is not None:
            await send(reply.start)
            await send(reply.body)

    def accept(self, path: str, headers: Headers, body: bytes, answer: Answer) -> Pending | None:
        """Take a complete POST to one of `paths`; `answer` is called once: now, or when stored.

        Returns what is on its way into the store, if anything is.
        """
        endpoint, count = self._endpoints[path]
        named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        try:
            verified = endpoint.verify(Delivery(named, body))
        except BadSignature:
            count.forged()
            answer(replies.FORGED)
            return None
        except Exception:
            log.exception("webhook.verify_failed", endpoint=endpoint.path)
            count.refused()
            answer(replies.AWAY)
            return None
        items = _split(endpoint, verified, count)
        if not items:
            count.empty()
            answer(replies.STORED)
            return None
        return self._store(Pending(self, count, items, at := now_ms(), answer), items, at)

    def _store(self, pending: Pending, items: list[Item], at_ms: int) -> Pending:
        try:
            sealer, key = self._run_keys.at(at_ms)
            seal = sealer.seal
            rows = [
                NewItem(
                    lane_of(item.provider, item.route), item.provider, *_sealed(seal, item, at_ms)
                )
                for item in items
            ]
            self._inbox.submit(key, rows, pending)
        except (Unavailable, InvalidInput) as error:
            pending.set_exception(error)
        return pending

    async def _receive(
        self, path: str, count: _Counters, headers: Headers, receive: Receive
    ) -> Reply | None:
        try:
            body = await _body(dict(headers), receive)
        except _Disconnected:
            count.disconnected()
            return None
        except _TooLarge:
            count.too_large()
            return replies.TOO_LARGE
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        pending = self.accept(path, headers, body, answered.set_result)
        try:
            return await answered
        except asyncio.CancelledError:
            if pending is not None:
                pending.cancel()
            raise


def _sealed(
    seal: Callable[[bytes], tuple[int, bytes]], item: Item, at_ms: int
) -> tuple[int, int, bytes]:
    try:
        packed = _encode(item)
    except UnicodeEncodeError:  # a lone surrogate in the route; the raw bytes keep it
        packed = _encode(Item(item.provider, clean_text(item.route), item.raw))
    n, sealed = seal(packed)
    return n, at_ms, sealed


def _split(endpoint: Endpoint, verified: VerifiedDelivery, count: _Counters) -> list[Item]:
    """The delivery's items; one that cannot be split is kept whole, because it was signed."""
    try:
        return endpoint.split(verified)
    except MalformedDelivery:
        count.malformed()
    except Exception:
        log.exception("webhook.split_failed", endpoint=endpoint.path)
        count.malformed()
    return [Item(endpoint.path, "", verified.body)]


def _greet(endpoint: Endpoint, query_string: bytes) -> Reply:
    try:
        answer = endpoint.handshake(dict(parse_pairs(query_string)))
    except BadSignature:
        return replies.STRANGER
    except InvalidInput:
        return replies.QUERY
    plain = (b"content-type", b"text/plain; charset=utf-8")
    nosniff = (b"x-content-type-options", b"nosniff")
    return replies.reply(200, [plain, nosniff], answer.encode("utf-8", "replace"))


async def _body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """The whole body. Raises `_TooLarge` and `_Disconnected`."""
    if declared_size(headers.get(b"content-length", b"")) > BODY_CAP:
        if b"expect" not in headers:
            await _discard(receive)
        raise _TooLarge
    message: Any = await receive()
    if message["type"] == "http.disconnect":
        raise _Disconnected
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False) and len(body) <= BODY_CAP:
        return body
    return await _rest(bytearray(body), message.get("more_body", False), receive)


def declared_size(content_length: bytes) -> int:
    """The bytes that a body is said to have; 0 when nothing is said."""
    return int(content_length) if content_length.isdigit() and len(content_length) < 20 else 0


async def _rest(body: bytearray, more: bool, receive: Receive) -> bytes:
    while more and len(body) <= BODY_CAP:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if len(body) > BODY_CAP:
        if more:
            await _discard(receive)
        raise _TooLarge
    return bytes(body)


async def _discard(receive: Receive) -> None:
    """Read what still comes, up to `DRAIN_CAP` bytes, and keep none of it."""
    read = 0
    while read < DRAIN_CAP:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        read += len(message.get("body", b""))
        if not message.get("more_body", False):
            return
