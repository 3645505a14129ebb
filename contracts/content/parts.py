"""Parts that several message types share: who, where, attachments, replies, referrals."""

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

Time = Annotated[
    str,
    msgspec.Meta(
        extra_json_schema={
            "format": "date-time",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        }
    ),
]
"""UTC with milliseconds and `Z` (RFC 3339), as `contracts.messages.timestamp` writes it."""

Json = dict[str, Any]
"""A JSON object in the provider's own shape."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the objects inside content."""


class Content(msgspec.Struct, frozen=True, kw_only=True, rename={"sender": "from"}):
    """Base of every type's `data`; `type` is the message's type without the `cleverbox.` prefix."""

    type: ClassVar[str]


class Conversation(msgspec.Struct, frozen=True):
    """`id` is `cnv_…`, a keyed hash of tenant, provider, account and thread: stable, and mute."""

    id: str
    kind: Literal["direct", "group", "comments", "mail"] = "direct"


class Participant(Part, frozen=True, kw_only=True):
    """`id` is the provider's. A contact always has `name` and `address`, null while unknown."""

    id: str
    role: Literal["contact", "business"]
    name: str | UnsetType | None = UNSET
    address: str | UnsetType | None = UNSET
    """Phone number or e-mail address."""
    username: str | UnsetType = UNSET
    """What the person is called by at the provider, where that is beside a name."""


def contact(
    id: str,  # noqa: A002 (the field's name)
    name: str | None = None,
    address: str | None = None,
    username: str | UnsetType = UNSET,
) -> Participant:
    """The person outside."""
    return Participant(id=id, role="contact", name=name, address=address, username=username)


def business(id: str) -> Participant:  # noqa: A002 (the field's name)
    """The tenant's own account, e.g. a Page."""
    return Participant(id=id, role="business")


class Attachment(Part, frozen=True, kw_only=True):
    """Media or an object that came along; `GET /v1/attachments/{id}` serves it once `stored`."""

    id: str
    kind: Literal[
        "image",
        "video",
        "audio",
        "file",
        "sticker",
        "location",
        "contact",
        "share",
        "story",
        "template",
        "unknown",
    ]
    mime_type: str | None = None
    name: str | None = None
    size: int | None = None
    """Bytes."""
    url: str | None = None
    """Where the provider serves it, for as long as it does."""
    expires_at: Time | None = None
    stored: bool = False
    sha256: str | None = None
    """Lowercase hex, of the stored bytes."""
    original: Json | UnsetType = UNSET
    """The provider's own object, where it says more than fits above."""


class Story(Part, frozen=True, kw_only=True):
    """The story that a reply answers."""

    id: str | None = None
    url: str | None = None


class Reply(Part, frozen=True, kw_only=True):
    """What a message answers."""

    message_id: str | UnsetType = UNSET
    story: Story | UnsetType = UNSET
    to_self: bool | UnsetType = UNSET
    """Whether the writer answers a message of their own."""


class QuickReply(Part, frozen=True, kw_only=True):
    """The prepared answer that was tapped; `payload` is what the business put behind it."""

    payload: str


class Referral(Part, frozen=True, kw_only=True):
    """Where the contact came from: an ad, a link, a plugin."""

    source: str | None = None
    kind: str | None = None
    ref: str | UnsetType = UNSET
    """The parameter that the business put into the link."""
    ad_id: str | UnsetType = UNSET
    product_id: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    context: Json | UnsetType = UNSET
    """What the provider tells of the ad."""


class Failure(Part, frozen=True, kw_only=True):
    """Why a message did not get through, in the provider's words."""

    code: str
    title: str | None = None
    detail: str | None = None


class Post(Part, frozen=True, kw_only=True):
    """What a comment stands under."""

    id: str
    kind: str | None = None
    """The provider's word for it, e.g. `REELS`."""
    url: str | UnsetType = UNSET
    ad_id: str | UnsetType = UNSET
    """The ad that shows it."""
    original_id: str | UnsetType = UNSET
    """The post of which the ad was made."""
