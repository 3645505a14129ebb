"""The business writes: what Messenger's and Instagram's Send API take, refuse, and bring back.

Sources: Messenger Platform, "Send API" and "Private replies"; Instagram Platform, "Messaging API"
and "Comment moderation".
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sandbox.changes import Changes, Comment
from sandbox.facebook import errors
from sandbox.facebook.errors import GraphError
from sandbox.fields import JsonObject, present
from sandbox.messenger import Messenger
from sandbox.oauth.clock import Clock
from sandbox.oauth.params import Params
from sandbox.payloads import new_mid
from sandbox.people import Contact

DAY_S = 86_400
AGENT_S = 7 * DAY_S
REPLY_S = 7 * DAY_S
MOST_QUICK_REPLIES = 13
FETCHED = ("https://", "http://127.0.0.1", "http://localhost")
"""A gateway on this machine has no https."""
TYPES = ("RESPONSE", "UPDATE", "MESSAGE_TAG")
TAGS = ("HUMAN_AGENT",)
"""Others are refused since April 2026."""
MESSAGE_FIELDS = {"text", "attachment", "metadata", "quick_replies"}

Happen = Callable[[str, str, str, JsonObject, str], Awaitable[object]]


@dataclass(frozen=True)
class Rules:
    """What one platform takes: the longest text, in characters or bytes, and kinds of media."""

    longest: int
    in_bytes: bool
    kinds: tuple[str, ...]
    closed: tuple[int, str]
    """Subcode of 10 and words for who may not be written to any more."""


MESSENGER = Rules(
    2_000,
    False,
    ("image", "video", "audio", "file", "template"),
    (2018278, "This message is sent outside of allowed window."),
)
INSTAGRAM = Rules(
    1_000,
    True,
    ("image", "video", "audio", "template"),
    (2534022, "This message is sent outside of allowed window."),
)


class Desk:
    """Where the business's messages come in, of every Page and account."""

    def __init__(self, messenger: Messenger, changes: Changes, clock: Clock) -> None:
        self._messenger, self._changes, self._clock = messenger, changes, clock

    async def write(
        self, account: str, params: Params, rules: Rules, app_id: str, media_url: str
    ) -> JsonObject:
        """POST `/{account}/messages`: `{recipient_id, message_id}`. The echo follows."""
        recipient, message = _object(params, "recipient"), _object(params, "message")
        tag = _tag(params)
        reply_to = _object(params, "reply_to").get("mid") if "reply_to" in params else None
        params.finish()
        said = _said(message, rules)
        contact, comment = self._recipient(account, recipient)
        if comment is None:
            self._check_window(contact, tag, rules)
        else:
            self._check_comment(comment)
        mid = new_mid()
        echo = {"app_id": int(app_id), "mid": mid, **said, **present(reply_to=reply_to)}
        await self._messenger.happen(account, contact.psid, "echo", echo, media_url)
        return {"recipient_id": contact.psid, "message_id": mid}

    async def comment(self, asset: str, comment_id: str, text: str) -> JsonObject:
        """POST below a comment: `{id}`."""
        comment = self._changes.comments.get(comment_id)
        if comment is None or comment.asset != asset:
            raise errors.missing(comment_id, "post")
        return {"id": await self._changes.answered(comment, text)}

    def _recipient(self, account: str, recipient: JsonObject) -> tuple[Contact, Comment | None]:
        page = self._messenger.page(account)
        if "comment_id" in recipient:
            comment = self._changes.comments.get(str(recipient["comment_id"]))
            if comment is None or comment.asset != account:
                raise errors.missing(str(recipient["comment_id"]), "post")
            return page.contact(comment.author), comment
        found = page.contacts.get(str(recipient.get("id")))
        if found is None:
            raise GraphError("(#100) No matching user found", 100, 2018001)
        return found, None

    def _check_window(self, contact: Contact, tag: str | None, rules: Rules) -> None:
        acted = [one.at_ms for one in contact.conversation.bubbles if one.author != "page"]
        allowed_s = AGENT_S if tag == "HUMAN_AGENT" else DAY_S
        if not acted or self._clock.now() - max(acted) / 1000 > allowed_s:
            subcode, words = rules.closed
            raise GraphError(f"(#10) {words}", 10, subcode)

    def _check_comment(self, comment: Comment) -> None:
        if comment.is_answered:
            raise GraphError("(#10900) Activity already replied to", 10900)
        if self._clock.now() - comment.at_s > REPLY_S:
            raise GraphError("(#100) The comment cannot be replied to", 100, 2534025)
        comment.is_answered = True


def _object(params: Params, name: str) -> JsonObject:
    try:
        value = json.loads(params.need(name))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise errors.parameter(f"param {name} must be a JSON object.")
    return value


def _tag(params: Params) -> str | None:
    kind = params.choice("messaging_type", TYPES)
    tag = params.choice("tag", TAGS)
    if (kind == "MESSAGE_TAG") != (tag is not None):
        raise errors.parameter("Param tag is for the messaging_type MESSAGE_TAG.")
    return tag


def _said(message: JsonObject, rules: Rules) -> JsonObject:
    """The fields of the echo."""
    if strange := sorted(set(message) - MESSAGE_FIELDS):
        raise errors.parameter(f"Invalid keys {strange[0]!r} were found in param message.")
    text, attachment = message.get("text"), message.get("attachment")
    if (text is None) == (attachment is None):
        raise errors.parameter("Must give exactly one of text and attachment.")
    _check_quick_replies(message.get("quick_replies") or [])
    metadata = message.get("metadata")
    if text is not None:
        length = len(str(text).encode()) if rules.in_bytes else len(str(text))
        if not isinstance(text, str) or not 0 < length <= rules.longest:
            words = f"Length of param message[text] must be less than or equal to {rules.longest}"
            raise errors.parameter(words)
        return {"text": text, **present(metadata=metadata)}
    if not isinstance(attachment, dict) or attachment.get("type") not in rules.kinds:
        known = ", ".join(rules.kinds)
        raise errors.parameter(f"Param message[attachment][type] must be one of {{{known}}}")
    payload = attachment.get("payload")
    url = payload.get("url") if isinstance(payload, dict) else None
    if attachment["type"] != "template" and not str(url).startswith(FETCHED):
        raise GraphError("(#100) Failed to fetch the file from the url", 100, 2018008)
    return {"attachments": [attachment], **present(metadata=metadata)}


def _check_quick_replies(given: object) -> None:
    if not isinstance(given, list) or len(given) > MOST_QUICK_REPLIES:
        raise errors.parameter(f"message[quick_replies] may have {MOST_QUICK_REPLIES} elements.")
    for one in given:
        if not isinstance(one, dict) or one.get("content_type") != "text":
            raise errors.parameter("message[quick_replies][content_type] must be text.")
        if not one.get("title") or len(str(one["title"])) > 20 or not one.get("payload"):
            raise errors.parameter("message[quick_replies] need a title of 20 characters, payload.")
