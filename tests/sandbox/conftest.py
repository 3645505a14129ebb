"""A running sandbox with a receiver of its webhooks."""

from collections.abc import Iterator

import pytest

from sandbox.settings import Settings
from tests.sandbox.logins import APPS, Login
from tests.sandbox.stage import (
    FINAL,
    OTHER_PAGE,
    PAGE,
    SECRET,
    VERIFY_TOKEN,
    Phone,
    Receiver,
    sandbox_server,
    serving,
    wait_until,
)

PAUSES_S = (0.05, 0.1, 0.2)


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


@pytest.fixture(scope="module")
def gateway() -> Iterator[tuple[Receiver, str]]:
    """A receiver of everything that providers send of their own accord, and its address."""
    receiver = Receiver()
    with serving(receiver.server()) as address:
        yield receiver, address


@pytest.fixture(scope="module")
def providers(gateway: tuple[Receiver, str]) -> Iterator[Login]:
    """A sandbox in which all three apps exist, for the tests of a file."""
    pages = {PAGE: "Demo Page", OTHER_PAGE: "Corner Bakery"}
    webhook_url = f"{gateway[1]}/webhooks/meta"
    settings = Settings(webhook_url, SECRET, VERIFY_TOKEN, pages, **APPS)
    with serving(sandbox_server(settings, PAUSES_S)) as address:
        client = Login(address, gateway[1])
        yield client
        client.http.close()


@pytest.fixture
def login(providers: Login, gateway: tuple[Receiver, str]) -> Login:
    """That sandbox as it was at its start: nobody has connected anything, nothing is under way."""
    wait_until(lambda: all(status in FINAL for status in providers.statuses()))
    providers.control("reset")
    gateway[0].received.clear()
    gateway[0].told.clear()
    return providers


@pytest.fixture
def told(login: Login, gateway: tuple[Receiver, str]) -> Receiver:
    """What the providers tell the gateway in this test."""
    return gateway[0]
