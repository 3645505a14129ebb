"""Attachments of a message: the provider's types → ours."""

from typing import Any, Final, Literal

from msgspec import UNSET

from connectors.kit.shape import attachment_id
from contracts.content import Attachment
from contracts.media import Media

_Kind = Literal[
    "image", "video", "audio", "file", "sticker", "location", "share", "story", "template"
]

KINDS: Final[dict[str, _Kind]] = {
    "image": "image",
    "audio": "audio",
    "video": "video",
    "file": "file",
    "media": "file",
    "sticker": "sticker",
    "location": "location",
    "share": "share",
    "reel": "share",
    "ig_reel": "share",
    "post": "share",
    "ig_post": "share",
    "fallback": "share",
    "story": "story",
    "ig_story": "story",
    "story_mention": "story",
    "template": "template",
    "appointment_booking": "template",
}
"""An attachment's `type` → its kind; any other is `unknown` and keeps what came."""

_KEPT: Final = frozenset({"image", "video", "audio", "file", "sticker"})
"""Kinds whose bytes are fetched. Of a story mention only the URL may be kept, and what is shared
(posts, reels) is somebody else's."""

_SAID_BY_FIELDS: Final = {"url", "title"}


def attachments(
    account: str, message_id: str, given: list[dict[str, Any]]
) -> tuple[Attachment, ...]:
    """In the order of the message."""
    return tuple(
        _attachment(attachment_id(account, message_id, index), it) for index, it in enumerate(given)
    )


def media(found: tuple[Attachment, ...]) -> tuple[Media, ...]:
    """What is to be fetched of `found`; what has no URL (`ephemeral`) cannot be."""
    return tuple(
        Media(attachment=one.id, place=one.url) for one in found if one.url and one.kind in _KEPT
    )


def _attachment(identifier: str, it: dict[str, Any]) -> Attachment:
    provider_type = it.get("type")
    kind = KINDS.get(provider_type) if isinstance(provider_type, str) else None
    payload = it.get("payload")  # null for many fallbacks, whose url and title stand beside it
    says = {**it, **payload} if isinstance(payload, dict) else it
    told = says.keys() - {"type", "payload"} <= _SAID_BY_FIELDS
    plain = told and kind is not None and kind == provider_type
    return Attachment(
        id=identifier,
        kind=kind or "unknown",
        name=_text(says.get("title")),
        url=_text(says.get("url")),
        original=UNSET if plain else it,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
