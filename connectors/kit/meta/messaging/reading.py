"""From an item's bytes to its updates, so that one that cannot be read hides no neighbour."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from connectors.kit.meta.messaging.shapes import Change, Entry, Item, Party, Update
from connectors.kit.rawjson import UNREADABLE, has_nul, listed, members, mend, too_deep
from connectors.kit.shape import Id, Number
from contracts.connector import Unreadable

Happenings = list[tuple[str, Any]]
"""Kind and decoded value, in the order of the event table."""


class Known(msgspec.Struct):
    """An update that says one thing we know, or several; `business` is the account's id."""

    business: str
    entry_time: Number | None
    update: Update
    happenings: Happenings
    standby: bool = False


class Strange(msgspec.Struct):
    """A part of an entry that says nothing we know."""

    kind: str
    raw: bytes
    entry_time: Number | None
    time: Number | None = None
    sender: str | None = None


Piece = Known | Strange | Unreadable

CHANGES: Final = "changes."
"""Before the field of a change that says nothing we know, in its kind."""
CHANGED_FIELDS: Final = "changed_fields"
"""Of an entry, where the app's webhooks are set to leave values out: names of fields alone."""
_LISTS: Final = ("messaging", "standby", "changes")
_QUOTED: Final = tuple(f'"{name}"'.encode() for name in _LISTS)
_WHO_AND_WHEN: Final = ("sender", "recipient", "timestamp", "is_self")
_TEST_FIELDS: Final = ("messag", "standby")

_change: Final = msgspec.json.Decoder(Change)
_item: Final = msgspec.json.Decoder(Item)
_head: Final = msgspec.json.Decoder(Id | None)
_party: Final = msgspec.json.Decoder(Party)
_time: Final = msgspec.json.Decoder(Number | None)
_names: Final = msgspec.json.Decoder(list[str])
_SAID_OF_ENTRY: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "id": _head,
    "time": _time,
    "hop_context": msgspec.json.Decoder(Any),
}


class Reader:
    """Reads items in which what is in `kinds` may happen: by keys of updates that have the `shape`,
    and by the fields of `changes`, whose values have shapes of their own: `field`, or `field.item`
    where the value says of what it tells.
    """

    def __init__(
        self,
        shape: type[Update],
        kinds: Iterable[str],
        changes: Mapping[str, type[msgspec.Struct]],
    ) -> None:
        self._kinds = tuple(kind for kind in kinds if kind not in {*changes, CHANGED_FIELDS})
        self._changes = {field: msgspec.json.Decoder(it) for field, it in changes.items()}
        self._update = msgspec.json.Decoder(shape)
        entry = Entry[shape]  # type: ignore[valid-type]
        self._entry = msgspec.json.Decoder(entry)
        self._entries = msgspec.json.Decoder(list[entry])

    def read(self, raw: bytes, business: str) -> Iterator[Piece]:
        """The pieces of an item in order. Raises nothing.

        `business`: the item's route, whatever its entries call themselves.
        """
        pieces = self._at_once(raw, business)
        yield from self._piecewise(raw, business) if pieces is None else pieces

    def _at_once(self, raw: bytes, business: str) -> list[Piece] | None:
        """All pieces by one typed decoding, or None when something needs a closer look."""
        if has_nul(raw) or too_deep(raw):
            return None
        try:
            entries = [self._entry.decode(raw)] if raw[:1] == b"{" else self._entries.decode(raw)
        except UNREADABLE:
            return None
        if any(raw.count(name) > len(entries) for name in _QUOTED):
            return None  # a key twice: decoding kept the last alone
        pieces: list[Piece] = []
        for entry in entries:
            for updates, standby in ((entry.messaging, False), (entry.standby, True)):
                for update in updates:
                    happenings = self._happenings(update)
                    if not happenings:
                        return None
                    pieces.append(Known(business, entry.time, update, happenings, standby))
            pieces += (
                self._read_change(bytes(change), business, entry.time) for change in entry.changes
            )
            if entry.changed_fields:
                pieces.append(_withheld(business, entry.time, entry.changed_fields))
        return pieces

    def _happenings(self, update: Update) -> Happenings:
        return [
            (kind, value) for kind in self._kinds if (value := getattr(update, kind)) is not None
        ]

    def _piecewise(self, raw: bytes, business: str) -> Iterator[Piece]:
        if raw[:1] != b"[":
            yield from self._pieces_of_entry(raw, business)
            return
        for entry in listed(raw):
            yield from self._pieces_of_entry(entry, business)

    def _pieces_of_entry(self, raw: bytes, business: str) -> Iterator[Piece]:
        try:
            found = list(members(raw))
        except ValueError as error:
            yield Unreadable(kind="entry", error=str(error))
            return
        time = next(
            (_or_none(_time, value) for key, value in reversed(found) if key == "time"), None
        )
        for key, value in _wrapped(found):
            if key in _LISTS:
                yield from (self._read_element(key, it, business, time) for it in listed(value))
            elif key == CHANGED_FIELDS:
                yield _read_names(value, business, time)
            elif key is None:
                yield Unreadable(kind="entry", error="something in it is no member")
            elif said := _SAID_OF_ENTRY.get(key):
                if not _reads(said, value):
                    yield Unreadable(kind="entry", error=f"{key} cannot be read")
            else:
                named = b"{%b:%b}" % (msgspec.json.encode(key), value)
                yield Strange(key, named, time)

    def _read_element(self, key: str, raw: bytes, business: str, time: Number | None) -> Piece:
        if key == "changes":
            return self._read_change(raw, business, time)
        return self._read_update(raw, business, time, standby=key == "standby")

    def _read_update(
        self, raw: bytes, business: str, time: Number | None, *, standby: bool
    ) -> Piece:
        error = ""
        try:
            update = self._decoded(raw)
        except UNREADABLE as problem:
            error = _in_words(problem)
        else:
            if happenings := self._happenings(update):
                return Known(business, time, update, happenings, standby)
        found = _members(raw)
        names = [name for name in found if name not in _WHO_AND_WHEN]
        known = next((name for name in names if name in self._kinds), None)
        if known and error:
            return Unreadable(kind=known, error=error)
        own_time = _or_none(_time, found.get("timestamp", b""))
        sender = id_of(_or_none(_party, found.get("sender", b"")))
        whose = None if sender == business else sender
        return Strange(next(iter(names), "messaging"), raw, time, own_time, whose)

    def _decoded(self, raw: bytes) -> Update:
        if too_deep(raw):
            raise RecursionError
        if not has_nul(raw):
            try:
                return self._update.decode(raw)
            except UNREADABLE:
                pass  # once more, without what parsers refuse in text
        return self._update.decode(mend(raw))

    def _read_change(self, raw: bytes, business: str, time: Number | None) -> Piece:
        """The dashboard's test sends an update as the `value` of a change."""
        try:
            if too_deep(raw):
                raise RecursionError
            change = _change.decode(mend(raw))
        except UNREADABLE:
            return Strange("changes", raw, time)
        value = bytes(change.value)
        kind = change.field
        if kind not in self._changes:
            kind = f"{kind}.{_item_of(value)}"
        if kind in self._changes:
            return self._read_value(kind, value, business, time)
        if change.field.startswith(_TEST_FIELDS):
            standby = change.field.startswith("standby")
            piece = self._read_update(value, business, time, standby=standby)
            if isinstance(piece, Known):
                return piece
        return Strange(f"{CHANGES}{change.field}", raw, time)

    def _read_value(self, kind: str, raw: bytes, business: str, time: Number | None) -> Piece:
        try:
            value = self._changes[kind].decode(raw)
        except UNREADABLE as problem:
            return Unreadable(kind=kind, error=_in_words(problem))
        return Known(business, time, Update(), [(kind, value)])


def _read_names(raw: bytes, business: str, time: Number | None) -> Piece:
    try:
        return _withheld(business, time, _names.decode(mend(raw)))
    except UNREADABLE as problem:
        return Unreadable(kind=CHANGED_FIELDS, error=_in_words(problem))


def _withheld(business: str, time: Number | None, names: list[str]) -> Known:
    return Known(business, time, Update(), [(CHANGED_FIELDS, names)])


def _item_of(value: bytes) -> str | None:
    told = _or_none(_item, value)
    return told.item if told else None


def id_of(party: Party | None) -> str | None:
    return None if party is None or party.id is None else str(party.id)


def _wrapped(found: list[tuple[str | None, bytes]]) -> list[tuple[str | None, bytes]]:
    """The members of an entry. Instagram's own login is documented to put a change's `field` and
    `value` there; they are wrapped, as in `changes`.
    """
    flat = {key: value for key, value in found if key in ("field", "value")}
    if len(flat) < 2:
        return found
    change = b'{"field":%b,"value":%b}' % (flat["field"], flat["value"])
    return [*(member for member in found if member[0] not in flat), ("changes", change)]


def _members(raw: bytes) -> dict[str, bytes]:
    try:
        return {key: value for key, value in members(raw) if key is not None}
    except ValueError:
        return {}


def _reads(decoder: msgspec.json.Decoder[Any], raw: bytes) -> bool:
    try:
        decoder.decode(mend(raw))
    except UNREADABLE:
        return False
    return True


def _or_none(decoder: msgspec.json.Decoder[Any], raw: bytes) -> Any:
    try:
        return decoder.decode(mend(raw))
    except UNREADABLE:
        return None


def _in_words(problem: Exception) -> str:
    """Without content: msgspec names types and places."""
    if isinstance(problem, RecursionError):
        return "nested too deeply"
    if isinstance(problem, UnicodeDecodeError):
        return "not UTF-8"
    return str(problem)
