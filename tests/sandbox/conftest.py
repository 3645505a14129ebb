"""A running sandbox with a receiver of its webhooks, and a browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from sandbox.settings import Settings
from tests import services
from tests.sandbox.stage import (
    OTHER_PAGE,
    PAGE,
    SECRET,
    VERIFY_TOKEN,
    Phone,
    Receiver,
    sandbox_server,
    serving,
)

PAUSES_S = (0.05, 0.1, 0.2)
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


@pytest.fixture
def receiver() -> Receiver:
    """What the webhooks reach, with everything it received."""
    return Receiver()


@pytest.fixture
def webhook_url(receiver: Receiver) -> Iterator[str]:
    """The receiver's address, being served."""
    with serving(receiver.server()) as address:
        yield f"{address}/webhooks/meta"


@pytest.fixture
def phone(webhook_url: str) -> Iterator[Phone]:
    """A person's phone in a running sandbox that posts to the receiver."""
    pages = {PAGE: "Demo Page", OTHER_PAGE: "Corner Bakery"}
    settings = Settings(webhook_url, SECRET, VERIFY_TOKEN, pages)
    with serving(sandbox_server(settings, PAUSES_S)) as address:
        client = Phone(address)
        yield client
        client.http.close()


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A fresh headless Chromium; the test is skipped, or fails where services are required."""
    services.require("chromium")
    driver = shutil.which("chromedriver")
    if driver is None:
        missing = pytest.fail if services.REQUIRED else pytest.skip
        missing("chromium: no chromedriver on the path")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver, env=dict(os.environ)))
    yield browser
    browser.quit()
