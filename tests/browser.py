"""A headless Chromium, and waiting for what it shows."""

import base64
import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

WAIT_S = 15
MOST_TABS = 80
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1440,960",
)


@contextlib.contextmanager
def chrome(profile: Path) -> Iterator[Chrome]:
    """A fresh Chromium with its own profile directory; it keeps the console's messages."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Service(shutil.which("chromedriver") or "", env=dict(os.environ))
    browser = webdriver.Chrome(options=options, service=driver)
    try:
        yield browser
    finally:
        browser.quit()


def seen(browser: Chrome, selector: str, text: str = "") -> WebElement:
    """Wait until an element with the text is there, and return the first such."""

    def found(_: Chrome) -> WebElement | None:
        elements = browser.find_elements(By.CSS_SELECTOR, selector)
        return next((element for element in elements if text in element.text), None)

    element = WebDriverWait(
        browser, WAIT_S, ignored_exceptions=[StaleElementReferenceException]
    ).until(found)
    assert isinstance(element, WebElement)
    return element


def keys(browser: Chrome, *typed: str) -> None:
    """Type into whatever has the focus."""
    browser.switch_to.active_element.send_keys(*typed)


def tab_to(browser: Chrome, selector: str) -> None:
    """Press Tab until an element that matches has the focus."""
    for _ in range(MOST_TABS):
        keys(browser, Keys.TAB)
        reached: bool = browser.execute_script(
            "return document.activeElement.matches(arguments[0])", selector
        )
        if reached:
            return
    raise AssertionError(f"{selector} is not among the first {MOST_TABS} stops")


def narrow(browser: Chrome) -> None:
    """Make it a phone, 390 pixels wide."""
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def page_width(browser: Chrome) -> int:
    """How wide the page is, with what has to be scrolled to sideways."""
    width: int = browser.execute_script("return document.documentElement.scrollWidth")
    return width


def complaints(browser: Chrome) -> list[object]:
    """What the page and its content policy put on the console since it was last asked."""
    messages: list[object] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return messages


PICTURES: Final = Path(".cache/pictures")
"""Where a run's pictures stay, to be looked at."""


def picture(browser: Chrome, name: str) -> None:
    """Keep what it shows as `NAME.png` among the pictures; one of an earlier run is replaced."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    (PICTURES / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))
