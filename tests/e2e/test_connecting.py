"""Somebody connects a Page: in a real browser, by keyboard, at the sandbox, across two sites."""

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser import complaints, keys, narrow, page_width, picture, seen, tab_to
from tests.e2e.stack import Run, say
from tests.sandbox.stage import PAGE

pytestmark = pytest.mark.chromium


def link(run: Run, tenant: str) -> str:
    """A link as the CRM gets it; the gateway is `localhost`, the sandbox `127.0.0.1`."""
    key = run.command("keys", "create", "--role", "crm", "--tenant", tenant, "--name", "tests")
    asked = {
        "tenant": tenant,
        "provider": "facebook",
        "return_url": f"http://localhost:{run.port}/docs?from=crm",
        "business": "Пекарня «Зоря»",
    }
    headers = {"authorization": f"Bearer {key['key']}"}
    answer = httpx.post(
        f"{run.url}/v1/connect-sessions", json=asked, headers=headers, trust_env=False
    )
    assert answer.status_code == 201, answer.text
    url: str = answer.json()["url"]
    assert url.startswith(f"http://localhost:{run.port}/connect/")
    return url


def in_the_dialog(browser: Chrome, choice: str) -> None:
    """Olena is before the screen, and presses `continue` or `cancel`; all by keyboard."""
    seen(browser, ".people a", "Olena")
    tab_to(browser, ".people a")
    keys(browser, Keys.ENTER)
    seen(browser, ".decide button")
    tab_to(browser, f"button[value={choice}]")
    keys(browser, Keys.ENTER)


@pytest.mark.parametrize("wide", [True, False], ids=["desk", "phone"])
def test_by_keyboard_alone_from_the_link_to_the_first_message(
    run: Run, chromium: Chrome, wide: bool
) -> None:
    size = "desk" if wide else "390"
    if not wide:
        narrow(chromium)

    def look(name: str) -> None:
        picture(chromium, f"connect-{name}-{size}")
        if not wide:
            assert page_width(chromium) == 390, name
        assert complaints(chromium) == [], name

    chromium.get(link(run, f"bakery-{size}"))
    seen(chromium, "nav a", "Українська")
    tab_to(chromium, "nav a[lang=uk]")
    keys(chromium, Keys.ENTER)
    seen(chromium, "h1", "підключення до компанії Пекарня «Зоря»")
    look("start")
    tab_to(chromium, "main button")
    keys(chromium, Keys.ENTER)
    in_the_dialog(chromium, "cancel")
    seen(chromium, "h1", "Ви не дали дозволу")
    look("refused")
    tab_to(chromium, "main button")
    keys(chromium, Keys.ENTER)
    in_the_dialog(chromium, "continue")
    seen(chromium, "h1", "Що підключити?")
    look("pick")
    tab_to(chromium, "input[name=account]")
    keys(chromium, Keys.SPACE)  # the only one was ticked
    tab_to(chromium, "form[action$=pick] button")
    keys(chromium, Keys.ENTER)
    seen(chromium, ".problem", "Нічого не вибрано")
    tab_to(chromium, "form[action$=pick] button")
    keys(chromium, Keys.ENTER)
    seen(chromium, "h1", "Підключено")
    seen(chromium, "#status", "Готово: отримує.")
    look("ready")
    page = PAGE if "Demo Page" in seen(chromium, "#status").text else ""
    assert page, chromium.page_source
    with run.phone("7200000000000001").http as http:
        http.post(
            f"{run.sandbox_url}/api/pages/{page}/contacts/7200000000000001/messages",
            json={"text": "Чи є хліб?"},
        ).raise_for_status()
    arrived = seen(chromium, "#status .arrived", "Повідомлення надійшло")
    say(arrived.text)
    look("arrived")
    back = chromium.find_element(By.CSS_SELECTOR, ".back a").get_attribute("href") or ""
    assert "from=crm&result=connected&connection=con_" in back
    chromium.back()
    seen(chromium, "h1")
    assert complaints(chromium) == []
