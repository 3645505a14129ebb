"""What Messenger and Instagram take from us, as data; how it is asked for, and what they answer.

Sources: https://developers.facebook.com/docs/messenger-platform/reference/send-api,
https://developers.facebook.com/docs/messenger-platform/discovery/private-replies and
https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/messaging-api.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from connectors.kit.transport.refusals import unclear
from contracts.sending import Attached, Outgoing, Rules, Sent, What

WINDOW: Final = timedelta(hours=24)
"""After what the contact did last."""
AGENT_WINDOW: Final = timedelta(days=7)
"""For what a person writes; the app needs Meta's review for its tag."""
MOST_QUICK_REPLIES: Final = 13

MESSENGER: Final[Mapping[What, Rules]] = {
    "message": Rules(
        feature="messages",
        text=2_000,
        kinds=frozenset({"image", "video", "audio", "file"}),
        attachments=1,
        quick_replies=MOST_QUICK_REPLIES,
        reply_to=True,
        template=True,
        window=WINDOW,
        agent_window=AGENT_WINDOW,
    ),
    "private_reply": Rules(
        feature="messages", text=2_000, quick_replies=MOST_QUICK_REPLIES, template=True
    ),
    "public_reply": Rules(
        feature="comment_replies",
        text=8_000,
        kinds=frozenset({"image"}),
        attachments=1,
        beside_text=True,
    ),
}

INSTAGRAM: Final[Mapping[What, Rules]] = {
    "message": Rules(
        feature="messages",
        text=1_000,
        unit="bytes",
        kinds=frozenset({"image", "video", "audio"}),
        attachments=1,
        quick_replies=MOST_QUICK_REPLIES,
        reply_to=True,
        template=True,
        window=WINDOW,
        agent_window=AGENT_WINDOW,
    ),
    "private_reply": Rules(feature="comments", text=1_000, unit="bytes"),
    "public_reply": Rules(feature="comments", text=2_200),
}


def request(it: Outgoing) -> dict[str, Any]:
    """The fields of `POST /{account}/messages`. A private reply names the comment as recipient."""
    is_private = it.what == "private_reply"
    fields: dict[str, Any] = {
        "recipient": {"comment_id" if is_private else "id": it.to},
        "message": _message(it),
    }
    if not is_private:
        tagged = {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}
        fields |= tagged if it.human_agent else {"messaging_type": "RESPONSE"}
    if it.reply_to is not None:
        fields["reply_to"] = {"mid": it.reply_to}
    return fields


def sent(answer: Mapping[str, Any], name: str) -> Sent:
    """The provider's id of what it took, which stands in `name`. Raises `OutcomeUnknown` for an
    answer without one.
    """
    id_, contact = answer.get(name), answer.get("recipient_id")
    if not isinstance(id_, str | int) or not str(id_):
        raise unclear("Meta answered without an id of what it sent", repeatable=False)
    return Sent(str(id_), str(contact) if isinstance(contact, str | int) else None)


def _message(it: Outgoing) -> dict[str, Any]:
    """`metadata` comes back in the echo, which settles a send whose answer was lost."""
    message: dict[str, Any] = {"metadata": it.id}
    if it.template is not None:
        message["attachment"] = {"type": "template", "payload": it.template}
    elif it.attachments:
        message["attachment"] = _attachment(it.attachments[0])
    else:
        message["text"] = it.text
    if it.quick_replies:
        message["quick_replies"] = [
            {"content_type": "text", "title": one.title, "payload": one.payload}
            for one in it.quick_replies
        ]
    return message


def _attachment(it: Attached) -> dict[str, Any]:
    return {"type": it.kind, "payload": {"url": it.url}}
