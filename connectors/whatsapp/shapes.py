"""The JSON of WhatsApp's changes, field by field.

Source: https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components and the pages of
each field. Objects that are handed on as they came are left as JSON.
"""

from typing import Any

import msgspec

from connectors.kit.shape import Id, Number

Json = dict[str, Any]


class Profile(msgspec.Struct):
    name: str | None = None
    username: str | None = None


class Contact(msgspec.Struct):
    """Somebody whom the change is about. `user_id` is the id in the business's portfolio (BSUID);
    `wa_id`, a phone number, is left out where somebody has a username instead.
    """

    profile: Profile | None = None
    wa_id: Id | None = None
    user_id: Id | None = None


class Metadata(msgspec.Struct):
    display_phone_number: str | None = None


class ErrorData(msgspec.Struct):
    details: str | None = None


class Error(msgspec.Struct):
    code: Id
    title: str | None = None
    message: str | None = None
    error_data: ErrorData | None = None


class Product(msgspec.Struct):
    catalog_id: Id | None = None
    product_retailer_id: Id | None = None


class Context(msgspec.Struct, rename={"sender": "from"}):
    id: Id | None = None
    sender: Id | None = None
    forwarded: bool | None = None
    frequently_forwarded: bool | None = None
    referred_product: Product | None = None


class Text(msgspec.Struct):
    body: str


class Reaction(msgspec.Struct):
    message_id: Id
    emoji: str | None = None


class Button(msgspec.Struct):
    text: str | None = None
    payload: str | None = None


class Reply(msgspec.Struct):
    id: Id
    title: str | None = None


class CallPermission(msgspec.Struct):
    response: str
    expiration_timestamp: Number | None = None


class Interactive(msgspec.Struct):
    type: str
    button_reply: Reply | None = None
    list_reply: Reply | None = None
    nfm_reply: Json | None = None
    call_permission_reply: CallPermission | None = None


class System(msgspec.Struct):
    """`wa_id` and `user_id` are the new ones."""

    type: str | None = None
    wa_id: Id | None = None
    new_wa_id: Id | None = None
    user_id: Id | None = None
    previous_user_id: Id | None = None


class Edited(msgspec.Struct):
    """A message's new content, in the shape of a message without its head."""

    type: str | None = None
    text: Text | None = None
    image: Json | None = None
    video: Json | None = None
    document: Json | None = None


class Edit(msgspec.Struct):
    original_message_id: Id
    message: Edited


class Revoke(msgspec.Struct):
    original_message_id: Id


class Message(msgspec.Struct, rename={"sender": "from"}):
    """An element of `messages`, `message_echoes` and a thread of `history`; the object named as its
    `type` says what it is.
    """

    id: Id
    type: str
    timestamp: Number | None = None
    sender: Id | None = None
    from_user_id: Id | None = None
    to: Id | None = None
    to_user_id: Id | None = None
    group_id: Id | None = None
    context: Context | None = None
    referral: Json | None = None
    text: Text | None = None
    image: Json | None = None
    video: Json | None = None
    audio: Json | None = None
    document: Json | None = None
    sticker: Json | None = None
    reaction: Reaction | None = None
    location: Json | None = None
    contacts: list[Json] | None = None
    order: Json | None = None
    interactive: Interactive | None = None
    button: Button | None = None
    system: System | None = None
    edit: Edit | None = None
    revoke: Revoke | None = None
    unsupported: Json | None = None


class Status(msgspec.Struct):
    """What became of a message of the business's, or of a call."""

    id: Id
    status: str
    timestamp: Number | None = None
    recipient_id: Id | None = None
    recipient_user_id: Id | None = None
    recipient_type: str | None = None
    recipient_participant_id: Id | None = None
    recipient_participant_user_id: Id | None = None
    biz_opaque_callback_data: str | None = None
    errors: list[Error] | None = None


class Thread(msgspec.Struct):
    """Messages with one contact; `id` is a phone number."""

    id: Id
    messages: list[msgspec.Raw] = []


class History(msgspec.Struct):
    threads: list[Thread] | None = None
    errors: list[Error] | None = None


class SyncedContact(msgspec.Struct):
    phone_number: Id | None = None
    user_id: Id | None = None
    full_name: str | None = None
    first_name: str | None = None


class SyncedAt(msgspec.Struct):
    timestamp: Number | None = None


class Synced(msgspec.Struct):
    """A line of the address book in the business's own app."""

    contact: SyncedContact
    action: str
    metadata: SyncedAt | None = None


class Preference(msgspec.Struct):
    category: str
    value: str
    timestamp: Number | None = None
    wa_id: Id | None = None
    user_id: Id | None = None


class Call(msgspec.Struct, rename={"sender": "from"}):
    id: Id
    event: str
    timestamp: Number | None = None
    direction: str | None = None
    sender: Id | None = None
    from_user_id: Id | None = None
    to: Id | None = None
    to_user_id: Id | None = None
    status: str | list[str] | None = None
    duration: int | float | None = None


class Change(msgspec.Struct):
    field: str
    value: msgspec.Raw


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """What one delivery says of one number, or account. An unknown key makes it be read piece by
    piece.
    """

    id: Id | None = None
    time: Number | None = None
    changes: list[Change] = []


class Value(msgspec.Struct, forbid_unknown_fields=True):
    """The value of a change that lists happenings; likewise."""

    messaging_product: Any = None
    metadata: Metadata | None = None
    contacts: list[Contact] | None = None
    messages: list[msgspec.Raw] = []
    message_echoes: list[msgspec.Raw] = []
    statuses: list[msgspec.Raw] = []
    errors: list[msgspec.Raw] = []
    history: list[msgspec.Raw] = []
    state_sync: list[msgspec.Raw] = []
    user_preferences: list[msgspec.Raw] = []
    calls: list[msgspec.Raw] = []
