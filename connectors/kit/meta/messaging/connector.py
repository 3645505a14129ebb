"""The way from an item to its events, the same for every provider of `messaging[]`."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from msgspec import UNSET

from connectors.kit.meta.media import PublicMedia
from connectors.kit.meta.messaging.occasion import Occasion
from connectors.kit.meta.messaging.reading import CHANGES, Known, Reader, Strange, id_of
from connectors.kit.rawjson import whole
from connectors.kit.shape import Misshapen, Number, digest, milliseconds, moment
from contracts import content
from contracts.connector import Account, Event, Ignored, Item, Receives, Unreadable
from contracts.messages import clean_text

MESSAGES: Final = "messages"
"""The feature that all updates of `messaging[]` belong to."""
_TEST: Final = "0"
"""The id of the entry in the dashboard's tests, which name the account as recipient alone."""


class MessagingConnector(Receives, PublicMedia):
    """A connector adds its event table, and the reader of its updates' shape."""

    reader: ClassVar[Reader]
    fields: ClassVar[Mapping[str, frozenset[str]]]
    """Feature → the webhook fields that it needs."""
    apps: frozenset[str]
    """Ids of our own apps, by which echoes of our own sends are told."""

    def normalize(self, item: Item, account: Account) -> Iterator[Event | Unreadable | Ignored]:
        for piece in self.reader.read(item.raw, item.route):
            if isinstance(piece, Known):
                for kind, value in piece.happenings:
                    yield self._event(kind, value, piece, account)
            elif isinstance(piece, Strange):
                yield _unrecognized(piece)
            else:
                yield piece

    def feature_of(self, happening: Event | Unreadable) -> str | None:
        """See `Receives.feature_of`. What we do not know goes by its field; what is no change is an
        update, and those are messages.
        """
        if isinstance(happening, Unreadable):
            return self._of_field(happening.kind)
        if not isinstance(happening.content, content.ProviderUnrecognized):
            return super().feature_of(happening)
        field = happening.content.kind.removeprefix(CHANGES)
        return self._of_field(field) if field != happening.content.kind else MESSAGES

    def _of_field(self, kind: str) -> str | None:
        field = kind.partition(".")[0]
        return next((name for name, fields in self.fields.items() if field in fields), None)

    def _event(
        self, kind: str, value: Any, piece: Known, account: Account
    ) -> Event | Unreadable | Ignored:
        try:
            event: Event | Ignored = self.events[kind](self._occasion(kind, piece, account), value)
        except Misshapen as problem:
            return Unreadable(kind=kind, error=str(problem))
        return event

    def _occasion(self, kind: str, piece: Known, account: Account) -> Occasion:
        update = piece.update
        recipient = id_of(update.recipient)
        return Occasion(
            account=account,
            business=recipient if piece.business == _TEST and recipient else piece.business,
            sender=id_of(update.sender),
            recipient=recipient,
            ms=_ms(piece.entry_time if update.timestamp is None else update.timestamp),
            kind=kind,
            standby=True if piece.standby else UNSET,
            apps=self.apps,
        )


def _ms(time: Number | None) -> int:
    if time is None:
        raise Misshapen("no timestamp")
    return milliseconds(time)


def _unrecognized(piece: Strange) -> Event | Unreadable:
    """Its key has no time: a time of its own is in what is hashed, and the entry's is another when
    the provider puts the same update into another delivery.
    """
    kind = clean_text(piece.kind)[:64] or "unnamed"
    try:
        ms = _ms(piece.time)
    except Misshapen:  # what it calls a timestamp may be none
        try:
            ms = _ms(piece.entry_time)
        except Misshapen as problem:
            # the kind is a word of the delivery's, and what parks is told in clear
            return Unreadable(kind="unrecognized", error=str(problem))
    data = content.ProviderUnrecognized(kind=kind, item=whole(piece.raw))
    key = f"unrecognized:{kind}:{digest(piece.raw)}"
    return Event(content=data, key=key, at=moment(ms), contact=piece.sender)
