"""Where providers deliver: verified, split, sealed and durable before it is acknowledged.

A raw ASGI endpoint: nothing is read from the database here, and nothing is parsed twice.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Final

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from contracts.connector import Delivery, Endpoint, Item, VerifiedDelivery
from contracts.errors import BadSignature, GatewayError, InvalidInput, MalformedDelivery
from contracts.messages import clean_text
from gateway import bodies, replies
from gateway.bodies import Bodies, Body
from gateway.metrics import Metrics
from gateway.query import parse_pairs
from gateway.refused import Refused
from gateway.replies import Headers, Reply
from gateway.run_keys import RunKeys
from gateway.seldom import Seldom
from storage.database import now_ms
from storage.inbox import Inbox, NewItem
from storage.lanes import lane_of

log = structlog.get_logger()

PREFIX: Final = "/webhooks/"

Answer = Callable[[Reply], None]

_encode: Final = msgspec.msgpack.Encoder().encode


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

    __slots__ = ("_answer", "_at_ms", "_done", "_routes", "_webhooks", "count")

    def __init__(
        self, webhooks: "Webhooks", count: _Counters, items: list[Item], at_ms: int, answer: Answer
    ) -> None:
        self._webhooks, self.count = webhooks, count
        self._routes = [(item.provider, item.route) for item in items]
        self._at_ms, self._answer, self._done = at_ms, answer, False

    def done(self) -> bool:
        """Whether nobody waits for the outcome any more."""
        return self._done

    def cancel(self) -> None:
        """The sender has left."""
        if not self._done:
            self._done = True
            self.count.disconnected()

    def set_result(self, _: None, /) -> None:
        """It is durable: acknowledge it."""
        self._done = True
        self.count.stored()
        for route in self._routes:
            self._webhooks.stored_of(route[0])()
        self._answer(replies.STORED)

    def set_exception(self, error: BaseException, /) -> None:
        """It is not stored: say so, and remember whom it concerned."""
        self._done = True
        provider = self._routes[0][0]
        reason = error.reason if isinstance(error, GatewayError) else "fault"
        if isinstance(error, InvalidInput):
            log.error("webhook.store_refused", provider=provider, reason=reason, cause=str(error))
        else:
            self._webhooks.not_stored.note(provider=provider, reason=reason)
        self.count.refused()
        for route in self._routes:
            self._webhooks.refused.note(*route, self._at_ms)
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
        self.bodies = Bodies()
        self.not_stored = Seldom("webhook.not_stored")
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

    def left(self, path: str) -> None:
        """The sender of a delivery left before its body was complete."""
        self._endpoints[path][1].disconnected()

    def crowded(self, path: str) -> None:
        """A delivery was refused because too many bodies were coming at the time."""
        self._endpoints[path][1].refused()

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
        except GatewayError as error:
            pending.set_exception(error)
        except Exception as error:
            log.exception("webhook.store_failed")
            pending.set_exception(error)
        return pending

    async def _receive(
        self, path: str, count: _Counters, headers: Headers, receive: Receive
    ) -> Reply | None:
        body = Body(self.bodies)
        try:
            await bodies.read(body, dict(headers), receive)
            answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
            pending = self.accept(path, headers, body.whole(), partial(_tell, answered))
        except bodies.Disconnected:
            count.disconnected()
            return None
        except bodies.TooLarge:
            count.too_large()
            return replies.TOO_LARGE
        except bodies.TooMany:
            count.refused()
            return replies.CROWDED
        finally:
            body.drop()
        try:
            return await answered
        except asyncio.CancelledError:
            if pending is not None:
                pending.cancel()
            raise


def _tell(answered: asyncio.Future[Reply], reply: Reply) -> None:
    """Who was cancelled wants no answer; in this round of the loop its delivery does not know."""
    if not answered.done():
        answered.set_result(reply)


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
