"""The business writes at the sandbox: what Messenger and Instagram take, refuse, and bring back."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.sandbox.logins import ACCOUNT, FACEBOOK, OLENA, Login
from tests.sandbox.stage import PAGE, PSID, Phone

OTHER = "7000000000000002"
DAY_MS = 86_400_000


@pytest.fixture
def phone(login: Login) -> Iterator[Phone]:
    """Somebody who has just written to the Page."""
    made = Phone(login.address, PAGE, PSID)
    made.write("Hello")
    yield made
    made.http.close()


@pytest.fixture
def token(login: Login) -> str:
    return login.page_token(login.facebook(), PAGE)


def _write(login: Login, token: str, message: Any, **fields: Any) -> httpx.Response:
    asked = {"recipient": {"id": PSID}, "messaging_type": "RESPONSE", "message": message} | fields
    form = {name: one if isinstance(one, str) else json.dumps(one) for name, one in asked.items()}
    return login.call("POST", "graph.facebook.com", f"/v24.0/{PAGE}/messages", token, data=form)


def _code(answer: httpx.Response) -> tuple[int, int | None]:
    error = answer.json()["error"]
    return error["code"], error.get("error_subcode")


def _wire(login: Login) -> list[dict[str, Any]]:
    """The updates that went out, in order."""
    deliveries = login.http.get("/api/deliveries?limit=500").json()["deliveries"]
    bodies = [json.loads(one["body"]) for one in deliveries]
    return [update for body in bodies for one in body["entry"] for update in one["messaging"]]


def test_what_is_taken_comes_back_as_an_echo_and_stands_on_the_phone(
    login: Login, phone: Phone, token: str
) -> None:
    answer = _write(login, token, {"text": "Grüße 😀", "metadata": "snd_1"}).json()
    assert answer["recipient_id"] == PSID
    echo = _wire(login)[-1]
    assert echo["message"]["mid"] == answer["message_id"]
    assert (echo["message"]["metadata"], echo["message"]["app_id"]) == ("snd_1", int(FACEBOOK))
    assert (echo["sender"]["id"], echo["recipient"]["id"]) == (PAGE, PSID)
    assert phone.bubbles()[-1]["text"] == "Grüße 😀"


def test_receipts_come_when_the_person_looks(login: Login, phone: Phone, token: str) -> None:
    mid = _write(login, token, {"text": "Hello"}).json()["message_id"]
    assert phone.post(f"{phone.path}/open") == {"read": 1}
    assert phone.post(f"{phone.path}/open") == {"read": 0}
    wire = _wire(login)
    assert [one["delivery"]["mids"] for one in wire if "delivery" in one] == [[mid]]
    assert sum("read" in one for one in wire) == 1


def test_what_is_wrong_has_graphs_codes(login: Login, phone: Phone, token: str) -> None:
    refused: list[tuple[Any, dict[str, Any], tuple[int, int | None]]] = [
        ({"text": "x" * 2_001}, {}, (100, None)),
        ({"text": "a", "attachment": {}}, {}, (100, None)),
        ({"text": "a", "colour": 1}, {}, (100, None)),
        ({"text": "a"}, {"tag": "ACCOUNT_UPDATE", "messaging_type": "MESSAGE_TAG"}, (100, None)),
        ({"text": "a"}, {"recipient": {"id": "4242"}}, (100, 2018001)),
        ({"attachment": {"type": "image", "payload": {"url": "x"}}}, {}, (100, 2018008)),
        ({"text": "a"}, {"recipient": {"comment_id": "1_9"}}, (100, 33)),
    ]
    for message, fields, code in refused:
        assert _code(_write(login, token, message, **fields)) == code
    assert _code(_write(login, login.facebook(), {"text": "a"})) == (210, None)
    login.control(f"facebook/people/{OLENA}/revoke-permission", permission="pages_messaging")
    assert _code(_write(login, token, {"text": "a"})) == (200, None)
    assert [one["author"] for one in phone.bubbles()] == ["contact"]


def test_the_window_closes_after_a_day_and_for_people_after_a_week(
    login: Login, token: str
) -> None:
    agent = {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}
    for psid, days in (("71", 2), ("72", 8)):
        past = {"text": "Hello", "timestamp": time.time_ns() // 1_000_000 - days * DAY_MS}
        path = f"/api/pages/{PAGE}/contacts/{psid}/messages"
        assert login.http.post(path, json=past).is_success
    lately, long_ago = {"recipient": {"id": "71"}}, {"recipient": {"id": "72"}}
    assert _code(_write(login, token, {"text": "a"}, **lately)) == (10, 2018278)
    assert _write(login, token, {"text": "a"}, **lately, **agent).status_code == 200
    assert _code(_write(login, token, {"text": "a"}, **long_ago, **agent)) == (10, 2018278)


def test_instagram_counts_bytes_and_takes_json(login: Login) -> None:
    token = login.instagram()
    path = f"/api/pages/{ACCOUNT}/contacts/{PSID}/messages"
    assert login.http.post(path, json={"text": "Hello"}).is_success

    def write(text: str) -> httpx.Response:
        body = {"recipient": {"id": PSID}, "message": {"text": text}}
        path = f"/v24.0/{ACCOUNT}/messages"
        return login.call("POST", "graph.instagram.com", path, token, json=body)

    assert write("😀" * 250).json()["recipient_id"] == PSID
    assert _code(write("😀" * 251)) == (100, None)


def test_a_comment_is_answered_below_and_once_in_private(
    login: Login, phone: Phone, token: str
) -> None:
    value: dict[str, Any] = {
        "item": "comment",
        "verb": "add",
        "comment_id": "1_9",
        "post_id": "1_1",
    }
    value |= {"from": {"id": OTHER, "name": "B"}, "message": "How much?"}
    login.control(f"facebook/pages/{PAGE}/changes", field="feed", value=value)
    path = "/v24.0/1_9/comments"
    below = login.call("POST", "graph.facebook.com", path, token, data={"message": "Ten"})
    assert below.json()["id"].startswith("1_9")
    private = {"recipient": {"comment_id": "1_9"}}
    assert _write(login, token, {"text": "Ten"}, **private).json()["recipient_id"] == OTHER
    assert _code(_write(login, token, {"text": "Ten"}, **private)) == (10900, None)
