"""Every kind of event has the shape that Meta documents."""

import pytest

from sandbox.attachments import SAMPLES
from sandbox.entries import EXAMPLES, WITHOUT_SENDER, entry_of, envelope
from sandbox.fields import BadField, Fields, JsonObject
from sandbox.payloads import MOST_EDITS, Scene
from sandbox.people import Conversation
from tests.sandbox.stage import dig

NOW_MS = 1790000000123
PAGE, PSID = "1234567890", "9988"
MEDIA = "http://sandbox.example/media"

SHAPES: dict[str, tuple[JsonObject, JsonObject]] = {
    "message": (
        {
            "mid": "m_1",
            "text": "Hi",
            "quick_reply": "YES",
            "reply_to": "m_0",
            "referral": {"ref": "r", "source": "ADS", "type": "OPEN_THREAD"},
            "commands": [{"name": "menu"}],
        },
        {
            "message": {
                "mid": "m_1",
                "text": "Hi",
                "quick_reply": {"payload": "YES"},
                "reply_to": {"mid": "m_0"},
                "referral": {"ref": "r", "source": "ADS", "type": "OPEN_THREAD"},
                "commands": [{"name": "menu"}],
            }
        },
    ),
    "echo": (
        {"mid": "m_1", "text": "Hi", "metadata": "desk"},
        {
            "message": {
                "is_echo": True,
                "app_id": 26390203743090,
                "metadata": "desk",
                "mid": "m_1",
                "text": "Hi",
            }
        },
    ),
    "message_edit": (
        {"mid": "m_1", "text": "Ho"},
        {"message_edit": {"mid": "m_1", "text": "Ho", "num_edit": 1}},
    ),
    "delivery": (
        {"mids": ["m_1"], "watermark": 5},
        {"delivery": {"mids": ["m_1"], "watermark": 5}},
    ),
    "read": ({}, {"read": {"watermark": NOW_MS}}),
    "reaction": (
        {"mid": "m_1"},
        {"reaction": {"mid": "m_1", "action": "react", "reaction": "love", "emoji": "❤️"}},
    ),
    "postback": (
        {"mid": "m_1", "title": "Go", "payload": "GO"},
        {"postback": {"mid": "m_1", "title": "Go", "payload": "GO"}},
    ),
    "referral": (
        {"source": "ADS", "ref": "r", "ad_id": "6"},
        {"referral": {"ref": "r", "source": "ADS", "type": "OPEN_THREAD", "ad_id": "6"}},
    ),
    "optin": (
        {"payload": "P", "token": "t", "token_expiry_timestamp": 7, "status": "STOP_NOTIFICATIONS"},
        {
            "optin": {
                "type": "notification_messages",
                "payload": "P",
                "notification_messages_token": "t",
                "token_expiry_timestamp": 7,
                "user_token_status": "NOT_REFRESHED",
                "notification_messages_status": "STOP_NOTIFICATIONS",
            }
        },
    ),
    "pass_thread_control": (
        {"new_owner_app_id": "2", "metadata": "m"},
        {
            "pass_thread_control": {
                "previous_owner_app_id": None,
                "new_owner_app_id": "2",
                "metadata": "m",
            }
        },
    ),
    "take_thread_control": (
        {"previous_owner_app_id": "1", "new_owner_app_id": "2", "metadata": "m"},
        {
            "take_thread_control": {
                "previous_owner_app_id": "1",
                "new_owner_app_id": "2",
                "metadata": "m",
            }
        },
    ),
    "request_thread_control": (
        {"requested_owner_app_id": "2", "metadata": "m"},
        {"request_thread_control": {"requested_owner_app_id": "2", "metadata": "m"}},
    ),
    "app_roles": ({"app_id": "2"}, {"app_roles": {"2": ["primary_receiver"]}}),
    "policy_enforcement": (
        {"action": "block", "reason": "r"},
        {"policy_enforcement": {"action": "block", "reason": "r"}},
    ),
    "account_linking": (
        {"authorization_code": "c"},
        {"account_linking": {"status": "linked", "authorization_code": "c"}},
    ),
    "response_feedback": (
        {"mid": "m_1", "feedback": "Bad response"},
        {"response_feedback": {"feedback": "Bad response", "mid": "m_1"}},
    ),
    "order": (
        {"products": [{"id": "1", "quantity": 2}], "note": "n"},
        {"order": {"products": [{"id": "1", "quantity": 2}], "note": "n"}},
    ),
    "template_coupon": (
        {"coupon_code": "C", "payload": "P"},
        {"template": {"type": "coupon", "coupon_code": "C", "payload": "P"}},
    ),
    "unknown": ({"name": "hologram", "value": {"depth": 3}}, {"hologram": {"depth": 3}}),
}


def scene(conversation: Conversation | None = None) -> Scene:
    return Scene(PAGE, PSID, NOW_MS, MEDIA, conversation or Conversation())


def item_of(kind: str, given: JsonObject, on: Scene | None = None) -> JsonObject:
    return entry_of(kind, on or scene(), Fields(given)).item


def test_every_kind_has_a_shape_here() -> None:
    assert set(EXAMPLES) == {*SHAPES, "dashboard_test"}


@pytest.mark.parametrize("kind", SHAPES)
def test_shape(kind: str) -> None:
    given, content = SHAPES[kind]
    contact, page = {"id": PSID}, {"id": PAGE}
    ends: JsonObject = {"sender": contact, "recipient": page}
    if kind == "echo":
        ends = {"sender": page, "recipient": contact}
    if kind in WITHOUT_SENDER:
        ends = {"recipient": page}
    assert item_of(kind, given) == {**ends, "timestamp": NOW_MS, **content}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_example_is_accepted_and_a_field_too_many_is_not(kind: str) -> None:
    given = EXAMPLES[kind]
    item_of(kind, given)
    with pytest.raises(BadField, match="unknown: surprise"):
        item_of(kind, {**given, "surprise": 1})


def test_the_envelope_may_mix_pages_and_holds_one_item_an_entry() -> None:
    here = entry_of("read", scene(), Fields({"watermark": 1}))
    there = entry_of(
        "read", Scene("77", "5", NOW_MS, MEDIA, Conversation()), Fields({"watermark": 2})
    )
    document = envelope((here, there))
    assert document["object"] == "page"
    assert document["entry"] == [
        {"id": PAGE, "time": NOW_MS, "messaging": [here.item]},
        {"id": "77", "time": NOW_MS, "messaging": [there.item]},
    ]


def test_standby_has_its_own_channel_and_postbacks_lack_the_payload() -> None:
    given: JsonObject = {"mid": "m_1", "title": "Go", "payload": "GO", "standby": True}
    document = entry_of("postback", scene(), Fields(given)).document()
    assert "messaging" not in document
    assert dig(document, "standby", 0, "postback") == {"mid": "m_1", "title": "Go"}


def test_the_dashboard_sends_changes_with_entry_id_0_and_seconds() -> None:
    entry = entry_of("dashboard_test", scene(), Fields({"text": "T"})).document()
    assert (entry["id"], entry["time"]) == ("0", 1790000000)
    assert dig(entry, "changes", 0, "field") == "messages"
    value = dig(entry, "changes", 0, "value")
    assert dig(value, "timestamp") == "1790000000"
    assert dig(value, "message", "text") == "T"


@pytest.mark.parametrize("kind", SAMPLES)
def test_attachment_of_every_type(kind: str) -> None:
    item = item_of("message", {"attachments": [{"type": kind}]})
    attachment = dig(item, "message", "attachments", 0)
    assert dig(attachment, "type") == kind
    assert isinstance(dig(attachment, "payload"), dict)


def test_a_sticker_comes_as_a_sticker_alone() -> None:
    item = item_of("message", {"attachments": [{"type": "sticker"}]})
    attachment = dig(item, "message", "attachments", 0)
    assert attachment == {
        "type": "sticker",
        "payload": {"url": f"{MEDIA}/sticker.png", "sticker_id": 369239263222822},
    }


def test_a_share_may_have_no_payload_and_a_new_type_needs_one() -> None:
    item = item_of("message", {"attachments": [{"type": "fallback", "payload": None}]})
    assert dig(item, "message", "attachments") == [{"type": "fallback", "payload": None}]
    with pytest.raises(BadField, match="payload is needed"):
        item_of("message", {"attachments": [{"type": "hologram"}]})


def test_a_reply_to_oneself_says_so() -> None:
    conversation = Conversation()
    conversation.apply(item_of("message", {"mid": "m_1", "text": "a"}), 1, NOW_MS)
    item = item_of("message", {"text": "b", "reply_to": "m_1"}, scene(conversation))
    assert dig(item, "message", "reply_to") == {"mid": "m_1", "is_self_reply": True}


def test_edits_are_counted_and_end_after_five() -> None:
    conversation = Conversation()
    conversation.apply(item_of("message", {"mid": "m_1", "text": "0"}), 1, NOW_MS)
    for number in range(1, MOST_EDITS + 1):
        item = item_of("message_edit", {"mid": "m_1", "text": str(number)}, scene(conversation))
        assert dig(item, "message_edit", "num_edit") == number
        conversation.apply(item, 1, NOW_MS)
    with pytest.raises(BadField, match="5 times"):
        item_of("message_edit", {"mid": "m_1", "text": "6"}, scene(conversation))


@pytest.mark.parametrize(
    ("kind", "given", "complaint"),
    [
        ("message", {}, "text or attachments"),
        ("message", {"text": 1}, "text must be a string"),
        ("message", {"text": "a", "attachments": "b"}, "list of objects"),
        ("reaction", {"mid": "m", "action": "shrug"}, "react, unreact"),
        ("reaction", {}, "mid is needed"),
        ("read", {"watermark": True}, "integer"),
        ("delivery", {"mids": [1]}, "list of strings"),
        ("read", {"standby": "yes"}, "true or false"),
        ("telepathy", {}, "kind must be one of"),
    ],
)
def test_wrong_fields_are_said(kind: str, given: JsonObject, complaint: str) -> None:
    with pytest.raises(BadField, match=complaint):
        item_of(kind, given)
