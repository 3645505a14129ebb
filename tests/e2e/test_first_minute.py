"""What someone new does first: start it, write on the phone, see the message arrive."""

import statistics
import time
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

from tests.browser import complaints, keys, narrow, page_width, picture, seen, tab_to
from tests.e2e.conftest import Operator
from tests.e2e.stack import Feed, Json, Run, say, texts
from tests.sandbox.stage import Phone

TYPES = {
    "message": "message.received",
    "echo": "message.sent",
    "message_edit": "message.edited",
    "delivery": "message.delivered",
    "read": "message.read",
    "reaction": "message.reaction",
    "postback": "postback.received",
    "referral": "referral.received",
    "optin": "optin.changed",
    "pass_thread_control": "conversation.handover",
    "take_thread_control": "conversation.handover",
    "request_thread_control": "conversation.handover",
    "app_roles": "conversation.handover",
    "policy_enforcement": "account.notice",
    "account_linking": "account_link.changed",
    "response_feedback": "feedback.received",
    "order": "order.received",
    "template_coupon": "postback.received",
    "unknown": "provider.unrecognized",
}
"""Kinds of the sandbox, without the App Dashboard's test, and the type that each becomes."""


@pytest.mark.chromium
def test_a_message_from_the_phone_ends_a_long_poll_within_a_second(
    run: Run, feed: Feed, chromium: Chrome
) -> None:
    chromium.get(run.sandbox_url)
    seen(chromium, "#handshake-text", "verified")
    picture(chromium, "sandbox-start")
    keys(chromium, Keys.TAB, Keys.ENTER)  # the first stop: skip to the message box
    took = [_write_and_wait(chromium, feed, f"Is table {n} free?") for n in (1, 2, 3)]
    say(f"from the key press to the long poll's answer: {took}")
    assert statistics.median(took) < 1.0
    seen(chromium, "#chat .receipt", "delivered to gateway: 200 in")
    picture(chromium, "sandbox-sent")
    narrow(chromium)
    assert page_width(chromium) == 390
    picture(chromium, "sandbox-390")
    assert complaints(chromium) == []


def _write_and_wait(browser: Chrome, feed: Feed, text: str) -> float:
    """Seconds from the key press to the answer of a poll that was waiting."""
    with ThreadPoolExecutor(1) as pool:
        answer: Future[tuple[list[Json], float]] = pool.submit(
            lambda: (feed.pull(wait=30), time.monotonic())
        )
        keys(browser, text)
        time.sleep(0.2)  # the poll waits by now
        pressed = time.monotonic()
        keys(browser, Keys.ENTER)
        messages, arrived = answer.result()
    assert texts(messages) == [text]
    return arrived - pressed


@pytest.mark.chromium
def test_any_event_is_sent_by_keyboard_alone(run: Run, feed: Feed, chromium: Chrome) -> None:
    chromium.get(run.sandbox_url)
    seen(chromium, "#handshake-text", "verified")
    tab_to(chromium, "[data-view=events]")
    keys(chromium, Keys.ENTER)
    tab_to(chromium, "#event-kind")
    keys(chromium, "policy")
    tab_to(chromium, "#event-form button")
    keys(chromium, Keys.ENTER)
    seen(chromium, "#toast", "policy enforcement sent")
    [notice] = feed.until(len)
    assert notice["type"] == "cleverbox.account.notice"


@pytest.mark.chromium
def test_the_documentation_reads_well_on_a_screen_and_on_a_phone(
    run: Run, chromium: Chrome
) -> None:
    chromium.get(f"{run.url}/docs")
    seen(chromium, "#start h2", "Start here")
    assert "/v1/messages?wait=30" in seen(chromium, "#start pre").text
    assert '"type": "cleverbox.message.received"' in seen(chromium, "#messages pre").text
    picture(chromium, "docs")
    narrow(chromium)
    chromium.get(f"{run.url}/docs")
    assert page_width(chromium) == 390
    assert chromium.execute_script("return document.querySelector('h1').offsetTop") < 100
    picture(chromium, "docs-390")
    assert complaints(chromium) == []


@pytest.mark.parametrize("standby", [False, True], ids=["messaging", "standby"])
def test_every_kind_of_the_sandbox_has_its_type(
    run: Run, feed: Feed, phone: Phone, operator: Operator, standby: bool
) -> None:
    kinds: Json = httpx.get(f"{run.sandbox_url}/api/kinds", trust_env=False).json()["kinds"]
    assert set(kinds) == {*TYPES, "dashboard_test"}
    parked = operator.ids("parked")
    mid = phone.write("the one that others refer to")["mid"]
    for kind in TYPES:
        sent = phone.happen(kind, standby=standby, **_filled(kinds[kind], str(mid)))
        assert phone.settled(sent["delivery"])["status"] == "delivered", kind
    first, *found = feed.until(lambda found: len(found) > len(TYPES))
    assert texts([first]) == ["the one that others refer to"]
    assert [one["type"].removeprefix("cleverbox.") for one in found] == list(TYPES.values())
    assert [one["data"].get("standby", False) for one in found if "from" in one["data"]] == [
        standby for one in found if "from" in one["data"]
    ]
    assert operator.ids("parked") == parked


def _filled(example: Json, mid: str) -> Json:
    """An example's fields with `mid` where an empty one waits to be filled."""
    fields = {name: mid if name == "mid" else value for name, value in example.items()}
    return {**fields, "mids": [mid]} if "mids" in fields else fields


def test_the_dashboards_test_names_no_page_and_waits_unrouted(
    phone: Phone, operator: Operator
) -> None:
    before = operator.ids("unrouted")
    assert phone.settled(phone.happen("dashboard_test")["delivery"])["status"] == "delivered"
    phone.write("later")
    deadline = time.monotonic() + 10
    while len(operator.ids("unrouted") - before) != 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
