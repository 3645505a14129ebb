"""The dialogs and the page's Logins view in a real browser, by keyboard, on a phone too."""

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

from tests.browser import complaints, keys, narrow, page_width, seen
from tests.sandbox.logins import OLENA, Login
from tests.sandbox.stage import PAGE, Receiver

pytestmark = pytest.mark.chromium
MOST_TABS = 60


def address(login: Login, path: str, query: dict[str, str]) -> str:
    return str(login.http.build_request("GET", path, params=query).url)


def tab_to(browser: Chrome, selector: str) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(MOST_TABS):
        keys(browser, Keys.TAB)
        if browser.execute_script("return document.activeElement.matches(arguments[0])", selector):
            return
    raise AssertionError(f"{selector} is not among the first {MOST_TABS} stops")


@pytest.mark.parametrize("size", ["wide", "phone"])
def test_facebooks_dialog_by_keyboard_alone(chromium: Chrome, login: Login, size: str) -> None:
    if size == "phone":
        narrow(chromium)
    chromium.get(address(login, "/v24.0/dialog/oauth", login.ask_facebook(None)))
    tab_to(chromium, f"a[href*='{OLENA}']")
    keys(chromium, Keys.ENTER)
    seen(chromium, "h1", "Connect CleverBox Gateway")
    if size == "phone":
        assert page_width(chromium) == 390
    tab_to(chromium, "input[value=email]")
    keys(chromium, Keys.SPACE)
    tab_to(chromium, "button[value=continue]")
    assert complaints(chromium) == []
    keys(chromium, Keys.ENTER)
    seen(chromium, "body", "")
    assert chromium.current_url.startswith(login.redirect_uri("meta") + "?code=")
    [olena, *_] = login.state("facebook")["people"]
    assert olena["declined"] == ["email"]
    assert "pages_messaging" in olena["granted"]


@pytest.mark.parametrize(
    ("path", "ask", "brand"),
    [
        ("/oauth/authorize", "ask_instagram", "Instagram"),
        ("/o/oauth2/v2/auth", "ask_google", "Google"),
    ],
)
def test_the_other_dialogs_fit_a_phone_and_can_be_refused(
    chromium: Chrome, login: Login, path: str, ask: str, brand: str
) -> None:
    narrow(chromium)
    chromium.get(address(login, path, getattr(login, ask)(None)))
    seen(chromium, ".brand", brand)
    assert page_width(chromium) == 390
    tab_to(chromium, ".people a")
    keys(chromium, Keys.ENTER)
    seen(chromium, "fieldset")
    assert page_width(chromium) == 390
    tab_to(chromium, "button[value=cancel]")
    assert complaints(chromium) == []
    keys(chromium, Keys.ENTER)
    assert "error=access_denied" in chromium.current_url


def test_a_person_removes_the_app_on_the_page(
    chromium: Chrome, login: Login, told: Receiver
) -> None:
    login.facebook()
    chromium.get(login.address)
    seen(chromium, "#handshake-text", "verified")
    seen(chromium, ".views [data-view=logins]").click()
    seen(chromium, "#logins .card", "Connected: email")
    seen(chromium, f"[id='{OLENA}-remove']").send_keys(Keys.ENTER)
    seen(chromium, "#toast", "The app answered 200")
    seen(chromium, "#logins .card", "Has not connected the app.")
    seen(chromium, "#logins .told li", "deauthorize: 200")
    assert [path for path, _ in told.told] == ["/meta/deauthorize"]
    assert complaints(chromium) == []
    narrow(chromium)
    assert page_width(chromium) == 390


def test_the_phone_writes_to_an_instagram_account(
    chromium: Chrome, login: Login, told: Receiver
) -> None:
    token = login.instagram()
    login.ig("POST", "/v24.0/me/subscribed_apps", token, subscribed_fields="messages")
    chromium.get(login.address)
    seen(chromium, "#handshake-text", "verified")
    seen(chromium, "#page").send_keys("Instagram")
    seen(chromium, "#intro-line", "Instagram account 17841400000000001")
    seen(chromium, "#text").send_keys("Привіт", Keys.ENTER)
    seen(chromium, "#chat .receipt", "delivered to gateway: 200 in")
    seen(chromium, "#seen").click()
    message, read = told.wait_for(2)
    assert message.texts == ["Привіт"]
    assert "read" in read.items[0]
    seen(chromium, "#page").send_keys("Demo")
    seen(chromium, "#intro-line", f"Page {PAGE}")
    assert complaints(chromium) == []
