"""A lead is said once: with what was filled in, or after a while without; nobody waits for it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pytest_httpx import HTTPXMock

from contracts.content import LeadCreated
from storage.connections import Connection
from storage.database import now_ms
from storage.erasing import Erasing
from storage.lookups import LOOKUP, lookups
from storage.pausing import Pauses
from storage.schema import connections, due
from tests.rig import Rig, text
from tests.workers.granted import consent, run_due, tokens
from tests.workers.pages import Pages, PagesLogin

SECONDS = now_ms() // 1000
LIMITED = {"error": {"code": 4, "message": "too many", "fbtrace_id": "A"}}
GONE = {"error": {"code": 100, "error_subcode": 33, "message": "not there"}}
ANSWERS = {
    "id": "555",
    "field_data": [
        {"name": "full_name", "values": ["Ada 🌻"]},
        {"name": "days", "values": ["mon"]},
        {"name": "days", "values": ["tue"]},
    ],
}


def lead(number: int = 555) -> bytes:
    value = {"leadgen_id": number, "page_id": "10", "form_id": 7, "created_time": SECONDS}
    entry = {"id": "10", "time": SECONDS, "changes": [{"field": "leadgen", "value": value}]}
    return json.dumps({"object": "page", "entry": [entry]}).encode()


@pytest.fixture
def rig(database_url: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(database_url, tmp_path / "var", {"meta": PagesLogin(Pages())})
    yield rig
    rig.parts.scheduler.stop()
    rig.close()


@pytest.fixture
def page(rig: Rig) -> Connection:
    page = rig.connect("acme", "10")
    consent(rig, tokens(None), [page], login="meta")
    return page


def look_up(rig: Rig, *, over: bool = False) -> None:
    """Have what waits looked up now; `over`: its time is over."""
    with rig.database.write() as open_:
        open_.execute(sa.update(due).where(due.c.kind == LOOKUP).values(due_at_ms=0))
        if over:
            open_.execute(sa.update(lookups).values(until_ms=0))
    for row in rig.parts.rows.take([LOOKUP], 10):
        rig.parts.completing.run(row)


def waiting(rig: Rig) -> tuple[int, int]:
    """How many lookups there are, and how many due rows for them."""
    with rig.database.read() as open_:
        rows = open_.scalar(sa.select(sa.func.count()).select_from(lookups)) or 0
        jobs = sa.select(sa.func.count()).select_from(due).where(due.c.kind == LOOKUP)
        return rows, open_.scalar(jobs) or 0


def said(rig: Rig) -> list[Any]:
    return [m.data for m in rig.messages() if isinstance(m.data, LeadCreated)]


@pytest.mark.usefixtures("page")
def test_it_comes_once_with_its_fields_and_holds_up_nobody(rig: Rig, httpx_mock: HTTPXMock) -> None:
    rig.drain(rig.put(lead(), text("10", "7", "after it"), lead()))
    assert rig.texts() == ["after it"]
    assert (said(rig), waiting(rig)) == ([], (1, 1))
    httpx_mock.add_response(json=ANSWERS, is_reusable=True)
    look_up(rig)
    (one,) = said(rig)
    assert (one.lead_id, one.form_id) == ("555", "7")
    assert one.fields == {"full_name": ("Ada 🌻",), "days": ("mon", "tue")}
    assert waiting(rig) == (0, 0)
    rig.drain(rig.put(lead()))
    look_up(rig)
    assert (len(said(rig)), waiting(rig)) == (1, (0, 0))
    (first, *_) = httpx_mock.get_requests()
    assert first.url.path == "/v24.0/555"


@pytest.mark.usefixtures("page")
def test_what_is_away_is_asked_again_until_the_time_is_over(
    rig: Rig, httpx_mock: HTTPXMock
) -> None:
    rig.drain(rig.put(lead()))
    httpx_mock.add_response(status_code=503, is_reusable=True)
    look_up(rig)
    assert (said(rig), waiting(rig)) == ([], (1, 1))
    look_up(rig, over=True)
    (one,) = said(rig)
    assert not isinstance(one.fields, dict)
    assert waiting(rig) == (0, 0)


@pytest.mark.usefixtures("page")
@pytest.mark.parametrize("refusal", [GONE, {"error": {"code": 200, "message": "no permission"}}])
def test_what_is_refused_is_said_as_it_came_at_once(
    rig: Rig, httpx_mock: HTTPXMock, refusal: dict[str, Any]
) -> None:
    rig.drain(rig.put(lead()))
    httpx_mock.add_response(status_code=400, json=refusal)
    look_up(rig)
    assert [one.lead_id for one in said(rig)] == ["555"]


def test_without_a_token_it_is_said_as_it_came(rig: Rig) -> None:
    rig.connect("acme", "10")
    rig.drain(rig.put(lead()))
    look_up(rig)
    assert [one.lead_id for one in said(rig)] == ["555"]


def test_who_did_not_choose_leads_has_none_looked_up(rig: Rig, page: Connection) -> None:
    with rig.database.write() as open_:
        mine = sa.update(connections).where(connections.c.id == page.id)
        open_.execute(mine.values(features=["messages"]))
    rig.drain(rig.put(lead()))
    assert waiting(rig) == (0, 0)


def test_what_was_erased_or_revoked_meanwhile_is_not_said(
    rig: Rig, page: Connection, httpx_mock: HTTPXMock
) -> None:
    rig.drain(rig.put(lead(1), lead(2)))
    httpx_mock.add_response(json=ANSWERS, is_reusable=True, is_optional=True)
    with rig.database.write() as open_:
        mine = sa.update(connections).where(connections.c.id == page.id)
        open_.execute(mine.values(status="revoked"))
    look_up(rig)
    assert (said(rig), waiting(rig)) == ([], (0, 0))
    rig.connect("acme", "11")
    Erasing(rig.database).tenant("acme")
    assert waiting(rig)[0] == 0


def test_while_its_connection_is_paused_it_waits(
    rig: Rig, page: Connection, httpx_mock: HTTPXMock
) -> None:
    rig.drain(rig.put(lead()))
    Pauses(rig.database).order(page.id, reason="", by="test")
    run_due(rig)
    assert (said(rig), waiting(rig)) == ([], (1, 1)), "put off, and nobody was called"
    httpx_mock.add_response(json=ANSWERS, is_reusable=True)
    Pauses(rig.database).resume(page.id)
    run_due(rig)
    run_due(rig)
    assert (len(said(rig)), waiting(rig)) == (1, (0, 0))
