"""What a Page's `changes` tell beside comments: leads, mentions, and what is passed over.

Sources: https://developers.facebook.com/docs/graph-api/webhooks/reference/page and
https://developers.facebook.com/docs/marketing-api/guides/lead-ads/retrieving.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from connectors.facebook import comments
from connectors.kit.meta.messaging.occasion import Occasion
from connectors.kit.shape import (
    Id,
    Misshapen,
    Number,
    given,
    milliseconds,
    moment,
    named,
    text_of,
)
from contracts import content
from contracts.connector import Event, Ignored
from contracts.messages import timestamp


class Lead(msgspec.Struct):
    """The value of `leadgen`: what was filled in is to be fetched by `leadgen_id`."""

    leadgen_id: Id
    form_id: Id | None = None
    ad_id: Id | None = None
    created_time: Number | None = None


class Mention(msgspec.Struct):
    """The value of `mention`: the Page was named in a post, or with `comment_id` in a comment."""

    post_id: Id
    verb: str = "add"
    comment_id: Id | None = None
    sender_id: Id | None = None
    message: str | None = None


class Passed(msgspec.Struct):
    """A value that nobody reads."""


def lead(on: Occasion, it: Lead) -> Event:
    lead_id = named(it.leadgen_id, "leadgen_id")
    if it.created_time is not None:
        on = msgspec.structs.replace(on, ms=milliseconds(it.created_time, "created_time"))
    data = content.LeadCreated(
        lead_id=lead_id,
        form_id=None if it.form_id is None else str(it.form_id),
        ad_id=text_of(it.ad_id),
        created_at=timestamp(moment(on.ms)),
    )
    return on.event(data, on.key(lead_id), None)


def mention(on: Occasion, it: Mention) -> Event:
    """Somebody named the Page under, or in, a post that may be anybody's."""
    post = named(it.post_id, "post_id")
    made = comments.BY_VERB.get(it.verb)
    if made is None:
        raise Misshapen("verb is none of those that we know")
    if it.comment_id is None:
        notice = "mentioned" if made is not content.CommentDeleted else "mention_removed"
        data = content.AccountNotice(notice=notice, severity="info", detail=post)
        return on.event(data, on.key(post, it.verb), None)
    comment_id = named(it.comment_id, "comment_id")
    sender = None if it.sender_id is None else content.contact(str(it.sender_id))
    told = made(
        conversation=on.under(post),
        sender=given(sender),
        to=(content.business(on.business),),
        comment_id=comment_id,
        post=content.Post(id=post),
        text=given(None if made is content.CommentDeleted else it.message),
    )
    again = [] if it.verb in ("add", "remove") else [on.ms]
    return on.event(told, on.key(comment_id, it.verb, *again), sender.id if sender else None)


def passed_over(on: Occasion, it: Passed) -> Ignored:
    """See `PASSED_OVER`."""
    return Ignored(on.kind)


PASSED_OVER: Final = (
    "feed.post",
    "feed.status",
    "feed.photo",
    "feed.video",
    "feed.share",
    "feed.reaction",
    "feed.like",
    "inbox_labels",
)
"""What `feed` brings along with comments, and nobody has agreed to have read: posts, and what is
liked. Labels are the business's own notes in Meta's inbox."""

CHANGES: Final[Mapping[str, type[msgspec.Struct]]] = {
    comments.KIND: comments.Comment,
    "leadgen": Lead,
    "mention": Mention,
    **dict.fromkeys(PASSED_OVER, Passed),
}
"""The fields of `changes` that we know, with their items, and the shapes of their values."""
