"""The page in a real browser: what a newcomer does in the first minute."""

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser import complaints, keys, narrow, page_width, seen
from tests.sandbox.stage import Phone, Receiver

pytestmark = pytest.mark.chromium


def test_a_message_typed_on_the_phone_is_answered_200(
    chromium: Chrome, phone: Phone, receiver: Receiver
) -> None:
    chromium.get(phone.address)
    seen(chromium, "#handshake-text", "verified")
    seen(chromium, "#text").send_keys("Привіт", Keys.ENTER)
    seen(chromium, "#chat .receipt", "delivered to gateway: 200 in")
    row = seen(chromium, "#wire .post", "200")
    assert receiver.wait_for(1)[0].texts == ["Привіт"]
    row.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
    seen(chromium, "#wire pre", '"object": "page"')
    assert complaints(chromium) == []


def test_everything_is_reached_by_keyboard(
    chromium: Chrome, phone: Phone, receiver: Receiver
) -> None:
    chromium.get(phone.address)
    seen(chromium, "#handshake-text", "verified")
    keys(chromium, Keys.TAB)
    keys(chromium, Keys.ENTER)
    assert chromium.switch_to.active_element.get_attribute("id") == "text"
    keys(chromium, "Helo", Keys.ENTER)
    more = seen(chromium, "#chat .row.contact .ghost")
    more.send_keys(Keys.ENTER)
    seen(chromium, "#sheet .line", "Edit").send_keys(Keys.ENTER)
    keys(chromium, Keys.BACKSPACE, "lo", Keys.ENTER)
    seen(chromium, "#chat .bubble", "Hello")
    seen(chromium, "#chat .row.contact .ghost").send_keys(Keys.ENTER)
    keys(chromium, Keys.ENTER)
    seen(chromium, "#chat .reaction")
    kinds = [list(post.items[0])[-1] for post in receiver.wait_for(3)]
    assert kinds == ["message", "message_edit", "reaction"]


def test_a_forgery_is_shown_as_refused(chromium: Chrome, phone: Phone) -> None:
    chromium.get(phone.address)
    seen(chromium, "#handshake-text", "verified")
    seen(chromium, ".views [data-view=misbehave]").click()
    card = seen(chromium, ".card", "Forge the signature")
    card.find_element(By.TAG_NAME, "button").click()
    seen(chromium, ".card .armed", "next 1")
    seen(chromium, "#text").send_keys("I am Meta, honestly", Keys.ENTER)
    seen(chromium, "#chat .receipt", "rightly refused: 401")


def test_a_narrow_screen_has_no_sideways_scrolling(chromium: Chrome, phone: Phone) -> None:
    narrow(chromium)
    chromium.get(phone.address)
    seen(chromium, "#handshake-text", "verified")
    seen(chromium, "#text").send_keys("Hello", Keys.ENTER)
    for view in ("wire", "misbehave", "events", "phone"):
        seen(chromium, f".views [data-view={view}]").click()
        assert page_width(chromium) == 390, view
    seen(chromium, "#chat .receipt", "delivered to gateway: 200")
