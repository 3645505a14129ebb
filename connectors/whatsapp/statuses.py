"""What became of messages that the business sent.

They come in any order, and more than once. That Meta has taken a message (`sent`) is said by the
answer to the call that sent it: it is passed over.
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


def sent(on: Occasion, it: shapes.Status) -> Ignored:
    """Accepted by Meta, which is no outcome yet."""
    return Ignored(on.kind)


def delivered(on: Occasion, it: shapes.Status) -> Event:
    return _event(on, it, content.MessageDelivered(**_fields(on, it)))


def read(on: Occasion, it: shapes.Status) -> Event:
    return _event(on, it, content.MessageRead(**_fields(on, it)))


def played(on: Occasion, it: shapes.Status) -> Event:
    """A voice message was listened to; that it was read comes apart."""
    return _event(on, it, content.MessageRead(**_fields(on, it), played=True))


def failed(on: Occasion, it: shapes.Status) -> Event:
    error = next(iter(it.errors or ()), None)
    failure = failure_of(error) if error else content.Failure(code="unknown")
    return _event(on, it, content.MessageFailed(**_fields(on, it), error=failure))


def failure_of(error: shapes.Error) -> content.Failure:
    """In Meta's words."""
    return content.Failure(
        code=str(error.code),
        title=error.title or error.message,
        detail=error.error_data.details if error.error_data else None,
    )


def _fields(on: Occasion, it: shapes.Status) -> dict[str, Any]:
    """The contact acts, as with receipts of other providers."""
    if _is_of_group(it):
        person = on.told.person(it.recipient_participant_user_id, it.recipient_participant_id)
        talk = on.talk(person, it.recipient_id)
    else:
        talk = on.talk(on.told.person(it.recipient_user_id, it.recipient_id))
    return {**talk, "message_ids": (named(it.id, "id"),)}


def _event(on: Occasion, it: shapes.Status, data: Talk) -> Event:
    """Of a group's message there is a status for each member."""
    key = f"{it.status}:{it.id}"
    if _is_of_group(it):
        key += f":{it.recipient_participant_id or it.recipient_participant_user_id}"
    return on.event(data, key, it.timestamp, data.sender.id)


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
    sender: content.Participant = _fields(on, it)["sender"]
    return sender.id


STATUSES: Final = Listing(
    "statuses", msgspec.json.Decoder(shapes.Status), "status", MEANINGS, _whose
)
