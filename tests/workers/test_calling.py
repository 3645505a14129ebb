"""Whose tokens a call for a connection carries."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import Misconfigured, NotFound, Reauthorize
from storage.connections import Connections
from storage.grants import Grants
from storage.openings import TokenOpenings
from tests.rig import Rig
from tests.workers.granted import consent, refresh, tokens
from tests.workers.pages import Pages, PagesConnector, PagesLogin, meta_settings, token_of


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def rig(database_url: str, tmp_path: Path, pages: Pages) -> Iterator[Rig]:
    rig = Rig(
        database_url,
        tmp_path / "var",
        {"meta": PagesLogin(pages)},
        connectors={"facebook": PagesConnector(meta_settings(), pages)},
    )
    yield rig
    rig.parts.scheduler.stop()
    rig.parts.transport.close()
    rig.close()


def test_the_tokens_of_the_grant_that_works_are_carried_and_counted(rig: Rig, pages: Pages) -> None:
    page = rig.connect("acme", "10")
    dead = consent(rig, tokens(None, name="dead"), [page], login="meta")
    consent(rig, tokens(None, name="good"), [page], login="meta")
    pages.dead = {"dead"}
    refresh(rig)
    assert Grants(rig.database).get(dead.id).refusal
    assert token_of(rig.parts.accounts.client_for(page, job="test")) == "good"
    rig.parts.openings.flush()
    ids = Grants(rig.database).carrying(page.id)
    jobs = {row.job for row in TokenOpenings(rig.database).of_grants(ids)}
    assert jobs == {"refresh", "test"}


def test_without_a_grant_that_works_there_is_no_client(rig: Rig, pages: Pages) -> None:
    page = rig.connect("acme", "10")
    with pytest.raises(NotFound):
        rig.parts.accounts.client_for(page, job="test")
    consent(rig, tokens(None, name="dead"), [page], login="meta")
    pages.dead = {"dead"}
    refresh(rig)
    with pytest.raises(Reauthorize, match="password"):
        rig.parts.accounts.client_for(page, job="test")


def test_a_token_by_hand_goes_the_way_of_its_providers_login(rig: Rig) -> None:
    page = rig.connect("acme", "10")
    consent(rig, tokens(None, name="by hand"), [page], login="manual")
    assert token_of(rig.parts.accounts.client_for(page, job="test")) == "by hand"


def test_a_login_that_is_off_is_the_operators_to_mend(database_url: str, tmp_path: Path) -> None:
    rig = Rig(database_url, tmp_path / "var", {})
    page = rig.connect("acme", "10")
    consent(rig, tokens(None), [page], login="elsewhere")
    with pytest.raises(Misconfigured, match="is off"):
        rig.parts.accounts.client_for(Connections(rig.database).get(page.id), job="test")
    rig.parts.transport.close()
    rig.close()
