"""What WhatsApp says of each thing that a person does: one small function a kind, one table.

Source: WhatsApp Cloud API, "Webhooks", payload examples. Times are strings of seconds.
"""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.fields import BadField, Fields, JsonObject, present
from sandbox.whatsapp.errors import in_status
from sandbox.whatsapp.media import Media
from sandbox.whatsapp.world import Number, Person

EXAMPLES: dict[str, JsonObject] = {
    "message": {"text": "Hello", "attachments": [{"type": "image"}]},
    "message_edit": {"mid": "", "text": "Hello again"},
    "revoke": {"mid": ""},
    "reaction": {"mid": "", "action": "react", "emoji": "❤️"},
    "read": {},
    "location": {"latitude": 52.52, "longitude": 13.405, "name": "Bakery"},
    "contacts": {"name": "Marco Rossi", "phone": "+39 333 1234567"},
    "button": {"text": "Yes", "payload": "YES", "reply_to": ""},
    "interactive": {"reply": {"type": "button_reply", "button_reply": {"id": "1", "title": "Yes"}}},
    "order": {"text": "Ring twice, please."},
    "number_changed": {"wa_id": "491709999999"},
    "unsupported": {},
    "echo": {"text": "Thank you, we are on it."},
    "status": {"mid": "", "status": "read"},
    "change": {"field": "account_update", "value": {"event": "PARTNER_REMOVED"}},
}

ATTACHMENTS = {"file": "document", "audio": "audio", "voice": "audio"}
"""Names of the phone's attachments where WhatsApp has another."""


def new_wamid() -> str:
    """Return a message id of the look of WhatsApp's."""
    return "wamid." + base64.b64encode(secrets.token_bytes(42)).decode()


@dataclass(frozen=True)
class Scene:
    """Who writes to which number, when (seconds), and where files are."""

    number: Number
    person: Person
    now: int
    media: Media


Build = Callable[[Scene, Fields], JsonObject]


def head(scene: Scene, mid: str, timestamp: int) -> JsonObject:
    """Return what every message of a person begins with; who has no wa_id has no `from`."""
    return {
        **present(**{"from": scene.person.wa_id}),
        "from_user_id": scene.person.bsuid,
        "id": mid,
        "timestamp": str(timestamp),
    }


def contact_of(person: Person) -> JsonObject:
    """Return the entry of `contacts`."""
    profile = {"name": person.name, **present(username=person.username)}
    return {"profile": profile, **present(wa_id=person.wa_id), "user_id": person.bsuid}


def context_of(scene: Scene, fields: Fields) -> JsonObject | None:
    """Return what a reply says of the message it answers."""
    mid = fields.optional_text("reply_to")
    if fields.flag("forwarded"):
        return {"forwarded": True}
    if mid is None:
        return None
    answered = scene.person.conversation.find(mid)
    own = answered is not None and answered.author == "contact"
    author = scene.person.wa_id if own else scene.number.digits
    return {**present(**{"from": author}), "id": mid}


def message(scene: Scene, fields: Fields) -> JsonObject:
    """Text, or one file with the text as its caption."""
    text = fields.optional_text("text")
    given = fields.optional_objects("attachments") or []
    common = present(context=context_of(scene, fields), referral=fields.optional_object("referral"))
    if not given:
        if text is None:
            raise BadField("text or attachments is needed")
        return {**common, "type": "text", "text": {"body": text}}
    if len(given) > 1:
        raise BadField("a message of WhatsApp has one attachment")
    return {**common, **_file(scene, Fields(given[0]), text)}


def _file(scene: Scene, fields: Fields, caption: str | None) -> JsonObject:
    asked = fields.text("type")
    kind, name = ATTACHMENTS.get(asked, asked), fields.optional_text("title")
    if kind not in ("image", "audio", "video", "document", "sticker"):
        raise BadField("attachments: image, audio, video, file or sticker")
    fields.finish()
    told = scene.media.in_webhook(scene.media.sample(scene.number, kind))
    if kind == "audio":
        told["voice"] = True
    if kind == "sticker":
        told["animated"] = False
    if kind == "document":
        told["filename"] = name or "menu.pdf"
    return {"type": kind, kind: {**present(caption=caption), **told}}


def _edit(_scene: Scene, fields: Fields) -> JsonObject:
    body = {"type": "text", "text": {"body": fields.text("text")}}
    edit = {"original_message_id": fields.text("mid"), "message": body}
    return {"type": "edit", "edit": edit}


def _revoke(_scene: Scene, fields: Fields) -> JsonObject:
    return {"type": "revoke", "revoke": {"original_message_id": fields.text("mid")}}


REACTIONS = {"love": "❤️", "smile": "😆", "wow": "😮", "sad": "😢", "angry": "😠", "like": "👍"}


def _reaction(_scene: Scene, fields: Fields) -> JsonObject:
    """A reaction that is taken back has an empty emoji."""
    name = fields.optional_text("reaction") or "love"
    emoji = fields.optional_text("emoji") or REACTIONS.get(name, "❤️")
    removed = fields.choice("action", ("react", "unreact")) == "unreact"
    told = {"message_id": fields.text("mid"), "emoji": "" if removed else emoji}
    return {"type": "reaction", "reaction": told}


def _location(_scene: Scene, fields: Fields) -> JsonObject:
    told = present(
        latitude=fields.number("latitude", 52.52),
        longitude=fields.number("longitude", 13.405),
        name=fields.optional_text("name"),
        address=fields.optional_text("address"),
    )
    return {"type": "location", "location": told}


def _contacts(_scene: Scene, fields: Fields) -> JsonObject:
    name, phone = fields.text("name", "Marco Rossi"), fields.text("phone", "+39 333 1234567")
    first, _, last = name.partition(" ")
    card: JsonObject = {
        "name": {"formatted_name": name, "first_name": first, **present(last_name=last or None)},
        "phones": [{"phone": phone, "wa_id": "".join(filter(str.isdigit, phone)), "type": "CELL"}],
    }
    return {"type": "contacts", "contacts": [card]}


def _button(scene: Scene, fields: Fields) -> JsonObject:
    told = {"payload": fields.text("payload", "YES"), "text": fields.text("text", "Yes")}
    return {**present(context=context_of(scene, fields)), "type": "button", "button": told}


def _interactive(scene: Scene, fields: Fields) -> JsonObject:
    usual: JsonObject = {"type": "button_reply", "button_reply": {"id": "1", "title": "Yes"}}
    told = fields.optional_object("reply") or usual
    context = present(context=context_of(scene, fields))
    return {**context, "type": "interactive", "interactive": told}


def _order(_scene: Scene, fields: Fields) -> JsonObject:
    loaf: JsonObject = {
        "product_retailer_id": "SKU-1",
        "quantity": 2,
        "item_price": 4.2,
        "currency": "EUR",
    }
    told = {
        "catalog_id": "194836987003835",
        "text": fields.text("text", ""),
        "product_items": fields.optional_objects("product_items") or [loaf],
    }
    return {"type": "order", "order": told}


def _unsupported(_scene: Scene, fields: Fields) -> JsonObject:
    return {"type": "unsupported", "errors": [in_status(fields.integer("code", 131051))]}


def _number_changed(scene: Scene, fields: Fields) -> JsonObject:
    new = fields.text("wa_id")
    name = scene.person.name
    body = f"User {name} changed from {scene.person.wa_id} to {new}"
    told = {"body": body, "wa_id": new, "type": "user_changed_number"}
    return {"type": "system", "system": told}


KINDS: dict[str, Build] = {
    "message": message,
    "message_edit": _edit,
    "revoke": _revoke,
    "reaction": _reaction,
    "location": _location,
    "contacts": _contacts,
    "button": _button,
    "interactive": _interactive,
    "order": _order,
    "unsupported": _unsupported,
    "number_changed": _number_changed,
}

WITHOUT_CONTACTS = ("number_changed",)
