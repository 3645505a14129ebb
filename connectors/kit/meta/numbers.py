"""Which phone numbers the changes of a WhatsApp Business Account's entry are about.

Source: https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from connectors.kit.rawjson import UNREADABLE, elements, members, mend
from connectors.kit.shape import Id

_KEPT: Final = ("id", "time")
"""Members of an entry that every part of it has again."""
OF_NUMBERS: Final = frozenset(
    {
        "calls",
        "history",
        "message_echoes",
        "messages",
        "smb_app_state_sync",
        "smb_message_echoes",
        "user_preferences",
    }
)
"""Fields that tell of a number's people: without a number they are nobody's."""
_WAY: Final = ("value", "metadata", "phone_number_id")


class Part(NamedTuple):
    """What an entry says of one phone number, or of the whole account: an entry itself. `route` is
    its id, empty where it cannot be told; not `sound`: something in it cannot be read.
    """

    route: Id
    raw: bytes
    sound: bool


class _Metadata(msgspec.Struct):
    phone_number_id: Id | None = None


class _Value(msgspec.Struct):
    metadata: _Metadata | None = None


class _Change(msgspec.Struct):
    field: str = ""
    value: _Value | None = None


class _Entry(msgspec.Struct):
    id: Id
    changes: list[_Change] = []


_entry: Final = msgspec.json.Decoder(_Entry)
_change: Final = msgspec.json.Decoder(_Change)
_id: Final[msgspec.json.Decoder[Id]] = msgspec.json.Decoder(Id)


def by_number(raw: bytes) -> list[Part]:
    """The parts of an entry, in the order in which they come in it; raises nothing.

    Changes without a number are the account's, or nobody's: other numbers of the account may be
    other tenants'. Those that all go one way stay the entry as it came.
    """
    entry = _read(raw)
    if entry is not None:
        routes = {_route_of(change, entry.id) for change in entry.changes} or {entry.id}
        if len(routes) == 1:
            return [Part(routes.pop(), raw, True)]
    try:
        return _cut(raw, sound=entry is not None)
    except ValueError:  # it is no entry
        return [Part("", raw, False)]


def _read(raw: bytes) -> _Entry | None:
    if raw.count(b'"changes"') > 1:  # of several it keeps the last alone
        return None
    try:
        return _entry.decode(raw)
    except UNREADABLE:
        return None


def _route_of(change: _Change, account: Id) -> Id:
    metadata = change.value.metadata if change.value else None
    number = metadata.phone_number_id if metadata else None
    return number or ("" if change.field in OF_NUMBERS else account)


def _cut(raw: bytes, *, sound: bool) -> list[Part]:
    found = list(members(raw))
    account = next((_id_of(value) for key, value in reversed(found) if key == "id"), "")
    changes: dict[Id, list[bytes]] = {}
    for key, value in found:
        for change in _listed(value) if key == "changes" else ():
            changes.setdefault(_route(change, account), []).append(change)
    if len(changes) <= 1:
        return [Part(next(iter(changes), account), raw, sound)]
    kept = [_member(key, value) for key, value in found if key in _KEPT]
    others = [_member(key, value) for key, value in found if key not in (*_KEPT, "changes")]
    parts = {
        route: [*kept, b'"changes":[' + b",".join(several) + b"]"]
        for route, several in changes.items()
    }
    if others:
        parts.setdefault(account, [*kept]).extend(others)
    return [
        Part(route, b"{" + b",".join(several) + b"}", sound) for route, several in parts.items()
    ]


def _route(raw: bytes, account: Id) -> Id:
    """A change that cannot be read is nobody's when it has a number that cannot be found in it, or
    seems to be of a field that has one.
    """
    try:
        return _route_of(_change.decode(raw), account)
    except UNREADABLE:
        if b'"phone_number_id"' in raw:
            return _found(raw) or ""
        return "" if any(b'"%b"' % field.encode() in raw for field in OF_NUMBERS) else account


def _found(raw: bytes) -> Id | None:
    for name in _WAY:
        inner = next((value for key, value in _members(raw) if key == name), None)
        if inner is None:
            return None
        raw = inner
    return _id_of(raw)


def _members(raw: bytes) -> Iterator[tuple[str | None, bytes]]:
    try:
        yield from members(raw)
    except ValueError:
        return


def _id_of(raw: bytes) -> Id:
    try:
        return _id.decode(mend(raw))
    except UNREADABLE:
        return ""


def _listed(raw: bytes) -> list[bytes]:
    try:
        return list(elements(raw))
    except ValueError:
        return [raw]


def _member(key: str | None, value: bytes) -> bytes:
    return value if key is None else msgspec.json.encode(key) + b":" + value
