"""How a connection is, over HTTP; and having it looked at."""

from typing import Any

import pytest
import sqlalchemy as sa

from storage.activity import Activity, ActivityStore
from storage.connecting_schema import looks, subscriptions
from storage.connections import Connection, Connections
from storage.due import DueRows
from storage.grants import RECONCILE
from storage.schema import connections, grants
from tests.gateway.edges import World
from tests.workers.granted import consent, tokens

pytestmark = pytest.mark.anyio

CAUSE = "comments needs pages_read_user_content, not granted"


def ill(world: World) -> Connection:
    """One that lacks a feature, with all that is known of such."""
    page = world.rig.connect("acme", "10")
    consent(world.rig, tokens(None), [page], login="meta")
    route = world.rig.vault.deployment().hash("route", "facebook", "10")
    Connections(world.rig.database).set_status(page.id, "degraded", CAUSE, {"scopes": CAUSE})
    shown: dict[str, object] = {"provider": "facebook", "account": route, "state": "on"}
    shown |= {"changed_at_ms": 1}
    found: dict[str, object] = {"connection": page.id, "missing": ["feed"], "detail": "so"}
    with world.rig.database.write() as open_:
        open_.execute(sa.update(grants).values(scopes=["a"], declined=["a", "email"]))
        chosen = {"features": ["messages", "comments"], "missing": ["comments"]}
        open_.execute(sa.update(connections).values(chosen))
        open_.execute(sa.insert(subscriptions).values(shown))
        open_.execute(sa.insert(looks).values(found))
    ActivityStore(world.rig.database).put([Activity(page.id, 1_790_000_000_000, {})])
    return page


async def test_a_connection_says_in_words_what_is_wrong_and_what_to_do(world: World) -> None:
    page = ill(world)
    told = (await world.get(f"/v1/connections/{page.id}", "crm", "acme")).json()
    assert told["health"][0] == {"says": "It works in part.", "do": ""}
    assert CAUSE in told["health"][1]["says"]
    assert f"/connect/again/{page.id}." in told["health"][1]["do"]
    assert (told["features"], told["missing_features"]) == (["messages", "comments"], ["comments"])
    assert (told["scopes"], told["declined_scopes"]) == (["a"], ["email"])
    assert told["last_event_at"] == "2026-09-21T14:13:20.000Z"
    (shown,) = told["subscriptions"]
    assert (shown["state"], shown["missing_fields"]) == ("missing", ["feed"])
    assert (shown["detail"], shown["checked_at"]) == ("so", None)


async def test_a_list_says_the_same_in_short(world: World) -> None:
    page = ill(world)
    (listed,) = (await world.get("/v1/connections?status=degraded")).json()["connections"]
    told = (await world.get(f"/v1/connections/{page.id}")).json()
    assert listed.items() <= told.items()
    assert set(told) - set(listed) == {"health", "subscriptions"}


async def test_a_look_is_ordered_and_workers_are_told(world: World) -> None:
    page = world.rig.connect("acme", "10")
    path = f"/v1/connections/{page.id}/resync"
    for away in (False, True):
        world.jobs.away = away
        answer = await world.client.post(path, headers=world.headers("crm", "acme"))
        told = {"connection": page.id, "status": "active"}
        assert (answer.status_code, answer.json()) == (202, told)
        standing = DueRows(world.rig.database).standing(RECONCILE, page.id)
        assert standing is not None
        assert (standing.wait_ms or 0) <= 0
    assert world.jobs.dues == 1


async def test_nobody_looks_after_what_was_ended(world: World) -> None:
    page = world.rig.connect("acme", "10")
    Connections(world.rig.database).set_status(page.id, "revoked", "")
    path = f"/v1/connections/{page.id}/resync"
    refused = await world.client.post(path, headers=world.headers("operator"))
    assert (refused.status_code, "revoked" in refused.json()["detail"]) == (409, True)
    foreign = await world.client.post(path, headers=world.headers("crm", "zeta"))
    assert foreign.status_code == 404
    assert DueRows(world.rig.database).standing(RECONCILE, page.id) is None


async def test_of_an_erased_tenants_connection_little_is_known(world: World) -> None:
    page = ill(world)
    world.rig.vault.destroy_tenant("acme")
    told = (await world.get(f"/v1/connections/{page.id}")).json()
    assert (told["account"], told["subscriptions"]) == (None, [])
    assert told["health"]


async def test_what_a_refused_consent_allowed_is_not_shown_as_allowed(world: World) -> None:
    page = ill(world)
    second = consent(world.rig, tokens(None, name="second"), [page], login="meta")
    for refused, scopes, calls_out in (([second], ["a"], True), ([], ["a", "read"], True)):
        told = await with_refused(world, page, [grant.id for grant in refused])
        assert (told["scopes"], told["calls_out"]) == (scopes, calls_out)
        said = " ".join(line["says"] for line in told["health"])
        assert ("works no more: dead. Others carry it" in said) == bool(refused)
    with world.rig.database.read() as open_:
        every = [*open_.scalars(sa.select(grants.c.id))]
    told = await with_refused(world, page, every)
    assert (told["scopes"], told["calls_out"]) == ([], False)


async def with_refused(world: World, page: Connection, ids: list[str]) -> Any:
    with world.rig.database.write() as open_:
        open_.execute(sa.update(grants).values(refusal=""))
        dead = sa.update(grants).where(grants.c.id.in_(ids))
        open_.execute(dead.values(refusal="dead"))
    return (await world.get(f"/v1/connections/{page.id}")).json()
