"""`/webhooks/meta`: one callback URL for every object of the Meta app.

Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started.
"""

import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import ClassVar, Final

import msgspec

from connectors.kit.meta.settings import MetaSettings
from connectors.kit.rawjson import UNREADABLE, elements, members, mend
from connectors.kit.shape import Id
from connectors.kit.signatures import check_hub_signature
from contracts.connector import Delivery, Endpoint, Item, VerifiedDelivery
from contracts.errors import BadSignature, MalformedDelivery
from contracts.messages import clean_text

PROVIDERS: Final = {"page": "facebook"}
"""A delivery's `object` → the provider whose connector reads its entries."""

_OF_PEOPLE: Final = ("permissions", "user")
"""Objects whose entries are about a person's consent, and whose items have that person as route."""

_MOST_ENTRIES: Final = 10_000
"""Meta sends at most 1,000 updates in one POST."""

_LONGEST_ROUTE: Final = 200
_NOT_A_NAME: Final = re.compile(r"[^a-z0-9_]+")


class _Envelope(msgspec.Struct):
    object: str
    entry: list[msgspec.Raw]


class _Head(msgspec.Struct):
    id: Id


class _Person(msgspec.Struct):
    """Of an entry about a person: `uid` says who, and `id` may be "0"."""

    uid: Id = ""
    id: Id = ""


_envelope: Final = msgspec.json.Decoder(_Envelope)
_head: Final = msgspec.json.Decoder(_Head)
_person: Final = msgspec.json.Decoder(_Person)


class MetaEndpoint(Endpoint):
    """Signed with the app's secret; an item is what one delivery says of one account.

    An item's bytes are the entry's as they came, or `[entry,entry…]` when the account has several.
    An object of no provider here becomes items of `meta.<object>`, which stay unrouted.
    """

    path: ClassVar[str] = "meta"

    def __init__(self, settings: MetaSettings) -> None:
        self._secrets, self._verify_token = settings.secrets, settings.verify_token

    def handshake(self, query: Mapping[str, str]) -> str:
        given = query.get("hub.verify_token", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, self._verify_token.reveal().encode()):
            raise BadSignature("hub.verify_token does not match")
        if query.get("hub.mode") != "subscribe" or "hub.challenge" not in query:
            raise BadSignature("not a subscription handshake")
        return query["hub.challenge"]

    def check(self, delivery: Delivery) -> str:
        return check_hub_signature(delivery, self._secrets)

    def split(self, delivery: VerifiedDelivery) -> list[Item]:
        kind, entries = _decoded(delivery.body) or _cut(delivery.body)
        if len(entries) > _MOST_ENTRIES:
            raise MalformedDelivery("too many entries")
        about = _whose if kind in _OF_PEOPLE else _account
        return _items(PROVIDERS.get(kind) or f"meta.{_as_name(kind)}", entries, about)


def _decoded(body: bytes) -> tuple[str, list[bytes]] | None:
    """Object and entries by the parser, or nothing when it cannot or would lose some."""
    if body.count(b'"entry"') != 1:  # of several it keeps the last alone
        return None
    try:
        envelope = _envelope.decode(body)
    except UNREADABLE:
        return None
    return envelope.object, [bytes(entry) for entry in envelope.entry]


def _cut(body: bytes) -> tuple[str, list[bytes]]:
    """Object and entries by their brackets, and what stands astray beside them.

    Raises `MalformedDelivery`.
    """
    kind, entries, strays = None, None, list[bytes]()
    try:
        for key, value in members(body):
            if key == "object":
                kind = msgspec.json.decode(mend(value), type=str)
            elif key == "entry":
                entries = [*(entries or ()), *islice(elements(value), _MOST_ENTRIES + 1)]
            elif key is None:
                strays.append(value)
    except (ValueError, *UNREADABLE):
        raise MalformedDelivery("object or entry cannot be read") from None
    if kind is None or entries is None:
        raise MalformedDelivery("object or entry is missing")
    return kind, [*entries, *strays]


def _as_name(kind: str) -> str:
    return _NOT_A_NAME.sub("_", kind.lower())[:40]


def _account(raw: bytes) -> Id:
    return _head.decode(raw).id


def _whose(raw: bytes) -> Id:
    found = _person.decode(raw)
    return found.uid or found.id


def _items(provider: str, entries: Iterable[bytes], about: Callable[[bytes], Id]) -> list[Item]:
    parts: list[tuple[str, list[bytes]]] = []
    readable: dict[str, list[bytes]] = {}
    for raw in entries:
        try:
            route = _route(about(raw))
        except UNREADABLE:  # an item of its own: it must not spoil others of its account
            broken = _found_route(raw)
            parts.append((broken, [raw]))
            _close(readable, broken)
            continue
        if route in readable:
            readable[route].append(raw)
            continue
        parts.append((route, [raw]))
        if route:
            readable[route] = parts[-1][1]
    return [Item(provider=provider, route=route, raw=_joined(raws)) for route, raws in parts]


def _close(readable: dict[str, list[bytes]], route: str) -> None:
    """What follows a broken entry of an account must not overtake it; without a route it may be
    anybody's.
    """
    if route:
        readable.pop(route, None)
    else:
        readable.clear()


def _joined(raws: list[bytes]) -> bytes:
    return raws[0] if len(raws) == 1 else b"[" + b",".join(raws) + b"]"


def _route(identifier: Id) -> str:
    route = clean_text(str(identifier))
    return route if len(route) <= _LONGEST_ROUTE else ""


def _found_route(raw: bytes) -> str:
    """The id of an entry that cannot be decoded, or nothing."""
    try:
        for identifier in _ids(raw):
            return _route(identifier)
    except (ValueError, *UNREADABLE):
        pass  # it stays without a route, for an operator to look at
    return ""


def _ids(raw: bytes) -> Iterator[Id]:
    for key, value in members(raw):
        if key == "id":
            yield msgspec.json.decode(mend(value), type=Id)
