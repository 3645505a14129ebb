"""`/webhooks/meta`: one callback URL for every object of the Meta app and of the Instagram app.

Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started.
"""

import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import ClassVar, Final

import msgspec

from connectors.kit.instagram.whose import account_of
from connectors.kit.meta.numbers import by_number
from connectors.kit.meta.settings import MetaApps
from connectors.kit.rawjson import UNREADABLE, elements, members, mend
from connectors.kit.shape import Id
from connectors.kit.signatures import check_hub_signature
from contracts.connector import Delivery, Endpoint, Item, VerifiedDelivery
from contracts.errors import BadSignature, MalformedDelivery
from contracts.messages import clean_text

PROVIDERS: Final = {
    "page": "facebook",
    "instagram": "instagram",
    "whatsapp_business_account": "whatsapp",
}
"""A delivery's `object` → the provider whose connector reads its entries."""

_ADMITS: Final = {"instagram": "instagram", "instagram-previous": "instagram"}
"""A secret's name → the only `object` whose deliveries it may sign; what is not here signs all."""

_MOST_ENTRIES: Final = 10_000
"""Meta sends at most 1,000 updates in one POST."""

_LONGEST_ROUTE: Final = 200
_NOT_A_NAME: Final = re.compile(r"[^a-z0-9_]+")


class _Envelope(msgspec.Struct):
    object: str
    entry: list[msgspec.Raw]


class _Head(msgspec.Struct):
    id: Id


class _About(msgspec.Struct):
    uid: Id = ""


_envelope: Final = msgspec.json.Decoder(_Envelope)
_head: Final = msgspec.json.Decoder(_Head)
_about: Final = msgspec.json.Decoder(_About)


class MetaEndpoint(Endpoint):
    """Signed with an app's secret; an item is what one delivery says of one account.

    An item's bytes are the entry's as they came, or `[entry,entry…]` when the account has several;
    an entry that tells of several phone numbers is cut into one for each.
    An object of no provider here becomes items of `meta.<object>`, which stay unrouted.
    """

    path: ClassVar[str] = "meta"
    own_settings: ClassVar[type[msgspec.Struct] | None] = MetaApps

    def __init__(self, settings: MetaApps) -> None:
        self._secrets, self._verify_token = settings.secrets, settings.meta_verify_token

    def handshake(self, query: Mapping[str, str]) -> str:
        given = query.get("hub.verify_token", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, self._verify_token.reveal().encode()):
            raise BadSignature("hub.verify_token does not match")
        if query.get("hub.mode") != "subscribe" or "hub.challenge" not in query:
            raise BadSignature("not a subscription handshake")
        return query["hub.challenge"]

    def check(self, delivery: Delivery) -> str:
        signer = check_hub_signature(delivery, self._secrets)
        if signer in _ADMITS and not _is_of(_ADMITS[signer], delivery.body):
            raise BadSignature("the object is none that this secret may sign")
        return signer

    def split(self, delivery: VerifiedDelivery) -> list[Item]:
        kind, entries = _read(delivery.body)
        if len(entries) > _MOST_ENTRIES:
            raise MalformedDelivery("too many entries")
        items = _items(PROVIDERS.get(kind) or f"meta.{_as_name(kind)}", entries)
        if len(items) > _MOST_ENTRIES:
            raise MalformedDelivery("too many accounts")
        return items


def _read(body: bytes) -> tuple[str, list[bytes]]:
    """Object and entries. Raises `MalformedDelivery`."""
    return _decoded(body) or _cut(body)


def _is_of(kind: str, body: bytes) -> bool:
    """Whether `body` is of the object `kind`, or cannot be read: that is for `split` to say."""
    try:
        return _read(body)[0] == kind
    except MalformedDelivery:
        return True


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


def _person(raw: bytes) -> Id | None:
    """Who it is about, in an entry about a person: its `id` may be "0"."""
    return _about.decode(raw).uid or None


_WHOSE: Final[Mapping[str, Callable[[bytes], Id | None]]] = {
    "instagram": account_of,
    "meta.permissions": _person,
    "meta.user": _person,
}
"""A provider → what tells an entry's account, or person, when its `id` does not."""


def _items(provider: str, entries: Iterable[bytes]) -> list[Item]:
    numbered = provider == "whatsapp"
    told = _numbered(entries) if numbered else _named(entries, _WHOSE.get(provider))
    parts: list[tuple[str, list[bytes]]] = []
    readable: dict[str, list[bytes]] = {}
    for route, raw, sound in told:
        if not sound:  # an item of its own: it must not spoil others of its account
            parts.append((route, [raw]))
            _close(readable, route)
            continue
        if route in readable:
            readable[route].append(raw)
            continue
        parts.append((route, [raw]))
        if route:
            readable[route] = parts[-1][1]
    return [Item(provider=provider, route=route, raw=_joined(raws)) for route, raws in parts]


_Told = tuple[str, bytes, bool]
"""A route, what goes there, and whether it can be read."""


def _named(entries: Iterable[bytes], whose: Callable[[bytes], Id | None] | None) -> Iterator[_Told]:
    for raw in entries:
        try:
            head = _head.decode(raw)
            yield _route((whose(raw) if whose else None) or head.id), raw, True
        except UNREADABLE:
            yield _found_route(raw), raw, False


def _numbered(entries: Iterable[bytes]) -> Iterator[_Told]:
    for entry in entries:
        for route, raw, sound in by_number(entry):
            yield _route(route), raw, sound


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
