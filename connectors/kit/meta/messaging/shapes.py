"""The JSON of `messaging[]` and `standby[]`, field by field, as far as several providers share it.

Source: https://developers.facebook.com/docs/messenger-platform/reference/webhook-events.
"""

from typing import Any, Generic, TypeVar

import msgspec

from connectors.kit.shape import Id, Number


class Party(msgspec.Struct):
    id: Id | None = None


class QuickReply(msgspec.Struct):
    payload: str


class Story(msgspec.Struct):
    id: Id | None = None
    url: str | None = None


class ReplyTo(msgspec.Struct):
    mid: Id | None = None
    story: Story | None = None
    is_self_reply: bool | None = None


class Product(msgspec.Struct):
    id: Id | None = None


class Referral(msgspec.Struct):
    ref: str | None = None
    source: str | None = None
    type: str | None = None
    ad_id: Id | None = None
    product: Product | None = None
    referer_uri: str | None = None
    ads_context_data: dict[str, Any] | None = None


class Message(msgspec.Struct):
    mid: Id
    text: str | None = None
    attachments: list[dict[str, Any]] | None = None
    quick_reply: QuickReply | None = None
    reply_to: ReplyTo | None = None
    referral: Referral | None = None
    commands: list[dict[str, Any]] | None = None
    is_echo: bool | None = None
    is_unsupported: bool | None = None
    app_id: Id | None = None
    metadata: str | None = None


class Edit(msgspec.Struct):
    mid: Id
    num_edit: Id
    text: str | None = None


class Reaction(msgspec.Struct):
    mid: Id
    action: str
    reaction: str | None = None
    emoji: str | None = None


class Postback(msgspec.Struct):
    mid: Id | None = None
    title: str | None = None
    payload: str | None = None
    referral: Referral | None = None


class Optin(msgspec.Struct):
    type: str | None = None
    payload: str | None = None
    ref: str | None = None
    user_ref: Id | None = None
    notification_messages_token: str | None = None
    notification_messages_status: str | None = None
    token_expiry_timestamp: Number | None = None
    user_token_status: str | None = None


class ThreadControl(msgspec.Struct):
    previous_owner_app_id: Id | msgspec.UnsetType | None = msgspec.UNSET
    new_owner_app_id: Id | msgspec.UnsetType | None = msgspec.UNSET
    requested_owner_app_id: Id | msgspec.UnsetType | None = msgspec.UNSET
    metadata: str | None = None


class Update(msgspec.Struct):
    """One element of `messaging` or `standby`: who, when, and the key that says what.

    A provider adds the keys that it alone has.
    """

    sender: Party | None = None
    recipient: Party | None = None
    timestamp: Number | None = None
    message: Message | None = None
    message_edit: Edit | None = None
    reaction: Reaction | None = None
    postback: Postback | None = None
    referral: Referral | None = None
    optin: Optin | None = None
    pass_thread_control: ThreadControl | None = None
    take_thread_control: ThreadControl | None = None
    request_thread_control: ThreadControl | None = None
    app_roles: dict[str, list[str]] | None = None


class Change(msgspec.Struct):
    field: str
    value: msgspec.Raw


class Item(msgspec.Struct):
    """Of what a change tells, where one field tells of several things."""

    item: str | None = None


U = TypeVar("U", bound=Update)


class Entry(msgspec.Struct, Generic[U], forbid_unknown_fields=True):
    """What one delivery says of one account. An unknown key makes it be read piece by piece."""

    id: Id | None = None
    time: Number | None = None
    messaging: list[U] = []
    standby: list[U] = []
    changes: list[msgspec.Raw] = []
    changed_fields: list[str] = []
    hop_context: Any = None
    """The apps that the thread went through; the handover events say the same."""
