"""Where providers deliver: verified, split, sealed and durable before it is acknowledged.

A raw ASGI endpoint: nothing is read from the database here, and nothing is parsed twice.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from starlette.types import Message, Receive, Scope, Send

from contracts.connector import Delivery, Endpoint, Item, VerifiedDelivery
from contracts.errors import BadSignature, InvalidInput, MalformedDelivery, Unavailable
from contracts.messages import clean_text
from gateway.metrics import Metrics
from gateway.problems import problem
from gateway.query import parse_pairs
from gateway.refused import Refused
from gateway.run_keys import RunKeys
from storage.database import now_ms
from storage.inbox import Inbox, NewItem
from storage.lanes import lane_of

log = structlog.get_logger()

PREFIX: Final = "/webhooks/"
BODY_CAP: Final = 4 << 20
DRAIN_CAP: Final = 16 << 20
"""How much of a body beyond the cap is read and thrown away, so that its sender gets the answer."""
RETRY_AFTER_S: Final = 1

Headers = list[tuple[bytes, bytes]]


class _Reply(NamedTuple):
    """An answer made once and sent many times."""

    start: Message
    body: Message


def _reply(status: int, headers: Headers, body: bytes = b"") -> _Reply:
    size = (b"content-length", str(len(body)).encode())
    start = {"type": "http.response.start", "status": status, "headers": [size, *headers]}
    return _Reply(start, {"type": "http.response.body", "body": body})


def _refusal(status: int, name: str, title: str, headers: Headers | None = None) -> _Reply:
    kind = (b"content-type", b"application/problem+json")
    return _reply(status, [kind, *(headers or [])], problem(status, name, title))


_STORED: Final = _reply(200, [])
_FORGED: Final = _refusal(401, "bad-signature", "Not signed by the provider")
_STRANGER: Final = _refusal(403, "bad-signature", "Not the provider's handshake")
_UNKNOWN: Final = _refusal(404, "not-found", "Nothing is delivered here")
_METHOD: Final = _refusal(
    405, "method-not-allowed", "Only GET and POST", [(b"allow", b"GET, POST")]
)
_QUERY: Final = _refusal(400, "invalid", "The query cannot be read")
_TOO_LARGE: Final = _refusal(413, "too-large", "More than 4 MiB", [(b"connection", b"close")])
_AWAY: Final = _refusal(
    503, "unavailable", "Not stored; deliver again", [(b"retry-after", b"%d" % RETRY_AFTER_S)]
)

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


class Webhooks:
    """The ASGI application of everything under `/webhooks/`."""

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
            path: (endpoint, _Counters(path, metrics)) for path, endpoint in endpoints.items()
        }
        self._inbox = inbox
        self._run_keys = run_keys
        self._refused = refused
        self._stored_of = cache(lambda provider: metrics.items.labels(provider).inc)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; never a 500, and never a 200 for what is not stored."""
        found = self._endpoints.get(scope["path"][len(PREFIX) :])
        if found is None:
            reply: _Reply | None = _UNKNOWN
        elif scope["method"] == "POST":
            reply = await self._receive(*found, scope["headers"], receive)
        elif scope["method"] == "GET":
            reply = _greet(found[0], scope["query_string"])
        else:
            reply = _METHOD
        if reply is not None:
            await send(reply.start)
            await send(reply.body)

    async def _receive(
        self, endpoint: Endpoint, count: _Counters, raw_headers: Headers, receive: Receive
    ) -> _Reply | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw_headers}
        try:
            body = await _body(headers, receive)
        except _Disconnected:
            count.disconnected()
            return None
        except _TooLarge:
            count.too_large()
            return _TOO_LARGE
        try:
            verified = endpoint.verify(Delivery(headers, body))
        except BadSignature:
            count.forged()
            return _FORGED
        except Exception:
            log.exception("webhook.verify_failed", endpoint=endpoint.path)
            count.refused()
            return _AWAY
        return await self._keep(_split(endpoint, verified, count), count)

    async def _keep(self, items: list[Item], count: _Counters) -> _Reply:
        if not items:
            count.empty()
            return _STORED
        at = now_ms()
        try:
            run = self._run_keys.at(at)
            seal = run.sealer.seal
            rows = [
                NewItem(lane_of(item.provider, item.route), item.provider, *_sealed(seal, item, at))
                for item in items
            ]
            await self._inbox.put(run.key, rows)
        except Unavailable:
            return self._refuse(items, at, count)
        except InvalidInput:
            log.exception("webhook.store_refused", provider=items[0].provider)
            return self._refuse(items, at, count)
        count.stored()
        for item in items:
            self._stored_of(item.provider)()
        return _STORED

    def _refuse(self, items: list[Item], at_ms: int, count: _Counters) -> _Reply:
        count.refused()
        for item in items:
            self._refused.note(item.provider, item.route, at_ms)
        return _AWAY


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


def _greet(endpoint: Endpoint, query_string: bytes) -> _Reply:
    try:
        answer = endpoint.handshake(dict(parse_pairs(query_string)))
    except BadSignature:
        return _STRANGER
    except InvalidInput:
        return _QUERY
    plain = (b"content-type", b"text/plain; charset=utf-8")
    nosniff = (b"x-content-type-options", b"nosniff")
    return _reply(200, [plain, nosniff], answer.encode("utf-8", "replace"))


async def _body(headers: Mapping[str, str], receive: Receive) -> bytes:
    """The whole body. Raises `_TooLarge` and `_Disconnected`."""
    declared = headers.get("content-length", "")
    if len(declared) > 6 and declared.isdecimal() and int(declared) > BODY_CAP:
        if "expect" not in headers:
            await _discard(receive)
        raise _TooLarge
    message: Any = await receive()
    if message["type"] == "http.disconnect":
        raise _Disconnected
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False) and len(body) <= BODY_CAP:
        return body
    return await _rest(bytearray(body), message.get("more_body", False), receive)


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
