"""What the business's own app hands over: messages of the time before, and its address book.

Source: https://developers.facebook.com/docs/whatsapp/embedded-signup/custom-flows/onboarding-business-app-users.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from connectors.kit.rawjson import UNREADABLE
from connectors.kit.shape import Id, given, named
from connectors.whatsapp import shapes
from connectors.whatsapp.attachments import MEDIA, media
from connectors.whatsapp.media import to_fetch
from connectors.whatsapp.messages import APP, MESSAGES
from connectors.whatsapp.notices import error
from connectors.whatsapp.occasion import Occasion, Told, address_of
from connectors.whatsapp.telling import Listing, Result, decoded, tell
from contracts import content
from contracts.connector import Event, Ignored


class _Ends(msgspec.Struct, rename={"sender": "from"}):
    """Between whom a message of the past is."""

    sender: Id | None = None
    from_user_id: Id | None = None
    to: Id | None = None
    to_user_id: Id | None = None


_ends: Final = msgspec.json.Decoder(_Ends)


def history(on: Occasion, it: shapes.History) -> Iterator[Result]:
    """Threads of the past; a business that does not share them is an error. How far it has come is
    passed over.
    """
    if not it.errors and not it.threads:
        yield Ignored(on.kind)
    for one in it.errors or ():
        yield error(on, one)
    for thread in it.threads or ():
        for raw in map(bytes, thread.messages):
            yield from tell(_in_thread(on, thread.id, raw), MESSAGES, raw)


def _in_thread(on: Occasion, phone: Id, raw: bytes) -> Occasion:
    """The thread is named by the contact's phone number, whoever wrote a message in it."""
    try:
        ends: _Ends = decoded(_ends, raw)
    except UNREADABLE:  # so is the message
        ends = _Ends()
    own = _digits(on.told.number)
    outgoing = bool(ends.to or ends.to_user_id or (own and _digits(ends.sender) == own))
    user_id = ends.to_user_id if outgoing else ends.from_user_id
    contact = shapes.Contact(wa_id=phone or None, user_id=user_id)
    told = Told((*on.told.contacts, contact), on.told.number, on.told.time, alone=True)
    return msgspec.structs.replace(on, told=told, outgoing=outgoing, via=APP, past=True)


def medium(on: Occasion, it: shapes.Message) -> Event | Iterable[Result]:
    """A medium of a message that came with a thread: its caption is in `original`."""
    on = _in_thread(on, it.to or it.sender or "", on.raw)
    if it.type not in MEDIA or getattr(it, it.type) is None:
        return tell(on, MESSAGES, on.raw)
    person, wamid, told = on.sender(it), named(it.id, "id"), getattr(it, it.type)
    attached = media(on.account.id, wamid, it.type, told)
    data = content.AttachmentUpdated(
        conversation=on.thread(person, it.group_id), message_id=wamid, attachment=attached
    )
    event = on.event(data, f"history.media:{wamid}", it.timestamp, person.id)
    return msgspec.structs.replace(event, media=to_fetch(attached, told))


def _digits(phone: Id | None) -> str:
    return "".join(filter(str.isdigit, str(phone or "")))


def contact(on: Occasion, it: shapes.Synced) -> Event:
    """A name in the address book, or that it was taken out of it."""
    told, at = it.contact, it.metadata.timestamp if it.metadata else None
    person = on.told.person(told.user_id, told.phone_number)
    profile = content.Profile(
        id=person.id,
        name=given(told.full_name or told.first_name),
        address=given(address_of(person.phone)),
    )
    key = f"state_sync:{person.id}:{on.ms(at)}:{named(it.action, 'action')}"
    return on.event(content.ContactChanged(contact=profile), key, at, person.id)


HISTORY: Final = Listing("history", msgspec.json.Decoder(shapes.History), "", {"": history})
PAST_MEDIA: Final = Listing("history.media", msgspec.json.Decoder(shapes.Message), "", {"": medium})
SYNCED: Final = Listing(
    "smb_app_state_sync", msgspec.json.Decoder(shapes.Synced), "", {"": contact}
)
