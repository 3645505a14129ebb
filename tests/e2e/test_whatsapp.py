"""WhatsApp in a real browser: connected in a window of its own, and written to from the phone."""

from pathlib import Path

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.browser import complaints, picture, seen
from tests.e2e.stack import Feed, Json, Run
from tests.sandbox.stage import wait_until
from tests.sandbox.whatsapp import WABA

PHOTO = Path(__file__).parents[2] / "sandbox" / "static" / "media" / "photo.jpg"
FORGED = """window.postMessage('{"type":"WA_EMBEDDED_SIGNUP","event":"ERROR"}', "*")"""


def caller(run: Run, *whose: str) -> httpx.Client:
    """Somebody with a key of their own."""
    key = run.command("keys", "create", *whose, "--name", "tests")
    headers = {"authorization": f"Bearer {key['key']}"}
    return httpx.Client(base_url=run.url, headers=headers, trust_env=False)


def link(core: httpx.Client, run: Run) -> str:
    """A link as the CRM gets it."""
    asked = {
        "tenant": "demo",
        "provider": "whatsapp",
        "return_url": f"http://localhost:{run.port}/docs?from=crm",
        "business": "Corner Bakery",
    }
    answer = core.post("/v1/connect-sessions", json=asked)
    assert answer.status_code == 201, answer.text
    url: str = answer.json()["url"]
    return url


def in_the_window(browser: Chrome, choice: str, pictured: bool = False) -> None:
    """Press the page's button, and go through the signup as Olena in the window that opens."""
    page = browser.current_window_handle
    WebDriverWait(browser, 10).until(
        lambda _: browser.find_element(By.CSS_SELECTOR, "#signup button").is_enabled()
    )
    browser.find_element(By.CSS_SELECTOR, "#signup button").click()
    WebDriverWait(browser, 10).until(lambda _: len(browser.window_handles) == 2)
    browser.switch_to.window(next(one for one in browser.window_handles if one != page))
    seen(browser, ".people a", "Olena").click()
    seen(browser, "legend", "Which numbers")
    if pictured:
        picture(browser, "whatsapp-window")
    browser.find_element(By.CSS_SELECTOR, f"button[value={choice}]").click()
    WebDriverWait(browser, 10).until(lambda _: len(browser.window_handles) == 1)
    browser.switch_to.window(page)


def at_the_phone(browser: Chrome, run: Run) -> None:
    """Anna writes to the number, and sends a picture, on the sandbox's page."""
    page = browser.current_window_handle
    browser.switch_to.new_window("tab")
    browser.get(run.sandbox_url)
    seen(browser, "#handshake-text", "verified")
    Select(browser.find_element(By.ID, "page")).select_by_visible_text("WhatsApp · Demo Bakery")
    seen(browser, "#intro-line", "+1 555 010 0001")
    seen(browser, "#text").send_keys("Чи є хліб?", Keys.ENTER)
    seen(browser, "#chat .bubble", "Чи є хліб?")
    seen(browser, "#attach-toggle").click()
    seen(browser, "#attach button", "Photo").click()
    seen(browser, "#chat .bubble img")
    seen(browser, "#chat .receipt", "delivered to gateway: 200")
    browser.switch_to.window(page)


def answered(browser: Chrome, core: httpx.Client, said: Json) -> str:
    """The CRM answers; Anna sees it, and has read it: the send's id."""
    body = {
        "connection": said["connection"],
        "conversation": said["data"]["conversation"]["id"],
        "text": "Так, ще теплий 🥖",
        "reply_to": said["data"]["message_id"],
    }
    answer = core.post("/v1/messages", json=body, headers={"idempotency-key": said["id"]})
    assert answer.status_code == 202, answer.text
    browser.switch_to.window(browser.window_handles[-1])
    seen(browser, "#chat .row.page .bubble", "Так, ще теплий 🥖")
    seen(browser, "#chat .row.page .quoted", "Чи є хліб?")
    seen(browser, "#chat .row.page .receipt[data-ticks=delivered]", "✓✓")
    seen(browser, "#seen").click()
    seen(browser, "#chat .row.page .receipt[data-ticks=read]", "read")
    send_id: str = answer.json()["id"]
    return send_id


def is_subscribed(run: Run, waba: str) -> bool:
    """Whether WhatsApp delivers what comes for a WABA's numbers."""
    state = httpx.get(f"{run.sandbox_url}/api/state", trust_env=False).json()
    return any(one["subscribed"] for one in state["whatsapp"]["wabas"] if one["id"] == waba)


def kinds(messages: list[Json]) -> list[str]:
    """Types of WhatsApp's, without what all have in common."""
    its = [one for one in messages if one["provider"] == "whatsapp"]
    return [one["type"].removeprefix("cleverbox.") for one in its]


@pytest.mark.chromium
def test_a_number_is_connected_in_a_window_written_to_and_answered(
    run: Run, feed: Feed, chromium: Chrome
) -> None:
    feed.passed_over = set()

    def look(name: str) -> None:
        picture(chromium, f"whatsapp-{name}")
        assert complaints(chromium) == [], name

    core = caller(run, "--role", "crm", "--tenant", "demo")
    chromium.get(link(core, run))
    seen(chromium, "h1", "Connect WhatsApp to Corner Bakery")
    look("start")
    seen(chromium, "main button", "Continue to Meta").click()
    seen(chromium, "h1", "On to Meta")
    look("before")
    chromium.execute_script(FORGED)  # from our own origin, which is none of Meta's
    in_the_window(chromium, "cancel")
    seen(chromium, "h1", "You did not allow it")
    seen(chromium, "main button").click()
    in_the_window(chromium, "continue", pictured=True)
    seen(chromium, "h1", "What shall be connected?")
    look("pick")
    seen(chromium, "form[action$=pick] button").click()
    seen(chromium, "#status", "Ready: it receives.")
    at_the_phone(chromium, run)
    seen(chromium, "#status .arrived", "A message has arrived")
    look("arrived")
    found = feed.until(lambda all_: "attachment.updated" in kinds(all_))
    assert kinds(found) == [
        "connection.activated",
        "message.received",
        "message.received",
        "attachment.updated",
    ]
    _, said, sent, updated = [one for one in found if one["provider"] == "whatsapp"]
    assert said["data"]["text"] == "Чи є хліб?"
    (attachment,) = sent["data"]["attachments"]
    stored = updated["data"]["attachment"]
    assert (stored["id"], stored["stored"]) == (attachment["id"], True)
    assert (stored["kind"], stored["mime_type"]) == ("image", "image/jpeg")
    served = core.get(f"/v1/attachments/{stored['id']}")
    assert (served.status_code, served.headers["content-type"]) == (200, "image/jpeg")
    assert served.content == PHOTO.read_bytes()
    send = answered(chromium, core, said)
    look("phone")
    told = feed.until(lambda all_: "message.read" in kinds(all_))
    assert kinds(told) == ["message.sent", "message.delivered", "message.read"]
    assert told[0]["data"]["send_id"] == send
    assert all(receipt["data"]["send_ids"] == [send] for receipt in told[1:])
    core.close()
    assert is_subscribed(run, WABA)
    run.command("connections", "revoke", said["connection"])
    wait_until(lambda: not is_subscribed(run, WABA), 20)


def by_hand(run: Run, token: str, number: str) -> str:
    """A tenant of its own connects a number of the WABA 900: the connection."""
    named = ("--tenant", f"by-hand-{number}", "--provider", "whatsapp", "--account", number)
    added = run.command(
        "connections", "add", *named, "--parent", "900", "--token-stdin", stdin=token
    )
    id_: str = added["id"]
    return id_


def revoked(operator: httpx.Client, connection: str) -> None:
    """Revoke it, and wait until that is done."""
    path = f"/v1/connections/{connection}"
    operator.post(f"{path}/revoke", json={"reason": "it ended"}).raise_for_status()
    wait_until(lambda: operator.get(path).json()["status"] == "revoked", 20)


def test_system_users_tokens_by_hand_are_enough_and_the_last_number_ends_it(run: Run) -> None:
    with httpx.Client(base_url=f"{run.sandbox_url}/api/whatsapp/", trust_env=False) as http:
        http.post("wabas", json={"id": "900", "name": "By hand"}).raise_for_status()
        for number in ("901", "902"):
            new = {"id": number, "waba": "900", "display": f"+49 30 {number}", "name": "By hand"}
            http.post("numbers", json=new).raise_for_status()
        token = http.post("tokens", json={"wabas": ["900"]}).json()["access_token"]
    first, second = by_hand(run, token, "901"), by_hand(run, token, "902")
    wait_until(lambda: is_subscribed(run, "900"), 20)
    with caller(run, "--role", "operator") as operator:
        revoked(operator, first)
        assert is_subscribed(run, "900")
        revoked(operator, second)
        assert not is_subscribed(run, "900")
