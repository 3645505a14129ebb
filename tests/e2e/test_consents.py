"""Somebody connects, declines, consents once more, is let go: in a browser, by keyboard."""

from collections.abc import Callable

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser import complaints, keys, picture, seen, tab_to
from tests.e2e.crm import Crm
from tests.e2e.provider import GONE, Provider
from tests.e2e.stack import texts

pytestmark = pytest.mark.chromium

API = "https://www.googleapis.com/auth/"
CALENDARS, READ, WRITE = (
    f"{API}{name}"
    for name in ("calendar.calendarlist.readonly", "calendar.events.readonly", "calendar.events")
)

Look = Callable[[str], None]


@pytest.fixture
def look(chromium: Chrome) -> Look:
    """Keeps a picture of the page, about which the browser must have no complaint."""

    def kept(name: str) -> None:
        picture(chromium, f"consent-{name}")
        assert complaints(chromium) == [], name

    return kept


def press(browser: Chrome, selector: str) -> None:
    """Tab to it, and press Enter."""
    tab_to(browser, selector)
    keys(browser, Keys.ENTER)


def allow(browser: Chrome, person: str, *switched: str) -> None:
    """In the dialog: say who one is, switch boxes in their order, and continue."""
    seen(browser, ".people a")
    press(browser, f'.people a[href*="sandbox_person={person}"]')
    seen(browser, ".decide button")
    for box in switched:
        tab_to(browser, f'input[value="{box}"]')
        keys(browser, Keys.SPACE)
    press(browser, "button[value=continue]")


def connected(browser: Chrome) -> str:
    """The connection that the last page names."""
    seen(browser, "h1", "Connected")
    id_ = browser.find_element(By.CSS_SELECTOR, "#status li").get_attribute("data-connection")
    assert id_
    return id_


def test_an_instagram_account_from_the_link_to_its_end(
    crm: Crm, provider: Provider, chromium: Chrome, look: Look
) -> None:
    account = provider.instagram_account("Corner Bakery")
    tenant = f"bakery-{account}"
    chromium.get(crm.link(tenant, "instagram", business="Bakery Ltd", language="en"))
    seen(chromium, "h1", "Connect Instagram to Bakery Ltd")
    look("instagram-start")
    press(chromium, "main button")
    allow(chromium, account)
    seen(chromium, "h1", "What shall be connected?")
    look("instagram-pick")
    press(chromium, "form[action$=pick] button")
    connection = connected(chromium)
    seen(chromium, "#status", "Ready: it receives.")
    assert crm.until(connection, "active")["missing_features"] == []
    provider.phone(account).write("Do you bake rye bread?")
    seen(chromium, "#status .arrived", "A message has arrived")
    look("instagram-arrived")
    with crm.feed(tenant) as feed:
        [message] = [m for m in feed.until(texts) if m["data"].get("text")]
        assert message["type"] == "cleverbox.message.received"
        assert (message["provider"], message["connection"]) == ("instagram", connection)
        receipt = crm.revoke(connection)
        feed.until(lambda found: "cleverbox.connection.revoked" in [one["type"] for one in found])
    assert (receipt["subscription"], receipt["consent"]) == ("ended", "refused")
    assert "at Instagram under Website permissions" in receipt["by_hand"]
    assert provider.subscribed("instagram", account) == []


def test_a_calendar_lacks_what_was_declined_until_it_is_allowed(
    crm: Crm, provider: Provider, chromium: Chrome, look: Look
) -> None:
    person = provider.google_person("Oksana")
    tenant = f"salon-{person}"
    chromium.get(crm.link(tenant, "google_calendar", business="Salon", language="en"))
    seen(chromium, "h1", "Connect Google Calendar to Salon")
    look("google-start")
    press(chromium, "main button")
    allow(chromium, person, CALENDARS, READ)  # Google's boxes are empty at first
    assert seen(chromium, ".note").text == (
        "Not allowed, so it will not work: Making, changing and cancelling events in the calendars "
        "that you pick."
    )
    tab_to(chromium, 'input[name="part.0"]:not(:checked)')
    keys(chromium, Keys.SPACE)
    look("google-pick")
    press(chromium, "form[action$=pick] button")
    connection = connected(chromium)
    found = crm.until(connection, "degraded")
    assert found["missing_features"] == ["write"]
    assert WRITE in found["declined_scopes"]
    with crm.feed(tenant) as feed:
        degraded = feed.until(lambda found: [m for m in found if is_of(m, "degraded")])[-1]
        assert degraded["data"]["missing_features"] == ["write"]
        chromium.get(degraded["data"]["reconnect_url"])
        seen(chromium, "h1", "Reconnect")
        look("google-again")
        press(chromium, "main button")
        allow(chromium, person, WRITE)
        assert connected(chromium) == connection
        look("google-recovered")
        feed.until(lambda found: [m for m in found if is_of(m, "recovered")])
        assert crm.until(connection, "active")["missing_features"] == []
        receipt = crm.revoke(connection)
        feed.until(lambda found: [m for m in found if is_of(m, "revoked")])
    assert (receipt["consent"], receipt["by_hand"]) == ("ended", "")
    assert provider.consent("google", person) == GONE


def is_of(message: dict[str, object], happened: str) -> bool:
    """Whether it says that this happened to its connection."""
    return message["type"] == f"cleverbox.connection.{happened}"
