"""The JSON of the kinds that Instagram alone has.

Source: https://developers.facebook.com/docs/instagram-platform/webhooks/examples.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from connectors.kit.meta.messaging import shapes
from connectors.kit.shape import Id


class Message(shapes.Message):
    is_deleted: bool | None = None


class Read(msgspec.Struct):
    mid: Id


class Update(shapes.Update):
    message: Message | None = None
    read: Read | None = None


class Author(msgspec.Struct):
    id: Id | None = None
    username: str | None = None
    self_ig_scoped_id: Id | None = None
    """There when the account comments itself."""


class Media(msgspec.Struct):
    id: Id
    media_product_type: str | None = None
    ad_id: Id | None = None
    original_media_id: Id | None = None


class Comment(msgspec.Struct, rename={"author": "from"}):
    """The value of `comments` and `live_comments`. One of Meta's samples calls its id `comment_id`,
    and the ad's ids stand within `media` or beside it.
    """

    media: Media
    id: Id | None = None
    comment_id: Id | None = None
    author: Author | None = None
    text: str | None = None
    parent_id: Id | None = None
    ad_id: Id | None = None
    original_media_id: Id | None = None


class Mention(msgspec.Struct):
    """The value of `mentions`: in a comment, or without `comment_id` in a post's caption."""

    media_id: Id
    comment_id: Id | None = None


CHANGES: Final[Mapping[str, type[msgspec.Struct]]] = {
    "comments": Comment,
    "live_comments": Comment,
    "mentions": Mention,
}
"""The fields of `changes` that we know, and the shapes of their values."""
