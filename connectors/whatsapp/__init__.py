"""WhatsApp: conversations of a business phone number of the Cloud API."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from msgspec import UNSET

from connectors.whatsapp.accounts import Numbers
from connectors.whatsapp.events import BY_APP, EVENTS, FIELDS, is_echo
from connectors.whatsapp.media import CloudMedia
from connectors.whatsapp.messages import APP
from connectors.whatsapp.notices import BESIDE, LISTINGS
from connectors.whatsapp.occasion import Occasion
from connectors.whatsapp.reading import Found, Reader, Strange
from connectors.whatsapp.sending import NumberSends
from connectors.whatsapp.telling import tell, unrecognized
from contracts import content
from contracts.connector import (
    FOR_ALL,
    Account,
    Event,
    Feature,
    Ignored,
    Item,
    Receives,
    Unreadable,
)

__all__ = ["WhatsApp"]

_TALK: Final = (
    content.MessageReceived,
    content.MessageSent,
    content.MessageEdited,
    content.MessageDeleted,
    content.MessageReaction,
    content.MessageDelivered,
    content.MessageRead,
    content.MessageFailed,
    content.AttachmentUpdated,
    content.OptinChanged,
    content.OrderReceived,
    content.CallUpdated,
    content.ContactChanged,
)


class WhatsApp(Receives, Numbers, CloudMedia, NumberSends):
    """The account is the phone number, by the id that Meta gave it; what concerns all numbers of a
    WhatsApp Business Account comes for each of them.

    Source: https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components.
    """

    name, channel, title = "whatsapp", "whatsapp", "WhatsApp"
    features: ClassVar[tuple[Feature, ...]] = (
        Feature("messages", ("whatsapp_business_management", "whatsapp_business_messaging"), _TALK),
    )
    events: ClassVar[Mapping[str, Any]] = EVENTS
    emits: ClassVar[tuple[type[content.Content], ...]] = (*_TALK, *FOR_ALL)
    reader: ClassVar[Reader] = Reader(FIELDS, LISTINGS, BESIDE)

    def normalize(self, item: Item, account: Account) -> Iterator[Event | Unreadable | Ignored]:
        for piece in self.reader.read(item.raw):
            if isinstance(piece, Unreadable):
                yield piece
            elif isinstance(piece, Strange):
                on = Occasion(account, item.route, piece.kind, piece.raw, piece.told)
                yield unrecognized(on, piece.kind, piece.raw)
            else:
                on = _occasion(piece, item.route, account)
                yield from tell(on, piece.listing, piece.raw)


def _occasion(found: Found, business: str, account: Account) -> Occasion:
    return Occasion(
        account=account,
        business=business,
        kind=found.listing.name,
        raw=found.raw,
        told=found.told,
        outgoing=is_echo(found.field),
        via=APP if found.field == BY_APP else UNSET,
    )
