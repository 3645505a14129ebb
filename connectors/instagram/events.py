"""What each kind of update and change means: the table, and what Instagram alone has."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from connectors.instagram import shapes
from connectors.kit.meta.messaging import events
from connectors.kit.meta.messaging.occasion import Occasion
from connectors.kit.meta.messaging.reading import CHANGED_FIELDS
from connectors.kit.shape import given, named, text_of
from contracts import content
from contracts.connector import Event

_LIVE: Final = "LIVE"
"""What a live broadcast's `media_product_type` is, where it is not said."""


def message(on: Occasion, it: shapes.Message) -> Event:
    return unsent(on, it) if it.is_deleted else events.message(on, it)


def unsent(on: Occasion, it: shapes.Message) -> Event:
    """Taken back by its writer. It has the id of the message, so its key has a kind of its own."""
    user, mid = on.user, named(it.mid, "mid")
    data = content.MessageDeleted(**on.by_sender(user), message_id=mid)
    return on.event(data, f"message_deleted:{mid}", user)


def read(on: Occasion, it: shapes.Read) -> Event:
    user, mid = on.user, named(it.mid, "mid")
    data = content.MessageRead(**on.by_sender(user), message_ids=(mid,))
    return on.event(data, on.key(on.sender, mid), user)


def comment(on: Occasion, it: shapes.Comment) -> Event:
    comment_id = named(it.id or it.comment_id or "", "the comment's id")
    sender = _author(on, it.author)
    own = sender is not None and sender.role == "business"
    data = content.CommentCreated(
        conversation=on.under(it.media.id),
        sender=given(sender),
        to=() if own else (content.business(on.business),),
        comment_id=comment_id,
        post=_post(on, it),
        parent_id=text_of(it.parent_id),
        text=given(it.text),
    )
    return on.event(data, on.key(comment_id), sender.id if sender and not own else None)


def mention(on: Occasion, it: shapes.Mention) -> Event:
    """Somebody named the account under, or in, a post. Meta tells where, and not who or what."""
    post = named(it.media_id, "media_id")
    if it.comment_id is None:
        notice = content.AccountNotice(notice="mentioned", severity="info", detail=post)
        return on.event(notice, on.key(post), None)
    comment_id = named(it.comment_id, "comment_id")
    data = content.CommentCreated(
        conversation=on.under(post),
        to=(content.business(on.business),),
        comment_id=comment_id,
        post=content.Post(id=post),
    )
    return on.event(data, on.key(comment_id), None)


EVENTS: Final[Mapping[str, Callable[[Occasion, Any], Event]]] = {
    "message": message,
    "message_edit": events.edited,
    "read": read,
    "reaction": events.reaction,
    "postback": events.postback,
    "referral": events.referral,
    "optin": events.optin,
    "pass_thread_control": events.handover,
    "take_thread_control": events.handover,
    "request_thread_control": events.handover,
    "app_roles": events.roles,
    "comments": comment,
    "live_comments": comment,
    "mentions": mention,
    CHANGED_FIELDS: events.changed_fields,
}
"""The key of an update, or the field of a change, that says what it is → what it means."""


def _author(on: Occasion, it: shapes.Author | None) -> content.Participant | None:
    if it is None or it.id is None:
        return None
    if it.self_ig_scoped_id is not None or str(it.id) == on.business:
        return content.business(on.business)
    return content.contact(str(it.id), name=it.username)


def _post(on: Occasion, it: shapes.Comment) -> content.Post:
    return content.Post(
        id=named(it.media.id, "media.id"),
        kind=it.media.media_product_type or (_LIVE if on.kind == "live_comments" else None),
        ad_id=text_of(it.media.ad_id or it.ad_id),
        original_id=text_of(it.media.original_media_id or it.original_media_id),
    )
