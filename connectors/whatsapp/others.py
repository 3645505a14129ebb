"""What happens beside messages: calls, and what contacts want to hear of."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET

from connectors.kit.shape import named
from connectors.whatsapp import shapes
from connectors.whatsapp.occasion import Occasion, Person
from connectors.whatsapp.telling import Listing
from contracts import content
from contracts.connector import Event

_Direction = Literal["inbound", "outbound"]

_STATES: Final[Mapping[str, str]] = {
    "connect": "started",
    "terminate": "ended",
    "RINGING": "ringing",
    "ACCEPTED": "accepted",
    "REJECTED": "rejected",
    "COMPLETED": "completed",
    "FAILED": "failed",
}
"""Meta's word for what a call does → ours; any other is told as it is, in lower case."""


def call(on: Occasion, it: shapes.Call) -> Event:
    """Began or ended; how it ended stands beside."""
    outbound = it.direction == "BUSINESS_INITIATED"
    if outbound:
        person = on.told.person(it.to_user_id, it.to)
    else:
        person = on.told.person(it.from_user_id, it.sender)
    ended = it.status[0] if isinstance(it.status, list) and it.status else it.status or ""
    state = _state(str(ended) if it.event == "terminate" and ended else it.event)
    data = content.CallUpdated(
        **_talk(on, person, outbound=outbound),
        call_id=named(it.id, "id"),
        direction="outbound" if outbound else "inbound",
        state=state,
        duration_s=UNSET if it.duration is None else int(it.duration),
    )
    return on.event(data, f"call:{it.id}:{it.event}", it.timestamp, person.id)


def call_status(on: Occasion, it: shapes.Status) -> Event:
    """Of a call that the business makes: only these have statuses."""
    person = on.told.person(it.recipient_user_id, it.recipient_id)
    data = content.CallUpdated(
        **_talk(on, person, outbound=True),
        call_id=named(it.id, "id"),
        direction="outbound",
        state=_state(it.status),
    )
    return on.event(data, f"call:{it.id}:{it.status}", it.timestamp, person.id)


def preference(on: Occasion, it: shapes.Preference) -> Event:
    """A contact wants, or no longer wants, messages of a category (marketing)."""
    person = on.told.person(it.user_id, it.wa_id)
    data = content.OptinChanged(
        conversation=on.thread(person),
        sender=person.participant,
        to=(content.business(on.business),),
        kind=it.category,
        status=it.value,
    )
    key = f"user_preferences:{person.id}:{it.category}:{on.ms(it.timestamp)}:{it.value}"
    return on.event(data, key, it.timestamp, person.id)


def _talk(on: Occasion, person: Person, *, outbound: bool) -> dict[str, Any]:
    return msgspec.structs.replace(on, outgoing=outbound).talk(person)


def _state(word: str) -> str:
    return _STATES.get(word) or word.lower()


CALLS: Final = Listing("calls", msgspec.json.Decoder(shapes.Call), "", {"": call})
CALL_STATUSES: Final = Listing(
    "calls.status", msgspec.json.Decoder(shapes.Status), "", {"": call_status}
)
PREFERENCES: Final = Listing(
    "user_preferences", msgspec.json.Decoder(shapes.Preference), "", {"": preference}
)
