"""Media of an event as rows that wait to be fetched: written with its message, or not at all."""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import UNSET

from contracts.connector import Event
from contracts.content import Attachment, AttachmentUpdated, Content, Conversation
from storage.turns import Append, NewMedia
from token_vault import MediaDetails, TenantKeys, media_id, seal_media


def to_be_fetched(event: Event, append: Append, keys: TenantKeys) -> Iterator[NewMedia]:
    """A row for each of the event's media; `append` is the message that it became. Raises
    `ValueError` when a connector names media without a conversation, `KeyError` when they are no
    attachment of the content's.
    """
    attachments = {one.id: one for one in _attachments(event.content)}
    conversation = _of(event, "conversation", None)
    if not isinstance(conversation, Conversation):
        raise ValueError("media belong to a conversation")
    message = _of(event, "message_id", None) or _of(event, "comment_id", "")
    for one in event.media:
        details = MediaDetails(
            attachment=attachments[one.attachment],
            message_id=message,
            conversation=conversation,
            contact=event.contact,
            media=one,
        )
        id_ = media_id(keys, one.attachment)
        yield NewMedia(
            id=id_,
            attachment=one.attachment,
            tenant=append.tenant,
            sealed=seal_media(keys, id_, details),
            connection=append.connection,
            contact=append.contact,
            message=(append.day, append.hash),
        )


def _attachments(said: Content) -> Iterable[Attachment]:
    """Those of a message, or the one of which a provider tells later than of its message."""
    if isinstance(said, AttachmentUpdated):
        return (said.attachment,)
    return getattr(said, "attachments", ())


def _of(event: Event, field: str, default: object) -> Any:
    value = getattr(event.content, field, default)
    return default if value is UNSET else value
