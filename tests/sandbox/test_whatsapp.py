"""WhatsApp's webhooks and its Cloud API, held to the documented forms."""

import hashlib
import json
from typing import Any

import pytest

from tests.sandbox.logins import Login
from tests.sandbox.stage import Receiver, wait_until
from tests.sandbox.whatsapp import ANNA, DISPLAY, NUMBER, WABA, Business

TEMPLATE: dict[str, Any] = {
    "type": "template",
    "template": {"name": "hello_world", "language": {"code": "en_US"}},
}


@pytest.fixture
def business(login: Login, told: Receiver) -> Business:
    """A business whose number is registered, and its WABA subscribed."""
    return Business(login, told).set_up()


def test_a_text_has_whatsapps_shape_to_the_letter(business: Business) -> None:
    mid = business.happen("message", text="Grüße")["mid"]
    business.values(1)
    post = business.told.received[0]
    assert post.signed
    assert b"Gr\\u00fc\\u00dfe" in post.body
    body = json.loads(post.body)
    message = body["entry"][0]["changes"][0]["value"]["messages"][0]
    bsuid, at = message["from_user_id"], message["timestamp"]
    assert at.isdecimal()
    assert bsuid.startswith("DE.")
    assert body == {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": WABA,
                "changes": [
                    {
                        "value": {
                            "messaging_product": "whatsapp",
                            "metadata": {
                                "display_phone_number": DISPLAY,
                                "phone_number_id": NUMBER,
                            },
                            "contacts": [
                                {
                                    "profile": {"name": "Anna Schmidt"},
                                    "wa_id": ANNA,
                                    "user_id": bsuid,
                                }
                            ],
                            "messages": [
                                {
                                    "from": ANNA,
                                    "from_user_id": bsuid,
                                    "id": mid,
                                    "timestamp": at,
                                    "type": "text",
                                    "text": {"body": "Grüße"},
                                }
                            ],
                        },
                        "field": "messages",
                    }
                ],
            }
        ],
    }


def test_who_has_a_user_name_may_have_no_number(business: Business) -> None:
    numbers = business.login.http.get("/api/whatsapp/numbers").json()["numbers"]
    zoe = next(one for one in numbers[0]["contacts"] if one["wa_id"] is None)
    business.happen("message", zoe["psid"], text="Hi")
    business.send(to=None, recipient=zoe["user_id"])
    said, *_ = business.values(3)
    assert "wa_id" not in said["contacts"][0]
    assert said["contacts"][0]["profile"]["username"] == "zoe.martin"
    assert "from" not in said["messages"][0]
    assert [("recipient_id" in s, s["recipient_user_id"]) for s in business.statuses(2)] == [
        (False, zoe["user_id"])
    ] * 2


def test_a_waba_that_is_not_subscribed_delivers_nothing(login: Login, told: Receiver) -> None:
    business = Business(login, told)
    delivery = business.happen("message", text="?")["delivery"]
    record = login.http.get(f"/api/deliveries/{delivery}").json()
    assert (record["status"], record["note"]) == (
        "dropped",
        "never sent: the app is not subscribed to this WABA",
    )


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("message_edit", {"mid": "1", "text": "b"}, {"original_message_id": "1"}),
        ("revoke", {"mid": "1"}, {"original_message_id": "1"}),
        ("reaction", {"mid": "1", "action": "react", "emoji": "👍"}, {"emoji": "👍"}),
        ("reaction", {"mid": "1", "action": "unreact"}, {"emoji": ""}),
        ("location", {}, {"latitude": 52.52}),
        ("button", {"text": "Yes"}, {"payload": "YES"}),
        ("message", {"attachments": [{"type": "audio"}]}, {"voice": True}),
        ("message", {"attachments": [{"type": "file"}], "text": "x"}, {"filename": "menu.pdf"}),
        ("message", {"attachments": [{"type": "sticker"}]}, {"animated": False}),
    ],
)
def test_kinds(business: Business, kind: str, fields: Any, said: dict[str, object]) -> None:
    business.happen(kind, **fields)
    (value,) = business.values(1)
    message = value["messages"][0]
    body = message[message["type"]]
    assert {name: body[name] for name in said} == said


def test_what_the_business_sends_is_told_and_shown(business: Business) -> None:
    mid = business.happen("message", text="Bread?")["mid"]
    answer = business.send(
        context={"message_id": mid}, biz_opaque_callback_data="snd_1", recipient_type="individual"
    ).json()
    wamid = answer["messages"][0]["id"]
    assert answer["contacts"] == [{"input": ANNA, "wa_id": ANNA}]
    business.statuses(2)
    business.happen("read")
    told = [(s["id"], s["status"], s["biz_opaque_callback_data"]) for s in business.statuses(3)]
    assert told == [(wamid, name, "snd_1") for name in ("sent", "delivered", "read")]
    shown = business.bubbles()[-1]
    assert (shown["text"], shown["ticks"], shown["reply_to"]) == ("Hi", "read", mid)


def test_sends_fail_and_are_told_backwards_on_request(business: Business) -> None:
    business.happen("message", text="Hi")
    business.login.control("whatsapp/sends", kind="fail", code=131026)
    business.login.control("whatsapp/sends", kind="backwards")
    business.send()
    (failed,) = business.statuses(1)
    assert (failed["status"], failed["errors"][0]["code"]) == ("failed", 131026)
    business.send()
    assert [s["status"] for s in business.statuses(4)[1:]] == ["delivered", "read", "sent"]
    assert [one["ticks"] for one in business.bubbles()[1:]] == ["failed", "read"]


def test_after_a_day_only_templates_reach_people(business: Business) -> None:
    business.happen("message", text="Hi")
    business.login.control("clock", forward_s=86_400)
    business.send()
    assert business.statuses(1)[0]["errors"][0]["code"] == 131047
    business.send(**TEMPLATE)
    assert [s["status"] for s in business.statuses(3)[1:]] == ["sent", "delivered"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"messaging_product": "x"}, 100),
        ({"to": None}, 100),
        ({"type": "hologram"}, 100),
        ({"text": {"body": "x" * 4097}}, 100),
        ({"text": {"body": ""}}, 131008),
        ({"type": "image", "image": {"id": "1"}}, 131009),
        ({"type": "image", "image": {}}, 131008),
        ({"type": "template", "template": {"name": "x", "language": {"code": "en"}}}, 132001),
        (
            {"type": "template", "template": {"name": "order_ready", "language": {"code": "uk"}}},
            132000,
        ),
        ({"surprise": "1"}, 100),
    ],
)
def test_what_is_wrong_is_refused(business: Business, message: Any, code: int) -> None:
    assert business.refused(**message) == code


def test_any_code_is_met_on_request_and_lost_answers_too(business: Business) -> None:
    business.happen("message", text="Hi")
    business.login.control("whatsapp/sends", kind="refuse", code=131056)
    assert business.refused() == 131056
    business.login.control("trouble", kind="lost", path=f"/{NUMBER}/messages")
    assert business.send(biz_opaque_callback_data="snd_2").status_code == 502
    assert business.statuses(1)[0]["biz_opaque_callback_data"] == "snd_2"


def test_a_number_is_registered_with_its_pin_a_few_times_alone(
    login: Login, told: Receiver
) -> None:
    business = Business(login, told)
    assert business.refused() == 133010
    business.set_up()
    path, body = f"{NUMBER}/register", {"messaging_product": "whatsapp", "pin": "654321"}
    codes = [business.call("POST", path, body).json()["error"]["code"] for _ in range(10)]
    assert codes == [133005] * 9 + [133016]
    (number,) = business.good("GET", f"{WABA}/phone_numbers?fields=status,health_status")["data"]
    entities = {one["entity_type"]: one["id"] for one in number["health_status"]["entities"]}
    assert (number["status"], entities["WABA"]) == ("CONNECTED", WABA)


def test_subscribing_is_seen_and_ends(business: Business) -> None:
    path = f"{WABA}/subscribed_apps"
    (app,) = business.good("GET", path)["data"]
    assert app["whatsapp_business_api_data"]["id"] == "1001"
    assert business.good("DELETE", path) == {"success": True}
    assert business.good("GET", path) == {"data": []}


def test_a_token_opens_its_own_wabas_alone(business: Business) -> None:
    business.login.control("whatsapp/wabas", id="900", name="Other")
    assert business.call("GET", "900/phone_numbers").json()["error"]["error_subcode"] == 33
    user = business.login.facebook()
    answer = business.login.graph("GET", f"/{WABA}/phone_numbers", user)
    assert answer.json()["error"]["code"] == 100


def test_a_picture_is_fetched_in_two_steps_with_the_token(business: Business) -> None:
    business.happen("message", attachments=[{"type": "image"}], text="Look")
    (value,) = business.values(1)
    image = value["messages"][0]["image"]
    assert (image["caption"], image["mime_type"]) == ("Look", "image/jpeg")
    node = business.good("GET", image["id"])
    host, path = "lookaside.fbsbx.com", node["url"].removeprefix("https://lookaside.fbsbx.com")
    fetched = business.login.call("GET", host, path, business.token)
    assert hashlib.sha256(fetched.content).hexdigest() == node["sha256"]
    assert len(fetched.content) == node["file_size"]
    assert business.login.call("GET", host, path).status_code == 401
    business.login.control("clock", forward_s=300)
    assert business.login.call("GET", host, path, business.token).status_code == 404


def test_an_upload_is_sent_and_seen_on_the_phone(business: Business) -> None:
    business.happen("message", text="Hi")
    files = {"file": ("a.png", b"\x89PNG\r\n\x1a\n\r\n--x", "image/png")}
    data = {"messaging_product": "whatsapp", "type": "image/png"}
    media = business.call("POST", f"{NUMBER}/media", data=data, files=files).json()["id"]
    assert business.send(type="image", image={"id": media}).status_code == 200
    url = business.bubbles()[-1]["attachments"][0]["payload"]["url"]
    assert business.login.http.get(url).content == b"\x89PNG\r\n\x1a\n\r\n--x"
    assert business.good("DELETE", media) == {"success": True}
    assert business.call("GET", media).status_code == 400


def test_a_link_is_fetched_and_one_that_cannot_be_fails(business: Business) -> None:
    business.happen("message", text="Hi")
    for url in (f"{business.login.address}/media/photo.jpg", f"{business.login.gateway}/nothing"):
        business.send(type="image", image={"link": url})
    failed = business.statuses(3)[2]
    assert (failed["status"], failed["errors"][0]["code"]) == ("failed", 131053)
    shown = business.bubbles()[1]["attachments"][0]["payload"]["url"]
    assert business.login.http.get(shown).headers["content-type"] == "image/jpeg"


def test_who_has_no_whatsapp_is_told_afterwards(business: Business) -> None:
    answer = business.send(to="+4917000", biz_opaque_callback_data="snd_3").json()
    assert answer["contacts"] == [{"input": "+4917000", "wa_id": "4917000"}]
    (failed,) = business.statuses(1)
    assert (failed["errors"][0]["code"], failed["recipient_id"]) == (131026, "4917000")
    assert "recipient_user_id" not in failed


def test_an_answer_from_the_phone_app_comes_as_an_echo(business: Business) -> None:
    business.happen("echo", text="From the app")
    wait_until(lambda: bool(business.changes))
    (change,) = business.changes
    assert change["field"] == "smb_message_echoes"
    (echo,) = change["value"]["message_echoes"]
    assert (echo["from"], echo["to"], echo["text"]) == (DISPLAY, ANNA, {"body": "From the app"})
