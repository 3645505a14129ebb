"""Comments under the posts of a Page, as the field `feed` tells of them.

Source: https://developers.facebook.com/docs/graph-api/webhooks/reference/page/#feed.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from connectors.kit.meta.messaging.occasion import Occasion
from connectors.kit.shape import Id, Misshapen, Number, digest, given, milliseconds, named
from contracts import content
from contracts.connector import Event

KIND: Final = "feed.comment"
"""Field and item: posts, likes and reactions are items of the same field."""


class Author(msgspec.Struct):
    id: Id | None = None
    name: str | None = None


class Post(msgspec.Struct):
    permalink_url: str | None = None
    status_type: str | None = None


class Comment(msgspec.Struct, rename={"author": "from"}):
    """The value of a `feed` whose item is a comment. Without `author` it is not for us to know who;
    `message` is missing where somebody sent a sticker.
    """

    verb: str
    comment_id: Id
    post_id: Id
    parent_id: Id | None = None
    author: Author | None = None
    message: str | None = None
    created_time: Number | None = None
    post: Post | None = None


BY_VERB: Final[
    Mapping[
        str,
        type[content.CommentCreated] | type[content.CommentEdited] | type[content.CommentDeleted],
    ]
] = {
    "add": content.CommentCreated,
    "unhide": content.CommentCreated,
    "edit": content.CommentEdited,
    "edited": content.CommentEdited,
    "remove": content.CommentDeleted,
    "hide": content.CommentDeleted,
}
"""What happened to a comment; hidden ones may be shown again."""


def comment(on: Occasion, it: Comment) -> Event:
    made = BY_VERB.get(it.verb)
    if made is None:
        raise Misshapen("verb is none of those that we know")
    comment_id, post_id = named(it.comment_id, "comment_id"), named(it.post_id, "post_id")
    if it.verb == "add" and it.created_time is not None:
        on = msgspec.structs.replace(on, ms=milliseconds(it.created_time, "created_time"))
    sender = _author(on, it.author)
    own = sender is not None and sender.role == "business"
    data = made(
        conversation=on.under(post_id),
        sender=given(sender),
        to=() if own else (content.business(on.business),),
        comment_id=comment_id,
        post=_post(post_id, it.post),
        parent_id=given(None if it.parent_id is None or _is_post(it) else str(it.parent_id)),
        text=given(None if made is content.CommentDeleted else it.message),
    )
    return on.event(data, _key(on, comment_id, it), sender.id if sender and not own else None)


def _key(on: Occasion, comment_id: str, it: Comment) -> str:
    """An edit is told by its text and time, so that one back to an earlier text is another; hidden
    and shown again may be any number of times.
    """
    if it.verb.startswith("edit"):
        at = None if it.created_time is None else milliseconds(it.created_time, "created_time")
        said = it.message, at
        return on.key(comment_id, "edit", digest(msgspec.json.encode(said)))
    return on.key(comment_id, it.verb, *([] if it.verb in ("add", "remove") else [on.ms]))


def _is_post(it: Comment) -> bool:
    """A comment under the post itself has it for its parent."""
    return str(it.parent_id) == str(it.post_id)


def _author(on: Occasion, it: Author | None) -> content.Participant | None:
    if it is None or it.id is None:
        return None
    if str(it.id) == on.business:
        return content.business(on.business)
    return content.contact(str(it.id), name=it.name)


def _post(post_id: str, it: Post | None) -> content.Post:
    told = it or Post()
    return content.Post(id=post_id, kind=told.status_type, url=given(told.permalink_url))
