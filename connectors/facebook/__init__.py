"""Facebook Pages: Messenger conversations of a Page."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, ClassVar, Final

from msgspec import UNSET

from connectors.facebook.accounts import Pages
from connectors.facebook.events import EVENTS
from connectors.facebook.occasion import Occasion
from connectors.facebook.reading import Known, Strange, id_of, read
from connectors.kit.meta.settings import MetaSettings
from connectors.kit.rawjson import whole
from connectors.kit.shape import Misshapen, Number, digest, milliseconds, moment
from contracts import content
from contracts.connector import Account, Event, Feature, Item, Receives, Unreadable
from contracts.messages import clean_text

__all__ = ["Facebook"]

_TO_LIST: Final = ("pages_show_list", "pages_read_engagement")
"""What Graph wants before it tells somebody's Pages and their names."""


class Facebook(Receives, Pages):
    """Source: https://developers.facebook.com/docs/messenger-platform/webhooks."""

    name, channel, title = "facebook", "messenger", "Facebook Pages and Messenger"
    features = (Feature("messages", (*_TO_LIST, "pages_manage_metadata", "pages_messaging")),)
    events: ClassVar[Mapping[str, Any]] = EVENTS
    emits: ClassVar[tuple[type[content.Content], ...]] = (
        content.MessageReceived,
        content.MessageSent,
        content.MessageEdited,
        content.MessageReaction,
        content.MessageDelivered,
        content.MessageRead,
        content.PostbackReceived,
        content.ReferralReceived,
        content.OptinChanged,
        content.OrderReceived,
        content.FeedbackReceived,
        content.AccountLinkChanged,
        content.ConversationHandover,
        content.AccountNotice,
        content.ProviderUnrecognized,
    )

    def __init__(self, settings: MetaSettings) -> None:
        super().__init__(settings)
        self._app_id = settings.app_id

    def findings(self, today: date) -> tuple[str, ...]:
        settings: MetaSettings = self.settings
        return tuple(settings.findings(today))

    def normalize(self, item: Item, account: Account) -> Iterator[Event | Unreadable]:
        for piece in read(item.raw, item.route):
            if isinstance(piece, Known):
                for kind, value in piece.happenings:
                    yield self._event(kind, value, piece, account)
            elif isinstance(piece, Strange):
                yield _unrecognized(piece)
            else:
                yield piece

    def _event(self, kind: str, value: Any, piece: Known, account: Account) -> Event | Unreadable:
        try:
            return EVENTS[kind](self._occasion(kind, piece, account), value)
        except Misshapen as problem:
            return Unreadable(kind=kind, error=str(problem))

    def _occasion(self, kind: str, piece: Known, account: Account) -> Occasion:
        update = piece.update
        sender = id_of(update.sender)
        recipient = id_of(update.recipient)
        page = piece.page
        if page == _TEST_PAGE and recipient:
            page = recipient
        return Occasion(
            account=account,
            page=page,
            sender=sender,
            recipient=recipient,
            ms=_ms(piece.entry_time if update.timestamp is None else update.timestamp),
            kind=kind,
            standby=True if piece.standby else UNSET,
            app_id=self._app_id,
        )


_TEST_PAGE: Final = "0"
"""The id of the entry in the dashboard's tests, which name the Page as recipient alone."""


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
