"""Accounts that must be registered before they are used: while they are set up, and not later."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from contracts.accounts import Registers
from contracts.errors import PermissionMissing
from storage.connections import Connections
from tests.rig import Rig
from tests.workers.granted import said, status
from tests.workers.pages import Pages, PagesConnector, PagesLogin, meta_settings
from tests.workers.test_reconciling import connect, look

REFUSED = PermissionMissing("133005, the number has another PIN", code="133005")


class Numbers(PagesConnector, Registers):
    """Pages that are registered."""

    def register(self, client: httpx.Client, account: str) -> None:
        self._answer("register", client, account)


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def rig(database_url: str, tmp_path: Path, pages: Pages) -> Iterator[Rig]:
    connectors = {"facebook": Numbers(meta_settings(), pages)}
    logins = {"meta": PagesLogin(pages)}
    rig = Rig(database_url, tmp_path / "var", logins, connectors=connectors)
    yield rig
    rig.parts.scheduler.stop()
    rig.parts.transport.close()
    rig.close()


def test_it_is_registered_once_while_it_is_set_up(rig: Rig, pages: Pages) -> None:
    page, _ = connect(rig)
    assert status(rig, page) == ("active", "")
    assert [name for name in pages.names() if name != "refresh"] == [
        "permissions",
        "register",
        "subscribe",
        "inspect",
    ]
    look(rig, page)
    assert pages.names() == ["permissions", "inspect"]


def test_what_its_owner_has_to_mend_is_said_and_tried_again(rig: Rig, pages: Pages) -> None:
    pages.fails["register"] = [REFUSED, REFUSED]
    page, _ = connect(rig)
    assert status(rig, page)[0] == "degraded"
    assert "the provider does not allow it: 133005" in status(rig, page)[1]
    look(rig, Connections(rig.database).get(page.id))
    assert status(rig, page)[0] == "degraded", "a subscription of others does not mend it"
    look(rig, Connections(rig.database).get(page.id))
    assert status(rig, page) == ("active", "")
    assert [kind for kind, _ in said(rig)] == ["degraded", "recovered"]


def test_a_number_that_was_taken_elsewhere_is_not_taken_back(rig: Rig, pages: Pages) -> None:
    page, _ = connect(rig)
    pages.keeps = frozenset()
    pages.subscribed.clear()
    for _ in range(2):
        look(rig, Connections(rig.database).get(page.id))
    assert status(rig, page)[0] == "degraded"
    assert pages.names().count("register") == 1
