"""What comes along with a message: media, places, people, filled-in forms."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from connectors.kit.shape import attachment_id
from contracts.content import Attachment

_Media = Literal["image", "video", "audio", "file", "sticker"]

MEDIA: Final[Mapping[str, _Media]] = {
    "image": "image",
    "video": "video",
    "audio": "audio",
    "document": "file",
    "sticker": "sticker",
}
"""A message's type → the kind of its attachment."""


def media(account: str, message_id: str, kind: str, told: dict[str, Any]) -> Attachment:
    """`told` has the id by which it is fetched, its SHA-256 in base64, and an address to which the
    account's token belongs.
    """
    return Attachment(
        id=attachment_id(account, message_id, 0),
        kind=MEDIA[kind],
        mime_type=_text(told.get("mime_type")),
        name=_text(told.get("filename")),
        original=told,
    )


def objects(
    account: str,
    message_id: str,
    kind: Literal["location", "contact", "unknown"],
    told: Iterable[dict[str, Any]],
) -> tuple[Attachment, ...]:
    """Places and people, in the order of the message."""
    return tuple(
        Attachment(
            id=attachment_id(account, message_id, index),
            kind=kind,
            name=_name(it),
            url=_text(it.get("url")),
            original=it,
        )
        for index, it in enumerate(told)
    )


def form(account: str, message_id: str, told: dict[str, Any]) -> Attachment:
    """A form (flow) that a contact filled in: its answers stand in `response_json`, as text."""
    return Attachment(
        id=attachment_id(account, message_id, 0),
        kind="template",
        name=_text(told.get("name")),
        original=told,
    )


def _name(it: dict[str, Any]) -> str | None:
    """A place's, or of a contact card the name as it is shown."""
    name = it.get("name")
    return _text(name.get("formatted_name") if isinstance(name, dict) else name)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
