"""Sends from the CRM to the phone of the sandbox and back: their outcomes, with real processes."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest

from tests.e2e.crm import Crm
from tests.e2e.provider import Provider
from tests.e2e.stack import Feed, Json
from tests.e2e.visitor import connected
from tests.sandbox.stage import Phone, dig

DAY_MS = 86_400_000
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100)


class Desk(NamedTuple):
    """A tenant's account, somebody who has written to it, and what is heard of them."""

    crm: Crm
    provider: Provider
    name: str
    account: str
    connection: str
    phone: Phone
    feed: Feed
    conversation: str

    def send(self, text: str, **fields: object) -> str:
        """Have it sent, and return the send's id."""
        to = {"conversation": self.conversation} if "to" not in fields else {}
        body = {"connection": self.connection, "text": text, **to, **fields}
        answer = self.crm.send(self.key(text), **body)
        assert answer.status_code == 202, answer.text
        id_: str = answer.json()["id"]
        return id_

    def key(self, text: str) -> str:
        """An idempotency key: the CRM's key has no tenant, so that all share them."""
        return f"{self.account}-{text.encode().hex()}"

    def told(self, send: str, kind: str) -> Json:
        """The message of that type which is about the send."""

        def mine(found: list[Json]) -> list[Json]:
            return [
                one
                for one in found
                if one["type"] == f"cleverbox.message.{kind}"
                and send in (one["data"].get("send_id"), *one["data"].get("send_ids", ()))
            ]

        return mine(self.feed.until(mine, 30))[0]

    def seen(self) -> list[object]:
        """What the business wrote, on the phone."""
        return [one["text"] for one in self.phone.bubbles() if one["author"] == "page"]


@pytest.fixture(params=["facebook", "instagram"])
def desk(request: pytest.FixtureRequest, crm: Crm, provider: Provider) -> Iterator[Desk]:
    name = str(request.param)
    if name == "facebook":
        person = provider.facebook_person("Owner")
        account = provider.page(person)
    else:
        person = account = provider.instagram_account("Owner")
    tenant = f"sender-{account}"
    replies = {"features": ["messages", "comments", "comment_replies"]}
    asked = replies if name == "facebook" else {}
    connection = connected(crm, tenant, name, person, **asked)
    phone = provider.phone(account)
    with crm.feed(tenant) as feed:
        phone.write("hello")
        found = feed.until(lambda found: "hello" in [one["data"].get("text") for one in found])
        conversation = found[-1]["subject"]
        yield Desk(crm, provider, name, account, connection, phone, feed, conversation)
    provider.act("trouble/clear")


def test_what_is_sent_is_seen_said_once_and_read(desk: Desk) -> None:
    send = desk.send("We are open.")
    state = desk.crm.outcome(send, "sent")
    said = desk.told(send, "sent")
    assert (said["data"]["via"], said["data"]["text"]) == ("gateway", "We are open.")
    assert said["data"]["message_id"] == state["message_id"]
    assert desk.send("We are open.") == send  # the same call: nothing more is sent
    assert desk.seen() == ["We are open."]
    assert desk.phone.post(f"{desk.phone.path}/open") == {"read": 1}
    receipt = desk.told(send, "delivered" if desk.name == "facebook" else "read")
    assert receipt["data"]["message_ids"] == [state["message_id"]]


def test_a_lost_answer_is_settled_by_the_echo_and_without_one_stays_unknown(desk: Desk) -> None:
    path = f"/{desk.account}/messages"
    desk.provider.act("trouble", kind="lost", method="POST", path=path)
    lost = desk.send("Until six.")
    assert desk.crm.outcome(lost, "sent")["message_id"]
    assert desk.told(lost, "sent")["data"]["text"] == "Until six."

    desk.provider.act("misbehave", kind="drop", count=1)
    desk.provider.act("trouble", kind="lost", method="POST", path=path)
    nobody_knows = desk.send("Or seven.")
    error = desk.crm.outcome(nobody_knows, "unknown")["error"]
    assert error["reason"] == "outcome-unknown"

    after = desk.send("Come by!")
    assert desk.crm.outcome(after, "sent")["attempts"] == 1
    assert desk.seen() == ["Until six.", "Or seven.", "Come by!"]


def test_a_picture_that_was_uploaded_is_fetched_by_the_provider(desk: Desk) -> None:
    id_ = desk.crm.upload(f"sender-{desk.account}", PICTURE, "image/png")
    body = {"connection": desk.connection, "conversation": desk.conversation}
    answer = desk.crm.send(desk.key("picture"), **body, attachments=[{"id": id_}])
    assert answer.status_code == 202, answer.text
    send = answer.json()["id"]
    assert desk.crm.outcome(send, "sent", "failed")["status"] == "sent"
    [seen] = [one for one in desk.phone.bubbles() if one["author"] == "page"]
    fetched = httpx.get(str(dig(seen, "attachments", 0, "payload", "url")))
    assert (fetched.status_code, fetched.content) == (200, PICTURE)
    assert desk.told(send, "sent")["data"]["attachments"][0]["kind"] == "image"


def test_what_the_provider_refuses_has_failed(desk: Desk) -> None:
    stranger = desk.send("Hello?", to={"contact": "4242"})
    assert desk.crm.outcome(stranger, "failed")["error"]["code"] == "100/2018001"
    assert desk.told(stranger, "failed")["data"]["error"]["code"] == "100/2018001"


def test_the_window_is_told_before_the_call_and_by_the_provider(desk: Desk) -> None:
    late = desk.provider.phone(desk.account)
    at_ms = time.time_ns() // 1_000_000 - 2 * DAY_MS
    late.write("long ago", timestamp=at_ms)
    found = desk.feed.until(lambda f: "long ago" in [one["data"].get("text") for one in f])
    body = {"connection": desk.connection, "conversation": found[-1]["subject"], "text": "Sorry"}
    answer = desk.crm.send(desk.key("sorry"), **body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["type"].endswith(":window-closed")
    assert "48 hours ago" in answer.json()["detail"]
    assert desk.crm.send(desk.key("by hand"), **body, human_agent=True).status_code == 202

    unheard = desk.provider.phone(desk.account)
    desk.provider.act("misbehave", kind="drop", count=1)
    unheard.write("never heard", timestamp=at_ms)
    other = unheard.path.rpartition("/")[2]
    closed = desk.send("Are you there?", to={"contact": other})
    assert desk.crm.outcome(closed, "failed")["error"]["reason"] == "window-closed"
    assert desk.told(closed, "failed")["data"]["error"]["title"]


def test_comments_are_answered_below_and_in_private(desk: Desk) -> None:
    author = desk.phone.path.rpartition("/")[2]
    if desk.name == "facebook":
        comment = f"{desk.account}_9"
        value: Json = {"item": "comment", "verb": "add", "comment_id": comment, "post_id": "1_1"}
        value |= {"from": {"id": author, "name": "A"}, "message": "How much?"}
        field, place = "feed", f"facebook/pages/{desk.account}/changes"
    else:
        comment = f"{desk.account}9"
        value = {"id": comment, "text": "How much?", "from": {"id": author, "username": "a"}}
        value |= {"media": {"id": "17900000000000001"}}
        field, place = "comments", f"instagram/accounts/{desk.account}/changes"
    desk.provider.act(place, field=field, value=value)
    below = desk.send("Ten.", to={"comment": comment}, reply="public")
    assert desk.crm.outcome(below, "sent", "failed")["status"] == "sent"
    private = desk.send("Ten, and for you eight.", to={"comment": comment}, reply="private")
    assert desk.crm.outcome(private, "sent", "failed")["status"] == "sent"
    assert desk.told(private, "sent")["subject"] == desk.conversation
    assert desk.seen() == ["Ten, and for you eight."]
    again = desk.send("And once more.", to={"comment": comment}, reply="private")
    assert desk.crm.outcome(again, "failed")["error"]["code"] == "10900"
