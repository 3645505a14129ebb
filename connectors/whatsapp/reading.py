"""From an item's bytes to its happenings, so that one that cannot be read hides no neighbour."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from connectors.kit.rawjson import UNREADABLE, has_nul, listed, members, mend, too_deep
from connectors.kit.shape import Number
from connectors.whatsapp import shapes
from connectors.whatsapp.occasion import Told
from connectors.whatsapp.telling import Listing, decoded
from contracts.connector import Unreadable

Lists = Mapping[str, Listing]
"""Of a field: the key of a list in its value → what is listed there."""


class Found(NamedTuple):
    """One happening of a list that we know."""

    field: str
    listing: Listing
    raw: bytes
    told: Told


class Strange(NamedTuple):
    """A part that says nothing we know."""

    kind: str
    raw: bytes
    told: Told


Piece = Found | Strange | Unreadable

CHANGES: Final = "changes."
"""Before the field of a change that we do not know, in its kind."""
_BESIDE: Final = ("messaging_product", "metadata", "contacts")
"""Members of a value that are about all of its happenings."""
_LISTS: Final = tuple(key for key in shapes.Value.__struct_fields__ if key not in _BESIDE)
_UNTIMED: Final = "errors"
"""What has no time of its own."""
_TIMED: Final = ("messages", "statuses", "calls")

_entry: Final = msgspec.json.Decoder(shapes.Entry)
_entries: Final = msgspec.json.Decoder(list[shapes.Entry])
_change: Final = msgspec.json.Decoder(shapes.Change)
_value: Final = msgspec.json.Decoder(shapes.Value)
_time: Final = msgspec.json.Decoder(Number | None)
_metadata: Final = msgspec.json.Decoder(shapes.Metadata)
_text: Final = msgspec.json.Decoder(str)
_contact: Final = msgspec.json.Decoder(shapes.Contact)


class _Timed(msgspec.Struct):
    timestamp: Number | None = None


_timed: Final = msgspec.json.Decoder(_Timed)


class Reader:
    """Reads items. `fields`: those whose values list happenings; `notices`: those whose values are
    one; `beside`: members of an entry that are one.
    """

    def __init__(
        self,
        fields: Mapping[str, Lists],
        notices: Mapping[str, Listing],
        beside: Mapping[str, Listing],
    ) -> None:
        self._fields, self._notices, self._beside = fields, notices, beside

    def read(self, raw: bytes) -> Iterator[Piece]:
        """The pieces of an item in order. Raises nothing."""
        entries = _at_once(raw)
        if entries is not None:
            for entry in entries:
                for change in entry.changes:
                    yield from self._change(change, entry.time)
        elif raw[:1] == b"[":
            for one in listed(raw):
                yield from self._piecewise(one)
        else:
            yield from self._piecewise(raw)

    def _piecewise(self, raw: bytes) -> Iterator[Piece]:
        try:
            found = list(members(raw))
        except ValueError as error:
            yield Unreadable(kind="entry", error=str(error))
            return
        time = next((_or_none(_time, value) for key, value in found if key == "time"), None)
        for key, value in found:
            if key == "changes":
                for one in listed(value):
                    yield from self._read_change(one, time)
            elif key is not None and key in self._beside:
                yield Found(key, self._beside[key], value, Told(time=time))
            elif key is None:
                yield Unreadable(kind="entry", error="something in it is no member")
            elif key not in ("id", "time"):
                yield Strange(key, _alone(key, value), Told(time=time))

    def _read_change(self, raw: bytes, time: Number | None) -> Iterator[Piece]:
        try:
            yield from self._change(decoded(_change, raw), time)
        except UNREADABLE:
            yield from self._broken(raw, time)

    def _broken(self, raw: bytes, time: Number | None) -> Iterator[Piece]:
        """A change in which something is no JSON: its field and value are looked for."""
        found = dict(_members(raw))
        field = _or_none(_text, found.get("field", b""))
        if field in self._fields and "value" in found:
            yield from self._value_piecewise(field, found["value"], time)
        elif field in self._notices:
            yield Unreadable(kind=field, error="its value cannot be read")
        else:
            yield Strange("changes" if field is None else CHANGES + field, raw, Told(time=time))

    def _change(self, change: shapes.Change, time: Number | None) -> Iterator[Piece]:
        field, raw = change.field, bytes(change.value)
        if field in self._notices:
            yield Found(field, self._notices[field], raw, Told(time=time))
            return
        says_something = False
        for piece in self._of_lists(field, raw, time) if field in self._fields else ():
            says_something = True
            yield piece
        if not says_something:
            yield Strange(CHANGES + field, msgspec.json.encode(change), Told(time=time))

    def _of_lists(self, field: str, raw: bytes, time: Number | None) -> Iterator[Piece]:
        value = _value_of(raw, self._fields[field])
        if value is None:
            yield from self._value_piecewise(field, raw, time)
            return
        lists = {key: [*map(bytes, getattr(value, key))] for key in self._fields[field]}
        yield from self._pieces(field, lists, value.contacts or (), value.metadata, time)

    def _value_piecewise(self, field: str, raw: bytes, time: Number | None) -> Iterator[Piece]:
        try:
            found = list(members(raw))
        except ValueError as error:
            yield Unreadable(kind=field, error=str(error))
            return
        lists: dict[str, list[bytes]] = {}
        contacts: list[shapes.Contact] = []
        metadata = None
        for key, value in found:
            if key == "contacts":
                for one in listed(value):
                    if (contact := _or_none(_contact, one)) is None:
                        yield Unreadable(kind=field, error="a contact cannot be read")
                    else:
                        contacts.append(contact)
            elif key == "metadata":
                metadata = _or_none(_metadata, value)
            elif key is not None and key in self._fields[field]:
                lists.setdefault(key, []).extend(listed(value))
            elif key is None:
                yield Unreadable(kind=field, error="something in it is no member")
            elif key not in _BESIDE:
                yield Strange(f"{field}.{key}", _alone(key, value), Told(time=time))
        yield from self._pieces(field, lists, contacts, metadata, time)

    def _pieces(
        self,
        field: str,
        lists: Mapping[str, Sequence[bytes]],
        contacts: Sequence[shapes.Contact],
        metadata: shapes.Metadata | None,
        time: Number | None,
    ) -> Iterator[Piece]:
        told = Told(
            contacts=tuple(contacts),
            number=(metadata.display_phone_number if metadata else None) or "",
            time=_first_time(lists) if time is None and lists.get(_UNTIMED) else time,
            alone=sum(map(len, lists.values())) == 1,
        )
        for key, listing in self._fields[field].items():
            for raw in lists.get(key, ()):
                yield Found(field, listing, raw, told)


def _at_once(raw: bytes) -> list[shapes.Entry] | None:
    """All entries by one typed decoding, or None when something needs a closer look."""
    if has_nul(raw) or too_deep(raw):
        return None
    try:
        entries = [_entry.decode(raw)] if raw[:1] == b"{" else _entries.decode(raw)
    except UNREADABLE:
        return None
    return None if raw.count(b'"changes"') > len(entries) else entries


def _value_of(raw: bytes, lists: Lists) -> shapes.Value | None:
    """By one typed decoding; None when something needs a closer look: also a key that may stand
    twice, of which the last alone would be kept, and a list that is none of the field's.
    """
    if has_nul(raw) or any(raw.count(b'"%b"' % key.encode()) > 1 for key in lists):
        return None
    try:
        value = _value.decode(raw)
    except UNREADABLE:
        return None
    return None if any(getattr(value, key) for key in _LISTS if key not in lists) else value


def _first_time(lists: Mapping[str, Sequence[bytes]]) -> Number | None:
    """When the first of the happenings was, for those beside it that have no time."""
    for key in _TIMED:
        for raw in lists.get(key, ()):
            timed: _Timed | None = _or_none(_timed, raw)
            return timed.timestamp if timed else None
    return None


def _alone(key: str, value: bytes) -> bytes:
    return b"{%b:%b}" % (msgspec.json.encode(key), value)


def _members(raw: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        yield from ((key, value) for key, value in members(raw) if key is not None)
    except ValueError:
        return


def _or_none(decoder: msgspec.json.Decoder[Any], raw: bytes) -> Any:
    try:
        return decoder.decode(mend(raw))
    except UNREADABLE:
        return None
