"""The JSON of `messaging[]` and `standby[]`, field by field, as far as we read it.

Source: https://developers.facebook.com/docs/messenger-platform/reference/webhook-events.
"""

from typing import Any

import msgspec

from connectors.kit.shape import Id, Number


class Party(msgspec.Struct):
    id: Id | None = None


class QuickReply(msgspec.Struct):
    payload: str


class ReplyTo(msgspec.Struct):
    mid: Id | None = None
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
    app_id: Id | None = None
    metadata: str | None = None


class Edit(msgspec.Struct):
    mid: Id
    num_edit: Id
    text: str | None = None


class Delivered(msgspec.Struct):
    watermark: Number
    mids: list[Id] | None = None


class Read(msgspec.Struct):
    watermark: Number


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


class PolicyEnforcement(msgspec.Struct):
    action: str
    reason: str | None = None


class AccountLinking(msgspec.Struct):
    status: str
    authorization_code: str | None = None


class ResponseFeedback(msgspec.Struct):
    feedback: str
    mid: Id | None = None


class Update(msgspec.Struct):
    """One element of `messaging` or `standby`: who, when, and the key that says what."""

    sender: Party | None = None
    recipient: Party | None = None
    timestamp: Number | None = None
    message: Message | None = None
    message_edit: Edit | None = None
    delivery: Delivered | None = None
    read: Read | None = None
    reaction: Reaction | None = None
    postback: Postback | None = None
    referral: Referral | None = None
    optin: Optin | None = None
    pass_thread_control: ThreadControl | None = None
    take_thread_control: ThreadControl | None = None
    request_thread_control: ThreadControl | None = None
    app_roles: dict[str, list[str]] | None = None
    policy_enforcement: PolicyEnforcement | None = None
    account_linking: AccountLinking | None = None
    response_feedback: ResponseFeedback | None = None
    order: dict[str, Any] | None = None
    template: dict[str, Any] | None = None


class Change(msgspec.Struct):
    field: str
    value: msgspec.Raw


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """What one delivery says of one Page. An unknown key makes it be read piece by piece."""

    id: Id | None = None
    time: Number | None = None
    messaging: list[Update] = []
    standby: list[Update] = []
    changes: list[msgspec.Raw] = []
    hop_context: msgspec.Raw | None = None
    """The apps that the thread went through; the handover events say the same."""
