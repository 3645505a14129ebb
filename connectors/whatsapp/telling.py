"""From the bytes of one happening to its events, by a table of what it can be."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from connectors.kit.rawjson import UNREADABLE, has_nul, members, mend, too_deep, whole
from connectors.kit.shape import Misshapen, Number, digest, milliseconds, moment
from connectors.whatsapp.occasion import Occasion
from contracts import content
from contracts.connector import Event, Ignored, Unreadable
from contracts.messages import clean_text

Result = Event | Unreadable | Ignored
Meaning = Callable[[Occasion, Any], Event | Ignored | Iterable[Result]]


class Unknown(Exception):
    """A happening that says something new, although its kind is known; `kind` names it."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Listing(NamedTuple):
    """A list of happenings that have one shape. `word` is the field of it that says what happened,
    `meanings` what that means; empty where all are the same. `whose` tells the contact, for what
    is new; it raises `Misshapen` where nobody is named.
    """

    name: str
    decoder: msgspec.json.Decoder[Any]
    word: str
    meanings: Mapping[str, Meaning]
    whose: Callable[[Occasion, Any], str] | None = None

    def kind(self, word: str) -> str:
        """As an event table names it."""
        return f"{self.name}.{word}" if word else self.name


class _Timed(msgspec.Struct):
    timestamp: Number | None = None


_timed = msgspec.json.Decoder(_Timed)
_word = msgspec.json.Decoder(str)


def tell(on: Occasion, listing: Listing, raw: bytes) -> Iterator[Result]:
    """What one element of `listing` means. Raises nothing."""
    try:
        it = decoded(listing.decoder, raw)
    except UNREADABLE as problem:
        word = _said(raw, listing.word)
        if word in listing.meanings:
            yield Unreadable(kind=listing.kind(word), error=in_words(problem))
        else:
            yield unrecognized(on, listing.kind(word), raw)
        return
    word = getattr(it, listing.word) if listing.word else ""
    meaning = listing.meanings.get(word)
    kind = listing.kind(word)
    on = msgspec.structs.replace(on, kind=kind, raw=raw)
    try:
        if meaning is None:
            raise Unknown(kind)
        results = meaning(on, it)
        yield from (results,) if isinstance(results, Event | Ignored) else results
    except Misshapen as problem:
        yield Unreadable(kind=kind, error=str(problem))
    except Unknown as new:
        yield unrecognized(on, new.kind, raw, _whose(on, listing, it))


def _whose(on: Occasion, listing: Listing, it: Any) -> str | None:
    try:
        return listing.whose(on, it) if listing.whose else None
    except Misshapen:
        return None


def unrecognized(on: Occasion, kind: str, raw: bytes, contact: str | None = None) -> Result:
    """Kept whole. Its key has no time: what time it has of its own is in what is hashed."""
    kind = clean_text(kind)[:64]
    data = content.ProviderUnrecognized(kind=kind, item=whole(raw))
    key = f"unrecognized:{kind}:{digest(raw)}"
    try:
        ms = _own_time(raw) or on.ms(None)
    except Misshapen as problem:  # a kind is a word of the delivery's, and what parks is told
        return Unreadable(kind="unrecognized", error=str(problem))
    return Event(content=data, key=key, at=moment(ms), contact=contact)


def decoded(decoder: msgspec.json.Decoder[Any], raw: bytes) -> Any:
    """What `raw` says, without what parsers refuse in text. Raises `UNREADABLE`."""
    if too_deep(raw):
        raise RecursionError
    if not has_nul(raw):
        try:
            return decoder.decode(raw)
        except UNREADABLE:
            pass  # once more, mended
    return decoder.decode(mend(raw))


def in_words(problem: Exception) -> str:
    """Without content: msgspec names types and places."""
    if isinstance(problem, RecursionError):
        return "nested too deeply"
    if isinstance(problem, UnicodeDecodeError):
        return "not UTF-8"
    return str(problem)


def _own_time(raw: bytes) -> int | None:
    try:
        time = decoded(_timed, raw).timestamp
        return None if time is None else milliseconds(time)
    except (Misshapen, *UNREADABLE):  # what it calls a timestamp may be none
        return None


def _said(raw: bytes, word: str) -> str:
    """The `word` of an element that cannot be read as a whole."""
    try:
        for key, value in members(raw):
            if key == word:
                return str(_word.decode(mend(value)))
    except (ValueError, *UNREADABLE):
        pass  # it says nothing that we know
    return ""
