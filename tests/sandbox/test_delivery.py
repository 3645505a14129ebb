"""Webhooks arrive signed, in order, and again when the answer was not 200."""

import json

import pytest

from sandbox.settings import Settings
from tests.sandbox.stage import (
    OTHER_PAGE,
    PAGE,
    PSID,
    SECRET,
    VERIFY_TOKEN,
    Phone,
    Receiver,
    dig,
    sandbox_server,
    serving,
    statuses,
    wait_until,
)


def test_a_message_arrives_as_meta_sends_it(phone: Phone, receiver: Receiver) -> None:
    sent = phone.write("Grüße / 😀")
    (post,) = receiver.wait_for(1)
    assert post.signed
    assert post.headers["content-type"] == "application/json"
    assert post.headers["user-agent"].startswith("facebookexternalua")
    assert rb'"text":"Gr\u00fc\u00dfe \/ \ud83d\ude00"' in post.body
    (entry,) = post.entries
    (item,) = post.items
    assert entry["id"] == PAGE
    assert item["sender"] == {"id": PSID}
    assert dig(item, "message", "mid") == sent["mid"]
    assert int(str(entry["time"])) > 10**12


def test_the_wire_log_shows_what_went_out(phone: Phone, receiver: Receiver) -> None:
    sent = phone.write("Hello")
    record = phone.settled(sent["delivery"])
    (post,) = receiver.received
    assert record["status"] == "delivered"
    assert statuses(record) == [200]
    assert record["body"] == post.body.decode()
    assert record["signature_header"] == post.headers["x-hub-signature-256"]
    assert record["kinds"] == ["message"]


def test_not_200_is_tried_again_with_the_same_bytes(phone: Phone, receiver: Receiver) -> None:
    receiver.answers = [500, 204]
    record = phone.settled(phone.write("Hello")["delivery"])
    assert record["status"] == "delivered"
    assert statuses(record) == [500, 204, 200]
    assert len({post.body for post in receiver.received}) == 1


def test_tries_end(phone: Phone, receiver: Receiver) -> None:
    receiver.answers = [503] * 20
    number = phone.write("Hello")["delivery"]
    wait_until(lambda: phone.delivery(number)["status"] == "lost")
    assert statuses(phone.delivery(number)) == [503] * 4


def test_a_failing_webhook_does_not_hold_up_the_next(phone: Phone, receiver: Receiver) -> None:
    receiver.answers = [500]
    phone.write("first")
    phone.write("second")
    wait_until(lambda: len(receiver.received) == 3)
    assert [post.texts for post in receiver.received] == [["first"], ["second"], ["first"]]


def test_a_gateway_that_starts_late_loses_nothing(free_port: int, receiver: Receiver) -> None:
    url = f"http://127.0.0.1:{free_port}/webhooks/meta"
    settings = Settings(url, SECRET, VERIFY_TOKEN, {PAGE: "Demo"})
    with serving(sandbox_server(settings, (0.1,) * 50)) as address:
        phone = Phone(address)
        number = phone.write("Anybody?")["delivery"]
        wait_until(lambda: phone.delivery(number)["status"] == "waiting")
        assert phone.http.get("/api/handshake").json()["status"] == "waiting"
        with serving(receiver.server(free_port)):
            receiver.wait_for(1)
            wait_until(lambda: phone.delivery(number)["status"] == "delivered")
            wait_until(lambda: phone.http.get("/api/handshake").json()["status"] == "verified")
        first = dig(phone.delivery(number), "attempts", 0)
        assert dig(first, "status") is None
        assert dig(first, "error")
        phone.http.close()


def test_a_contacts_messages_keep_their_order(phone: Phone, receiver: Receiver) -> None:
    mids = phone.post(f"{phone.path}/burst", count=200, text="No.")["mids"]
    posts = receiver.wait_for(200)
    assert [text for post in posts for text in post.texts] == [f"No. {n}" for n in range(1, 201)]
    assert [dig(post.items, 0, "message", "mid") for post in posts] == mids


def test_pages_have_their_own_people(phone: Phone, receiver: Receiver) -> None:
    pages = phone.http.get("/api/pages").json()["pages"]
    psids = [contact["psid"] for page in pages for contact in page["contacts"]]
    assert len(set(psids)) == len(psids) == 10
    other = Phone(phone.address, OTHER_PAGE, psids[-1])
    other.write("Hello, bakery")
    assert receiver.wait_for(1)[0].entries[0]["id"] == OTHER_PAGE
    other.http.close()


def test_the_long_poll_wakes_and_misses_no_change(phone: Phone) -> None:
    phone.write("one")
    seen: list[str] = []
    revision = 0
    while not seen or seen[-1] != "delivered":
        news = phone.http.get(f"/api/deliveries?after={revision}&wait=10").json()
        revision = news["revision"]
        seen += [record["status"] for record in news["deliveries"]]
    assert revision >= 4
    assert phone.http.get(f"/api/deliveries?after={revision}").json()["deliveries"] == []
    later = phone.http.get(f"/api/deliveries?after={revision + 1000}").json()
    assert [record["id"] for record in later["deliveries"]] == [1]


def test_a_lone_surrogate_goes_out_and_comes_back(phone: Phone, receiver: Receiver) -> None:
    body = json.dumps({"text": "\ud83d"})
    headers = {"Content-Type": "application/json"}
    assert phone.http.post(f"{phone.path}/messages", content=body, headers=headers).is_success
    assert rb'"text":"\ud83d"' in receiver.wait_for(1)[0].body
    assert rb'"text":"\ud83d"' in phone.http.get(f"{phone.path}/conversation").content


@pytest.mark.parametrize(("token", "status"), [(VERIFY_TOKEN, "verified"), ("other", "refused")])
def test_handshake(phone: Phone, receiver: Receiver, token: str, status: str) -> None:
    receiver.token = token
    assert phone.post("/api/handshake")["status"] == status
