"""What became of messages that the business sent.

They come in any order, and more than once. That Meta has taken a message (`sent`) is said by the
answer to the call that sent it; but where that was lost, the status settles it.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from connectors.kit.shape import named
from connectors.whatsapp import shapes
from connectors.whatsapp.occasion import Occasion
from connectors.whatsapp.telling import Listing, Meaning
from contracts import content
from contracts.connector import Event, Ignored
from contracts.content.talk import Talk
from contracts.sending import send_id


def sent(on: Occasion, it: shapes.Status) -> Event | Ignored:
    """Accepted by Meta. Of our own sends that is an echo without words, which settles the send and
    is no message of its own (`workers.matching`); of others', nothing.
    """
    if send_id(it.biz_opaque_callback_data) is None:
        return Ignored(on.kind)
    wamid = named(it.id, "id")
    talk = _talk(msgspec.structs.replace(on, outgoing=True), it)
    data = content.MessageSent(**talk, message_id=wamid, via="gateway")
    (contact,) = data.to
    return _event(on, it, data, f"message:{wamid}", contact.id)


def delivered(on: Occasion, it: shapes.Status) -> Event:
    return _receipt(on, it, content.MessageDelivered(**_fields(on, it)))


def read(on: Occasion, it: shapes.Status) -> Event:
    return _receipt(on, it, content.MessageRead(**_fields(on, it)))


def played(on: Occasion, it: shapes.Status) -> Event:
    """A voice message was listened to; that it was read comes apart."""
    return _receipt(on, it, content.MessageRead(**_fields(on, it), played=True))


def failed(on: Occasion, it: shapes.Status) -> Event:
    error = next(iter(it.errors or ()), None)
    failure = failure_of(error) if error else content.Failure(code="unknown")
    return _receipt(on, it, content.MessageFailed(**_fields(on, it), error=failure))


def failure_of(error: shapes.Error) -> content.Failure:
    """In Meta's words."""
    return content.Failure(
        code=str(error.code),
        title=error.title or error.message,
        detail=error.error_data.details if error.error_data else None,
    )


def _fields(on: Occasion, it: shapes.Status) -> dict[str, Any]:
    """The contact acts, as with receipts of other providers."""
    return {**_talk(on, it), "message_ids": (named(it.id, "id"),)}


def _talk(on: Occasion, it: shapes.Status) -> dict[str, Any]:
    if _is_of_group(it):
        person = on.told.person(it.recipient_participant_user_id, it.recipient_participant_id)
        return on.talk(person, it.recipient_id)
    return on.talk(on.told.person(it.recipient_user_id, it.recipient_id))


def _receipt(on: Occasion, it: shapes.Status, data: Talk) -> Event:
    """Of a group's message there is a status for each member."""
    key = f"{it.status}:{it.id}"
    if _is_of_group(it):
        key += f":{it.recipient_participant_id or it.recipient_participant_user_id}"
    return _event(on, it, data, key, data.sender.id)


def _event(on: Occasion, it: shapes.Status, data: Talk, key: str, contact: str) -> Event:
    """With the send that it is about, if that is one of ours."""
    event = on.event(data, key, it.timestamp, contact)
    return msgspec.structs.replace(event, send=send_id(it.biz_opaque_callback_data))


def _is_of_group(it: shapes.Status) -> bool:
    return it.recipient_type == "group"


MEANINGS: Final[Mapping[str, Meaning]] = {
    "sent": sent,
    "delivered": delivered,
    "read": read,
    "played": played,
    "failed": failed,
}
"""A status → what it means."""


def _whose(on: Occasion, it: shapes.Status) -> str:
    sender: content.Participant = _talk(on, it)["sender"]
    return sender.id


STATUSES: Final = Listing(
    "statuses", msgspec.json.Decoder(shapes.Status), "status", MEANINGS, _whose
)
