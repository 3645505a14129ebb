"""The bodies of sending, in and out."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from contracts.sending import Kind
from gateway.shapes import ConnectionId, Time

Id = Annotated[str, Meta(min_length=1, max_length=500)]
CommentId = Annotated[str, Meta(pattern=r"^[0-9A-Za-z_]{1,500}$(?!\n)")]
"""It becomes a part of an address."""
SendState = Literal["queued", "sending", "sent", "failed", "unknown"]


class SendHeaders(msgspec.Struct, frozen=True, rename={"idempotency_key": "Idempotency-Key"}):
    """The header of a send."""

    idempotency_key: Annotated[
        str,
        Meta(
            pattern=r"^[!-~]{1,255}$(?!\n)",
            description="Of your own making, another one for each message: the same call again, "
            "however often, sends nothing more.",
        ),
    ]


class AddressBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By the provider's ids: a contact, or a comment that is answered."""

    contact: Id | None = None
    comment: CommentId | None = None


class AttachmentBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is attached: something that we keep, by its `id`, or what the provider fetches from
    `url`, which must be public.
    """

    id: Annotated[
        Id | None, Meta(description="Of `POST /v1/attachments`, or of a message that came.")
    ] = None
    url: Annotated[str, Meta(min_length=1, max_length=2000)] | None = None
    kind: Annotated[Kind | None, Meta(description="If it is not said, the url's ending tells.")] = (
        None
    )
    mime_type: Annotated[str, Meta(max_length=100)] | None = None
    name: Annotated[str, Meta(max_length=200)] | None = None


class QuickReplyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prepared answer; `payload` comes back with the message when it is tapped."""

    title: Annotated[str, Meta(min_length=1, max_length=20)]
    payload: Annotated[str, Meta(min_length=1, max_length=1000)]


class SendBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message to send: in a conversation, or to somebody, or as an answer to a comment."""

    connection: ConnectionId
    conversation: (
        Annotated[str, Meta(max_length=100, description="`cnv_…`, as messages have it.")] | None
    ) = None
    to: AddressBody | None = None
    reply: Annotated[
        Literal["private", "public"] | None,
        Meta(description="With `to.comment`: a message to who wrote it, or a comment below it."),
    ] = None
    text: Annotated[str, Meta(max_length=10_000)] | None = None
    attachments: Annotated[list[AttachmentBody], Meta(max_length=30)] = []
    reply_to: Annotated[
        Id | None, Meta(description="`message_id` of the message that is answered.")
    ] = None
    quick_replies: Annotated[list[QuickReplyBody], Meta(max_length=30)] = []
    template: Annotated[dict[str, Any] | None, Meta(description="In the provider's own shape.")] = (
        None
    )
    interactive: Annotated[
        dict[str, Any] | None, Meta(description="In the provider's own shape.")
    ] = None
    human_agent: Annotated[
        bool, Meta(description="A person wrote it: the provider's longer window counts.")
    ] = False


class SendError(msgspec.Struct, frozen=True):
    """Why it was not sent. `reason` is ours, `code` the provider's own."""

    reason: str
    code: str
    detail: str


class SendStatus(msgspec.Struct, frozen=True):
    """A send. `message_id`: the provider's, once it is known."""

    id: str
    status: SendState
    connection: str
    conversation: str | None
    message_id: str | None
    error: SendError | None
    attempts: int
    created_at: Time
    changed_at: Time


class Accepted(msgspec.Struct, frozen=True):
    """It will be sent, in the order of its conversation; the feed says what became of it."""

    id: str
    status: SendState
