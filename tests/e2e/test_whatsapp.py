"""WhatsApp in a real browser: connected in a window of its own, and written to from the phone."""

from pathlib import Path

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser import complaints, picture, seen
from tests.e2e.stack import Feed, Run
from tests.sandbox.whatsapp import ANNA, NUMBER

pytestmark = pytest.mark.chromium


def link(run: Run) -> str:
    """A link as the CRM gets it."""
    key = run.command("keys", "create", "--role", "crm", "--tenant", "demo", "--name", "tests")
    asked = {
        "tenant": "demo",
        "provider": "whatsapp",
        "return_url": f"http://localhost:{run.port}/docs?from=crm",
        "business": "Corner Bakery",
    }
    headers = {"authorization": f"Bearer {key['key']}"}
    answer = httpx.post(
        f"{run.url}/v1/connect-sessions", json=asked, headers=headers, trust_env=False
    )
    assert answer.status_code == 201, answer.text
    url: str = answer.json()["url"]
    return url


def in_the_window(browser: Chrome, choice: str, pictures: Path | None = None) -> None:
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
    if pictures is not None:
        picture(browser, pictures / "whatsapp-window.png")
    browser.find_element(By.CSS_SELECTOR, f"button[value={choice}]").click()
    WebDriverWait(browser, 10).until(lambda _: len(browser.window_handles) == 1)
    browser.switch_to.window(page)


def test_a_number_is_connected_in_a_window_and_receives(
    run: Run, chromium: Chrome, tmp_path: Path
) -> None:
    pictures = tmp_path / "artifacts"

    def look(name: str) -> None:
        picture(chromium, pictures / f"whatsapp-{name}.png")
        assert complaints(chromium) == [], name

    chromium.get(link(run))
    seen(chromium, "h1", "Connect WhatsApp to Corner Bakery")
    look("start")
    seen(chromium, "main button", "Continue to Meta").click()
    seen(chromium, "h1", "On to Meta")
    look("before")
    in_the_window(chromium, "cancel")
    seen(chromium, "h1", "You did not allow it")
    seen(chromium, "main button").click()
    in_the_window(chromium, "continue", pictures)
    seen(chromium, "h1", "What shall be connected?")
    look("pick")
    seen(chromium, "form[action$=pick] button").click()
    seen(chromium, "#status", "Ready: it receives.")
    with httpx.Client(base_url=run.sandbox_url, trust_env=False) as http:
        said = {"text": "Чи є хліб?"}
        path = f"/api/whatsapp/{NUMBER}/contacts/{ANNA}/messages"
        http.post(path, json=said).raise_for_status()
    seen(chromium, "#status .arrived", "A message has arrived")
    look("arrived")
    with Feed(run.curl_line) as feed:
        found = feed.until(
            lambda all_: any(m["type"] == "cleverbox.message.received" for m in all_)
        )
    (message,) = [m for m in found if m["type"] == "cleverbox.message.received"]
    assert (message["provider"], message["data"]["text"]) == ("whatsapp", "Чи є хліб?")
    assert "cleverbox.connection.activated" in [m["type"] for m in found]
