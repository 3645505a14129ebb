"""What messages mean, by their type: those of contacts, and those of the business's own app.

Deduplication keys begin with the kind; what follows is the message's own id (wamid). An edit, a
revocation and a reaction have one of their own, beside that of the message they are about.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from connectors.kit.shape import Misshapen, given, milliseconds, moment, named, text_of
from connectors.whatsapp import shapes
from connectors.whatsapp.attachments import form, media, objects
from connectors.whatsapp.media import to_fetch
from connectors.whatsapp.occasion import Occasion, address_of
from connectors.whatsapp.telling import Listing, Meaning, Unknown
from contracts import content
from contracts.connector import Event
from contracts.messages import timestamp

APP: Final = "whatsapp_app"
"""`via` of what a person wrote in the business's own app."""


def text(on: Occasion, it: shapes.Message) -> Event:
    return _message(on, it, text=_there(it.text, "text").body)


def picture(on: Occasion, it: shapes.Message) -> Event:
    """An image, a video, a sound, a document, a sticker."""
    told = _there(getattr(it, it.type), it.type)
    caption = told.get("caption")
    attached = media(on.account.id, str(it.id), it.type, told)
    said = caption if isinstance(caption, str) else None
    event = _message(on, it, text=said, attachments=(attached,))
    return msgspec.structs.replace(event, media=to_fetch(attached, told))


def location(on: Occasion, it: shapes.Message) -> Event:
    told = [_there(it.location, "location")]
    return _message(on, it, attachments=objects(on.account.id, str(it.id), "location", told))


def contacts(on: Occasion, it: shapes.Message) -> Event:
    told = _there(it.contacts, "contacts")
    return _message(on, it, attachments=objects(on.account.id, str(it.id), "contact", told))


def button(on: Occasion, it: shapes.Message) -> Event:
    """A quick reply of a template was tapped."""
    told = _there(it.button, "button")
    return _message(on, it, text=told.text, quick_reply=_quick_reply(told.payload))


def interactive(on: Occasion, it: shapes.Message) -> Event:
    told = it.interactive
    if told is None:  # what was tapped is withheld; an error stands beside it
        return unsupported(on, it)
    reply = told.button_reply or told.list_reply
    if reply is not None:
        return _message(on, it, text=reply.title, quick_reply=_quick_reply(str(reply.id)))
    if told.nfm_reply is not None:
        filled = form(on.account.id, str(it.id), told.nfm_reply)
        body = told.nfm_reply.get("body")
        return _message(on, it, text=body if isinstance(body, str) else None, attachments=(filled,))
    if told.call_permission_reply is not None:
        return _call_permission(on, it, told.call_permission_reply)
    raise Unknown(f"messages.interactive.{told.type}")


def unsupported(on: Occasion, it: shapes.Message) -> Event:
    """A message that is to be seen in WhatsApp alone."""
    attached = objects(
        on.account.id, str(it.id), "unknown", [it.unsupported] if it.unsupported else []
    )
    return _message(on, it, unsupported=True, attachments=attached)


def placeholder(on: Occasion, it: shapes.Message) -> Event:
    """A medium of the past, of which more may come (see `synced.medium`)."""
    told = {"type": it.type}
    return _message(on, it, attachments=objects(on.account.id, str(it.id), "unknown", [told]))


def order(on: Occasion, it: shapes.Message) -> Event:
    person, wamid = on.sender(it), named(it.id, "id")
    data = content.OrderReceived(
        **on.talk(person, it.group_id), order=_there(it.order, "order"), message_id=wamid
    )
    return on.event(data, f"order:{wamid}", it.timestamp, person.id)


def reaction(on: Occasion, it: shapes.Message) -> Event:
    person, told = on.sender(it), _there(it.reaction, "reaction")
    data = content.MessageReaction(
        **on.talk(person, it.group_id),
        message_id=named(told.message_id, "reaction.message_id"),
        action="added" if told.emoji else "removed",
        emoji=told.emoji or None,
    )
    return on.event(data, f"reaction:{named(it.id, 'id')}", it.timestamp, person.id)


def edit(on: Occasion, it: shapes.Message) -> Event:
    person, told = on.sender(it), _there(it.edit, "edit")
    data = content.MessageEdited(
        **on.talk(person, it.group_id),
        message_id=named(told.original_message_id, "edit.original_message_id"),
        text=given(_new_text(told.message)),
    )
    return on.event(data, f"edit:{named(it.id, 'id')}", it.timestamp, person.id)


def revoke(on: Occasion, it: shapes.Message) -> Event:
    person, told = on.sender(it), _there(it.revoke, "revoke")
    revoked = named(told.original_message_id, "revoke.original_message_id")
    data = content.MessageDeleted(**on.talk(person, it.group_id), message_id=revoked)
    return on.event(data, f"revoke:{named(it.id, 'id')}", it.timestamp, person.id)


_IDENTITY: Final = ("customer_identity_changed", "user_identity_changed")
_NUMBER: Final = ("user_changed_number", "customer_changed_number")
_USER: Final = "user_changed_user_id"


def system(on: Occasion, it: shapes.Message) -> Event:
    """A contact's phone number, id or security key is another. Where both ids change, each comes
    in a message of its own.
    """
    told = _there(it.system, "system")
    phone = told.wa_id or told.new_wa_id
    if told.type in _NUMBER and phone and it.from_user_id and not told.user_id:
        # who has an id keeps it
        return _changed(on, it, str(it.from_user_id), None, address_of(phone), None)
    if told.type in _NUMBER:
        new, old = told.user_id or phone, told.previous_user_id or it.from_user_id or it.sender
    elif told.type == _USER:
        new, old = told.user_id, told.previous_user_id or it.from_user_id
    elif told.type in _IDENTITY:
        person = on.sender(it)
        return _changed(on, it, person.id, None, address_of(person.phone), person.name)
    else:
        raise Unknown(f"messages.system.{told.type}")
    if not new or not old:
        raise Misshapen("the new id or the old one is missing")
    return _changed(on, it, str(new), str(old), address_of(phone), None)


def _changed(
    on: Occasion,
    it: shapes.Message,
    new: str,
    old: str | None,
    address: str | None,
    name: str | None,
) -> Event:
    profile = content.Profile(
        id=new, name=given(name), address=given(address), previous_id=given(old)
    )
    data = content.ContactChanged(contact=profile)
    return on.event(data, f"system:{named(it.id, 'id')}", it.timestamp, old or new)


def _call_permission(on: Occasion, it: shapes.Message, told: shapes.CallPermission) -> Event:
    person, wamid = on.sender(it), named(it.id, "id")
    ends = told.expiration_timestamp
    data = content.OptinChanged(
        conversation=on.thread(person, it.group_id),
        sender=person.participant,
        to=(content.business(on.business),),
        kind="calls",
        status=told.response,
        token_expires_at=UNSET if ends is None else timestamp(moment(milliseconds(ends))),
    )
    return on.event(data, f"call_permission:{wamid}", it.timestamp, person.id)


def _message(on: Occasion, it: shapes.Message, **fields: Any) -> Event:
    person, wamid = on.sender(it), named(it.id, "id")
    if on.past:
        fields["past"] = True
    fields |= _context(it) | on.talk(person, it.group_id) | {"message_id": wamid}
    data: content.MessageReceived | content.MessageSent
    if on.outgoing:
        data = content.MessageSent(**fields, via=on.via)
    else:
        data = content.MessageReceived(**fields)
    return on.event(data, f"message:{wamid}", it.timestamp, person.id)


def _context(it: shapes.Message) -> dict[str, Any]:
    """What it answers, where it was forwarded from, and what led to it."""
    told, fields = it.context or shapes.Context(), dict[str, Any]()
    if told.id:
        to_self = told.sender is not None and it.sender is not None
        fields["reply_to"] = content.Reply(
            message_id=str(told.id),
            to_self=str(told.sender) == str(it.sender) if to_self else UNSET,
        )
    if told.frequently_forwarded or told.forwarded:
        fields["forwarded"] = "often" if told.frequently_forwarded else "once"
    if it.referral is not None:
        fields["referral"] = _referral(it.referral)
    elif told.referred_product is not None:
        product = told.referred_product
        fields["referral"] = content.Referral(
            source="product",
            product_id=text_of(product.product_retailer_id),
            context=msgspec.to_builtins(product),
        )
    return fields


def _referral(told: shapes.Json) -> content.Referral:
    """An ad or a post; the rest of what is told of it stays together."""
    source, id_ = told.get("source_type"), told.get("source_id")
    is_ad = source == "ad" and isinstance(id_, str | int) and not isinstance(id_, bool)
    return content.Referral(
        source=source if isinstance(source, str) else None,
        ad_id=str(id_) if is_ad else UNSET,
        url=_text(told.get("source_url")),
        context=told,
    )


def _new_text(it: shapes.Edited) -> str | None:
    """Of a text, or the caption of what else was edited."""
    if it.text is not None:
        return it.text.body
    told = it.image or it.video or it.document or {}
    caption = told.get("caption")
    return caption if isinstance(caption, str) else None


def _quick_reply(payload: str | None) -> content.QuickReply | UnsetType:
    return UNSET if payload is None else content.QuickReply(payload=payload)


def _text(value: object) -> str | UnsetType:
    return value if isinstance(value, str) else UNSET


def _there(value: Any, place: str) -> Any:
    if value is None:
        raise Misshapen(f"{place} is missing")
    return value


MEANINGS: Final[Mapping[str, Meaning]] = {
    "text": text,
    "image": picture,
    "video": picture,
    "audio": picture,
    "document": picture,
    "sticker": picture,
    "location": location,
    "contacts": contacts,
    "interactive": interactive,
    "button": button,
    "order": order,
    "reaction": reaction,
    "edit": edit,
    "revoke": revoke,
    "system": system,
    "unsupported": unsupported,
    "media_placeholder": placeholder,
}
"""A message's type → what it means."""


def _whose(on: Occasion, it: shapes.Message) -> str:
    return on.sender(it).id


MESSAGES: Final = Listing(
    "messages", msgspec.json.Decoder(shapes.Message), "type", MEANINGS, _whose
)
