"""What Meta says of each kind of Page webhook: one small function a kind, one table.

Shapes: Messenger Platform, "Webhook events". The coupon's is not published in full: a best guess.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.attachments import attachment
from sandbox.fields import BadField, Fields, JsonObject, present
from sandbox.people import Conversation, Object

PAGE_INBOX_APP_ID = 26390203743090
MOST_EDITS = 5
REACTIONS = {
    "love": "❤️",
    "smile": "😆",
    "wow": "😮",
    "sad": "😢",
    "angry": "😠",
    "like": "👍",
    "dislike": "👎",
}


def new_mid() -> str:
    """Return a message id of the length and alphabet of Meta's."""
    return "m_" + secrets.token_urlsafe(60)


@dataclass(frozen=True)
class Scene:
    """Who writes to whom, when (milliseconds), and what was written before.

    `page` is the id of a Page or of an Instagram account, as `object` says.
    """

    page: str
    psid: str
    now_ms: int
    media_url: str
    conversation: Conversation
    object: Object = "page"


def _message(scene: Scene, fields: Fields) -> JsonObject:
    message: JsonObject = {"mid": fields.text("mid", new_mid())}
    text, quick_reply = fields.optional_text("text"), fields.optional_text("quick_reply")
    given = fields.optional_objects("attachments")
    if text is None and not given:
        raise BadField("text or attachments is needed")
    return message | present(
        text=text,
        quick_reply=None if quick_reply is None else {"payload": quick_reply},
        reply_to=_reply_to(scene, fields),
        attachments=[attachment(one, scene.media_url) for one in given] if given else None,
        referral=fields.optional_object("referral"),
        commands=fields.optional_objects("commands"),
    )


def _reply_to(scene: Scene, fields: Fields) -> JsonObject | None:
    mid = fields.optional_text("reply_to")
    if mid is None:
        return None
    answered = scene.conversation.find(mid)
    own = answered is not None and answered.author == "contact"
    return {"mid": mid, **present(is_self_reply=True if own else None)}


def _echo(scene: Scene, fields: Fields) -> JsonObject:
    head: JsonObject = {
        "is_echo": True,
        "app_id": fields.integer("app_id", PAGE_INBOX_APP_ID),
        **present(metadata=fields.optional_text("metadata")),
    }
    return head | _message(scene, fields)


def _message_edit(scene: Scene, fields: Fields) -> JsonObject:
    mid = fields.text("mid")
    edited = scene.conversation.find(mid)
    earlier = edited.edits if edited is not None else 0
    if earlier >= MOST_EDITS and not fields.has("num_edit"):
        raise BadField(f"a message can be edited {MOST_EDITS} times")
    number = fields.integer("num_edit", earlier + 1, least=1)
    return {"mid": mid, "text": fields.text("text"), "num_edit": number}


def _delivery(scene: Scene, fields: Fields) -> JsonObject:
    mids = fields.optional_texts("mids")
    return {**present(mids=mids), "watermark": fields.integer("watermark", scene.now_ms)}


def _read(scene: Scene, fields: Fields) -> JsonObject:
    return {"watermark": fields.integer("watermark", scene.now_ms)}


def _reaction(_scene: Scene, fields: Fields) -> JsonObject:
    name = fields.choice("reaction", (*REACTIONS, "other"))
    return {
        "mid": fields.text("mid"),
        "action": fields.choice("action", ("react", "unreact")),
        "reaction": name,
        "emoji": fields.text("emoji", REACTIONS.get(name)),
    }


def _postback(_scene: Scene, fields: Fields) -> JsonObject:
    mid = fields.text("mid", new_mid()) if not fields.flag("without_mid") else None
    return present(
        mid=mid,
        title=fields.text("title", "Get started"),
        payload=fields.text("payload", "GET_STARTED"),
        referral=fields.optional_object("referral"),
    )


def _referral(_scene: Scene, fields: Fields) -> JsonObject:
    source = fields.choice("source", ("SHORTLINK", "ADS"))
    return {
        "ref": fields.text("ref", "autumn-campaign"),
        "source": source,
        "type": "OPEN_THREAD",
        **present(ad_id=fields.optional_text("ad_id")),
    }


def _optin(scene: Scene, fields: Fields) -> JsonObject:
    expiry_ms = scene.now_ms + 180 * 86_400_000
    return {
        "type": "notification_messages",
        "payload": fields.text("payload", "AUTUMN_NEWS"),
        "notification_messages_token": fields.text("token", secrets.token_hex(16)),
        "token_expiry_timestamp": fields.integer("token_expiry_timestamp", expiry_ms),
        "user_token_status": fields.choice("user_token_status", ("NOT_REFRESHED", "REFRESHED")),
        **present(notification_messages_status=fields.optional_text("status")),
    }


def _pass_thread_control(_scene: Scene, fields: Fields) -> JsonObject:
    return {
        "previous_owner_app_id": fields.optional_text("previous_owner_app_id"),
        "new_owner_app_id": fields.text("new_owner_app_id", str(PAGE_INBOX_APP_ID)),
        "metadata": fields.text("metadata", "over to a person"),
    }


def _take_thread_control(_scene: Scene, fields: Fields) -> JsonObject:
    return {
        "previous_owner_app_id": fields.optional_text("previous_owner_app_id"),
        "new_owner_app_id": fields.text("new_owner_app_id", str(PAGE_INBOX_APP_ID)),
        "metadata": fields.text("metadata", "taking over"),
    }


def _request_thread_control(_scene: Scene, fields: Fields) -> JsonObject:
    return {
        "requested_owner_app_id": fields.text("requested_owner_app_id", str(PAGE_INBOX_APP_ID)),
        "metadata": fields.text("metadata", "may I have it?"),
    }


def _app_roles(_scene: Scene, fields: Fields) -> JsonObject:
    role = fields.choice("role", ("primary_receiver", "secondary_receiver"))
    return {fields.text("app_id", str(PAGE_INBOX_APP_ID)): [role]}


def _policy_enforcement(_scene: Scene, fields: Fields) -> JsonObject:
    action = fields.choice("action", ("warning", "block", "unblock"))
    return {"action": action, **present(reason=fields.optional_text("reason"))}


def _account_linking(_scene: Scene, fields: Fields) -> JsonObject:
    status = fields.choice("status", ("linked", "unlinked"))
    code = fields.optional_text("authorization_code")
    return {"status": status, **present(authorization_code=code)}


def _response_feedback(_scene: Scene, fields: Fields) -> JsonObject:
    feedback = fields.choice("feedback", ("Good response", "Bad response"))
    return {"feedback": feedback, "mid": fields.text("mid")}


def _order(_scene: Scene, fields: Fields) -> JsonObject:
    loaf: JsonObject = {
        "id": "7000000000000001",
        "retailer_id": "SKU-1",
        "name": "Sourdough loaf",
        "unit_price": 4.2,
        "currency": "EUR",
        "quantity": 2,
    }
    products = fields.optional_objects("products")
    return {"products": products or [loaf], **present(note=fields.optional_text("note"))}


def _template_coupon(_scene: Scene, fields: Fields) -> JsonObject:
    return {
        "type": "coupon",
        "coupon_code": fields.text("coupon_code", "10PERCENT"),
        "payload": fields.text("payload", "COUPON_AUTUMN"),
    }


Build = Callable[[Scene, Fields], JsonObject]

KINDS: dict[str, Build] = {
    "message": _message,
    "echo": _echo,
    "message_edit": _message_edit,
    "delivery": _delivery,
    "read": _read,
    "reaction": _reaction,
    "postback": _postback,
    "referral": _referral,
    "optin": _optin,
    "pass_thread_control": _pass_thread_control,
    "take_thread_control": _take_thread_control,
    "request_thread_control": _request_thread_control,
    "app_roles": _app_roles,
    "policy_enforcement": _policy_enforcement,
    "account_linking": _account_linking,
    "response_feedback": _response_feedback,
    "order": _order,
    "template_coupon": _template_coupon,
}
