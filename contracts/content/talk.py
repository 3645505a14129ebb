"""Content of what contacts and businesses say and do in conversations, and under posts."""

from typing import ClassVar, Literal

from msgspec import UNSET, UnsetType

from contracts.content.parts import (
    Attachment,
    Content,
    Conversation,
    Failure,
    Json,
    Participant,
    Post,
    QuickReply,
    Referral,
    Reply,
    Time,
)


class Talk(Content, frozen=True, kw_only=True):
    """Base of what somebody does in a conversation: `from` did it, towards `to`."""

    conversation: Conversation
    sender: Participant
    to: tuple[Participant, ...]
    standby: bool | UnsetType = UNSET
    """True while another app of the business owns the thread: do not answer by machine."""


class _Message(Talk, frozen=True, kw_only=True):
    """A message, whoever wrote it."""

    message_id: str
    text: str | None = None
    attachments: tuple[Attachment, ...] = ()
    reply_to: Reply | None = None
    automated: bool = False
    """The provider or the mail says that a machine wrote it. False is no proof of a person."""
    html: str | UnsetType = UNSET
    subject: str | UnsetType = UNSET
    quick_reply: QuickReply | UnsetType = UNSET
    referral: Referral | UnsetType = UNSET
    forwarded: Literal["once", "often"] | UnsetType = UNSET
    """The writer passed on what somebody else wrote; `often`: as many did before."""
    past: bool | UnsetType = UNSET
    """True for one of the time before the account was connected: not to be answered."""
    unsupported: bool | UnsetType = UNSET
    """True where the provider does not hand out what was written: it is to be seen in its app."""
    commands: tuple[str, ...] | UnsetType = UNSET
    """Names of the business's commands that the text invokes."""
    cc: tuple[Participant, ...] | UnsetType = UNSET
    bcc: tuple[Participant, ...] | UnsetType = UNSET
    reply_text: str | UnsetType = UNSET
    """The new part of a mail, without what it quotes."""
    quoted_text: str | UnsetType = UNSET
    references: tuple[str, ...] | UnsetType = UNSET


class MessageReceived(_Message, frozen=True, kw_only=True):
    """A contact wrote to the business."""

    type: ClassVar[str] = "message.received"


class MessageSent(_Message, frozen=True, kw_only=True):
    """The business wrote to a contact: through us, or elsewhere (an echo)."""

    type: ClassVar[str] = "message.sent"
    via: str | UnsetType = UNSET
    """What sent it (see docs/messages.md): `page_inbox`, `gateway`, `app:<id>`, or unset."""
    send_id: str | UnsetType = UNSET
    """`snd_…` of `POST /v1/messages` when it was sent through us."""
    metadata: str | UnsetType = UNSET
    """The text that the sending app attached for itself."""


class MessageEdited(Talk, frozen=True, kw_only=True):
    """A message has a new text; `revision` counts the edits."""

    type: ClassVar[str] = "message.edited"
    message_id: str
    revision: int | UnsetType = UNSET
    text: str | UnsetType = UNSET


class MessageDeleted(Talk, frozen=True, kw_only=True):
    """The writer took a message back."""

    type: ClassVar[str] = "message.deleted"
    message_id: str


class MessageReaction(Talk, frozen=True, kw_only=True):
    """A reaction to the message `message_id` was put or taken away."""

    type: ClassVar[str] = "message.reaction"
    message_id: str
    action: Literal["added", "removed"]
    emoji: str | None = None
    name: str | UnsetType = UNSET
    """The provider's word for the reaction, e.g. `love`."""


class MessageDelivered(Talk, frozen=True, kw_only=True):
    """Messages of the business reached the contact: those named, and all up to `watermark`."""

    type: ClassVar[str] = "message.delivered"
    message_ids: tuple[str, ...] = ()
    watermark: Time | UnsetType = UNSET
    send_ids: tuple[str, ...] | UnsetType = UNSET
    """`snd_…` of those of `message_ids` that were sent through us."""


class MessageRead(Talk, frozen=True, kw_only=True):
    """The contact saw messages of the business: those named, and all up to `watermark`."""

    type: ClassVar[str] = "message.read"
    message_ids: tuple[str, ...] = ()
    watermark: Time | UnsetType = UNSET
    played: bool | UnsetType = UNSET
    """True: a voice message was listened to."""
    send_ids: tuple[str, ...] | UnsetType = UNSET
    """As of `message.delivered`."""


class MessageFailed(Talk, frozen=True, kw_only=True):
    """Messages of the business did not get through."""

    type: ClassVar[str] = "message.failed"
    message_ids: tuple[str, ...]
    error: Failure
    send_id: str | UnsetType = UNSET


class AttachmentUpdated(Content, frozen=True, kw_only=True):
    """Media of a message has been stored, or could not be."""

    type: ClassVar[str] = "attachment.updated"
    conversation: Conversation
    message_id: str
    attachment: Attachment
    failure: Failure | UnsetType = UNSET
    """Why it could not be stored, in our words."""


class PostbackReceived(Talk, frozen=True, kw_only=True):
    """A contact pressed something that the business had prepared: a button, a menu, a coupon."""

    type: ClassVar[str] = "postback.received"
    message_id: str | UnsetType = UNSET
    title: str | None = None
    payload: str | None = None
    """What the business put behind it; null where the provider withholds it (standby)."""
    referral: Referral | UnsetType = UNSET
    template: Json | UnsetType = UNSET
    """The template that was used, e.g. a coupon, in the provider's shape."""


class ReferralReceived(Talk, frozen=True, kw_only=True):
    """A contact came into an existing conversation through a link or an ad."""

    type: ClassVar[str] = "referral.received"
    referral: Referral


class OptinChanged(Content, frozen=True, kw_only=True):
    """A contact agreed to be written to, or took it back."""

    type: ClassVar[str] = "optin.changed"
    conversation: Conversation | UnsetType = UNSET
    sender: Participant | UnsetType = UNSET
    to: tuple[Participant, ...]
    kind: str | None = None
    status: str | None = None
    """The provider's word for what changed."""
    payload: str | UnsetType = UNSET
    ref: str | UnsetType = UNSET
    user_ref: str | UnsetType = UNSET
    """Stands for the contact where the provider does not say yet who it is."""
    token: str | UnsetType = UNSET
    token_status: str | UnsetType = UNSET
    token_expires_at: Time | UnsetType = UNSET
    standby: bool | UnsetType = UNSET


class OrderReceived(Talk, frozen=True, kw_only=True):
    """A contact ordered; `order` is the provider's object."""

    type: ClassVar[str] = "order.received"
    order: Json
    message_id: str | UnsetType = UNSET


class FeedbackReceived(Talk, frozen=True, kw_only=True):
    """A contact judged an answer."""

    type: ClassVar[str] = "feedback.received"
    feedback: str
    message_id: str | UnsetType = UNSET


class AccountLinkChanged(Talk, frozen=True, kw_only=True):
    """A contact linked the business's login with the conversation, or ended that."""

    type: ClassVar[str] = "account_link.changed"
    status: str
    authorization_code: str | UnsetType = UNSET


class LeadCreated(Content, frozen=True, kw_only=True):
    """Somebody filled in a lead form; `fields` when they could be fetched."""

    type: ClassVar[str] = "lead.created"
    lead_id: str
    form_id: str | None = None
    ad_id: str | UnsetType = UNSET
    campaign_id: str | UnsetType = UNSET
    created_at: Time | UnsetType = UNSET
    fields: dict[str, tuple[str, ...]] | UnsetType = UNSET


class ConversationHandover(Content, frozen=True, kw_only=True):
    """The thread moved, or is asked to move, between apps of the business (ids of the provider)."""

    type: ClassVar[str] = "conversation.handover"
    action: Literal["passed", "taken", "requested", "roles"]
    conversation: Conversation | UnsetType = UNSET
    contact: Participant | UnsetType = UNSET
    previous_owner: str | UnsetType | None = UNSET
    """App id; null: nobody had it."""
    new_owner: str | UnsetType | None = UNSET
    requested_owner: str | UnsetType | None = UNSET
    metadata: str | UnsetType = UNSET
    roles: dict[str, tuple[str, ...]] | UnsetType = UNSET
    """App id → its roles."""
    standby: bool | UnsetType = UNSET


class CallUpdated(Talk, frozen=True, kw_only=True):
    """A call began, changed or ended."""

    type: ClassVar[str] = "call.updated"
    call_id: str
    direction: Literal["inbound", "outbound"]
    state: str
    """`started`, `ringing`, `accepted`, `rejected`, `completed`, `failed`, `ended`, or what the
    provider calls it.
    """
    duration_s: int | UnsetType = UNSET


class _Comment(Content, frozen=True, kw_only=True):
    """A comment under a post; the conversation is the post's."""

    conversation: Conversation
    sender: Participant | UnsetType = UNSET
    """Unset where the provider does not say who wrote it."""
    to: tuple[Participant, ...] = ()
    """The business; nobody where the business itself wrote it."""
    comment_id: str
    post: Post
    parent_id: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    attachments: tuple[Attachment, ...] = ()


class CommentCreated(_Comment, frozen=True, kw_only=True):
    """A comment was written."""

    type: ClassVar[str] = "comment.created"


class CommentEdited(_Comment, frozen=True, kw_only=True):
    """A comment has a new text."""

    type: ClassVar[str] = "comment.edited"


class CommentDeleted(_Comment, frozen=True, kw_only=True):
    """A comment is gone, or hidden."""

    type: ClassVar[str] = "comment.deleted"
