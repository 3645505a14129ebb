"""A running sandbox with a receiver of its webhooks."""

from collections.abc import Iterator

import pytest

from sandbox.settings import Settings
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
