"""Rate limits: who is told to stop stops, in all processes, and nobody else does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from pytest_httpx import HTTPXMock

from contracts.errors import StoreUnavailable, Throttled
from contracts.gates import Gate
from contracts.settings import Settings
from gateway.connecting import Connecting
from gateway.facts import FactFinder
from gateway.outward import Outward
from storage.connections import Connection, Connections
from storage.database import now_ms
from storage.gates import FIRST_S, FORGETS_S, LONGEST_S, GateStore, SharedGates, gates
from tests.rig import ENVIRON, Rig
from tests.workers.granted import consent, tokens
from tests.workers.pages import Pages, PagesLogin
from token_vault import gate_names
from workers.composition import Parts

URL = "https://graph.facebook.com/v24.0/me"
PAGE, OTHER = Gate("facebook", "10"), Gate("facebook", "11")
APP = Gate("meta")
LOGINS = {"meta": PagesLogin(Pages())}


@pytest.fixture
def rig(database_url: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(database_url, tmp_path / "var", LOGINS)
    yield rig
    rig.parts.scheduler.stop()
    rig.close()


def page(rig: Rig, tenant: str, account: str) -> Connection:
    made = rig.connect(tenant, account)
    consent(rig, tokens(None, name=account), [made], login="meta")
    return made


def client(rig: Rig, connection: Connection) -> httpx.Client:
    return rig.parts.accounts.client_for(connection, job="test")


def used(asset: str, percent: int, minutes: int = 0) -> dict[str, str]:
    counts = {"type": "messenger", "call_count": percent, "total_time": 3, "total_cputime": 1}
    said = {asset: [counts | {"estimated_time_to_regain_access": minutes}]}
    return {"x-business-use-case-usage": json.dumps(said)}


def error(code: int) -> dict[str, Any]:
    return {"error": {"code": code, "message": "too many", "fbtrace_id": "A"}}


def view(rig: Rig) -> SharedGates:
    """Another process's view, which looks each time."""
    return SharedGates(GateStore(rig.database), gate_names(rig.vault), fresh_s=0)


@pytest.mark.parametrize(
    ("asset", "percent", "minutes", "rests_s"),
    [
        ("10", 79, 0, 0),
        ("10", 80, 0, FIRST_S),
        ("10", 100, 7, 420),
        ("99", 95, 2, 120),  # named after the business that has the Page
    ],
)
def test_an_account_rests_before_its_limit_is_used_up(
    rig: Rig, httpx_mock: HTTPXMock, asset: str, percent: int, minutes: int, rests_s: int
) -> None:
    acme, other = page(rig, "acme", "10"), page(rig, "other", "11")
    httpx_mock.add_response(headers=used(asset, percent, minutes), json={}, is_reusable=True)
    assert client(rig, acme).get(URL).is_success
    assert view(rig).closed_s(PAGE) == pytest.approx(rests_s, abs=5)
    assert view(rig).closed_s(OTHER) == view(rig).closed_s(APP) == 0
    assert client(rig, other).get(URL).is_success  # of another tenant, and not slowed
    assert len(httpx_mock.get_requests()) == 2


def test_what_others_are_told_beside_is_not_held_against_the_account(
    rig: Rig, httpx_mock: HTTPXMock
) -> None:
    acme = page(rig, "acme", "10")
    usage = used("10", 10)["x-business-use-case-usage"][:-1]
    both = f"{usage},{used('12', 99)['x-business-use-case-usage'][1:]}"
    httpx_mock.add_response(headers={"x-business-use-case-usage": both}, json={})
    assert client(rig, acme).get(URL).is_success
    assert view(rig).closed_s(PAGE) == 0


def test_a_closed_gate_is_not_hammered_by_any_process(rig: Rig, httpx_mock: HTTPXMock) -> None:
    acme = page(rig, "acme", "10")
    httpx_mock.add_response(status_code=400, json=error(32))
    assert client(rig, acme).get(URL).status_code == 400
    second = Parts(rig.settings, ENVIRON, LOGINS)
    try:
        for parts in (rig.parts, second):
            with pytest.raises(Throttled) as told:
                parts.accounts.client_for(acme, job="test").get(URL)
            assert told.value.scope == "10"
            assert told.value.after_s == pytest.approx(FIRST_S, abs=5)
    finally:
        second.scheduler.stop()
        second.close()
    assert len(httpx_mock.get_requests()) == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"status_code": 403, "json": error(4)},
        {"json": {}, "headers": {"x-app-usage": '{"call_count":100,"total_time":9}'}},
    ],
)
def test_the_apps_own_limit_stops_all_and_the_edge_too(
    rig: Rig, httpx_mock: HTTPXMock, answer: dict[str, Any]
) -> None:
    acme, other = page(rig, "acme", "10"), page(rig, "other", "11")
    httpx_mock.add_response(**answer)
    client(rig, acme).get(URL)
    with pytest.raises(Throttled) as told:
        client(rig, other).get(URL)
    assert told.value.scope == "app"
    edge = Outward(Settings(), view(rig))
    with pytest.raises(Throttled):
        edge.client(None).get(URL)
    edge.close()
    httpx_mock.add_response(url="https://gmail.googleapis.com/x", json={})
    assert rig.parts.accounts.plain().get("https://gmail.googleapis.com/x").is_success


def test_calls_that_were_under_way_together_close_it_once(rig: Rig) -> None:
    shared = view(rig)
    for _ in range(5):
        shared.close(PAGE, None, "refused")
    assert shared.closed_s(PAGE) == pytest.approx(FIRST_S, abs=5)
    shared.close(PAGE, 600, "refused")  # who says how long is believed
    shared.close(PAGE, 30, "usage")
    assert view(rig).closed_s(PAGE) == pytest.approx(600, abs=5)


def test_it_rests_longer_each_time_within_the_hour(rig: Rig) -> None:
    store, name = GateStore(rig.database), b"g" * 16

    def again(*, later_s: float) -> float:
        with rig.database.write() as open_:
            open_.execute(sa.update(gates).values(until_ms=now_ms() - int(later_s * 1000)))
        return round((store.close(name, "facebook", None, "usage") - now_ms()) / 1000, -1)

    rests = [again(later_s=1) for _ in range(7)]
    assert rests == [60, 120, 240, 480, 960, LONGEST_S, LONGEST_S]
    assert again(later_s=FORGETS_S + 1) == FIRST_S


def test_with_the_store_away_a_process_still_keeps_what_it_was_told() -> None:
    class Away(GateStore):
        def __init__(self) -> None:
            pass

        def closed(self) -> dict[bytes, int]:
            raise StoreUnavailable("away")

        def close(self, gate: bytes, provider: str, after_s: float | None, why: str) -> int:
            raise StoreUnavailable("away")

    shared = SharedGates(Away(), lambda gate: gate.asset.encode())
    assert shared.closed_s(PAGE) == 0
    shared.close(PAGE, 90, "refused")
    assert shared.closed_s(PAGE) == pytest.approx(90, abs=2)


def test_who_explains_a_connection_finds_its_rests(rig: Rig) -> None:
    made, other = page(rig, "acme", "10"), page(rig, "other", "11")
    view(rig).close(PAGE, 60, "usage")
    view(rig).close(APP, 90, "refused")
    finder = FactFinder(rig.database, rig.vault, rig.settings, {})
    opened = Connecting(Connections(rig.database), rig.vault, ("facebook",)).open([made, other])
    found = [[(r.of_app, r.why) for r in finder.find(one).rests] for one in opened]
    assert found == [[(True, "refused"), (False, "usage")], [(True, "refused")]]


def test_a_rest_is_counted_without_the_accounts_id(rig: Rig, httpx_mock: HTTPXMock) -> None:
    acme = page(rig, "acme", "10")
    httpx_mock.add_response(headers=used("10", 90), json={})
    client(rig, acme).get(URL)
    labels = {"provider": "facebook", "of": "account", "why": "usage"}
    registry = rig.parts.metrics.registry
    assert registry.get_sample_value("gateway_gates_closed_total", labels) == 1
