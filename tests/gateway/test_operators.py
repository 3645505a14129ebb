"""Keys and their roles, deliveries and replays, connections, health, pages."""

import asyncio
import hashlib
import re

import msgspec
import pytest
import sqlalchemy as sa

from contracts.content import TYPES
from contracts.errors import Forbidden, Unauthenticated
from contracts.tokens import Secret
from gateway.auth import REMEMBERED_S, Auth
from gateway.connecting import Connecting, ManualAccount
from gateway.metrics import Metrics
from gateway.operations import CRM, OPERATOR
from gateway.threads import Threads
from storage.api_keys import ApiKey
from storage.connections import Connections
from storage.lanes import lane_of
from storage.schema import grants
from tests.gateway.edges import FakeJobs, World, running
from tests.rig import Rig, text

pytestmark = pytest.mark.anyio


async def test_roles_open_what_they_are_for(world: World) -> None:
    calls = {
        "/v1/messages": {"crm"},
        "/v1/connections": {"crm", "operator"},
        "/v1/providers": {"crm", "operator"},
        "/v1/deliveries": {"operator"},
        "/v1/keys": set(),
    }
    for path, roles in calls.items():
        for role in ("crm", "operator", "admin"):
            answer = await world.get(path, role)
            assert answer.status_code == (200 if role in roles | {"admin"} else 403), (path, role)
    assert (await world.client.get("/v1/messages")).status_code == 401
    assert world.counted("auth_refused_total", reason="unauthenticated") == 1


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic abc", "Bearer ü", "Bearer cbg_x"]
)
async def test_what_is_no_key_is_refused(world: World, header: str) -> None:
    answer = await world.client.get(
        "/v1/messages", headers={b"authorization": header.encode("latin-1")}
    )
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


GOOD = "cbg_" + 43 * "x"


class FakeKeys:
    """One key, and how often it was asked for."""

    def __init__(self) -> None:
        self.key = ApiKey("key_1", "", "crm", None, 0, None)
        self.asked = 0
        self.revoked = False

    def authenticate(self, clear: str) -> ApiKey:
        self.asked += 1
        if self.revoked or clear != GOOD:
            raise Unauthenticated("unknown or revoked API key")
        return self.key


async def test_a_key_is_remembered_for_five_seconds_at_most() -> None:
    keys, now = FakeKeys(), [0.0]
    auth = Auth(keys, Threads(1), Metrics(), lambda: now[0])
    for _ in range(3):
        assert await auth.key(f"bearer {GOOD}", CRM) == keys.key
    assert keys.asked == 1
    with pytest.raises(Forbidden):
        await auth.key(f"Bearer {GOOD}", OPERATOR)
    keys.revoked = True
    assert await auth.key(f"Bearer {GOOD}", CRM) == keys.key
    now[0] = REMEMBERED_S
    with pytest.raises(Unauthenticated):
        await auth.key(f"Bearer {GOOD}", CRM)


async def test_keys_are_made_shown_once_and_revoked(world: World) -> None:
    admin = world.headers("admin")
    body = {"role": "crm", "tenant": "acme", "name": "CRM"}
    made = await world.client.post("/v1/keys", headers=admin, json=body)
    assert made.status_code == 201
    clear = made.json()["key"]
    own = {"authorization": f"Bearer {clear}"}
    assert (await world.client.get("/v1/messages", headers=own)).status_code == 200
    listed = await world.client.get("/v1/keys", headers=admin)
    assert clear not in listed.text
    assert hashlib.sha256(clear.encode()).hexdigest() not in listed.text
    path = f"/v1/keys/{made.json()['id']}"
    assert (await world.client.delete(path, headers=admin)).json()["revoked_at"]
    assert (await world.client.delete(path, headers=admin)).status_code == 200
    assert (await world.client.get("/v1/messages", headers=own)).status_code == 401
    assert (await world.client.delete("/v1/keys/key_x", headers=admin)).status_code == 404


async def test_a_tenants_admin_deals_with_its_own_keys(world: World) -> None:
    world.headers("crm", "acme")
    zeta = world.headers("admin", "zeta")
    mine = await world.client.post("/v1/keys", headers=zeta, json={"role": "admin"})
    assert mine.json()["tenant"] == "zeta"
    other = {"role": "crm", "tenant": "acme"}
    assert (await world.client.post("/v1/keys", headers=zeta, json=other)).status_code == 403
    listed = (await world.client.get("/v1/keys", headers=zeta)).json()["keys"]
    assert {key["tenant"] for key in listed} == {"zeta"}
    every = (await world.get("/v1/keys", "admin")).json()["keys"]
    theirs = next(key["id"] for key in every if key["tenant"] == "acme")
    assert (await world.client.delete(f"/v1/keys/{theirs}", headers=zeta)).status_code == 404


async def test_deliveries_wait_are_unrouted_and_are_replayed(world: World) -> None:
    await world.deliver(text("100", "7", "hello"))
    waiting = (await world.get("/v1/deliveries?status=waiting", "operator")).json()
    (waits,) = waiting["deliveries"]
    assert (waits["status"], waits["provider"], waiting["has_more"]) == (
        "waiting",
        "facebook",
        False,
    )
    world.rig.drain([lane_of("facebook", "100")])
    assert (await world.get("/v1/deliveries?status=waiting", "operator")).json()["deliveries"] == []
    (stray,) = (await world.get("/v1/deliveries?status=unrouted", "operator")).json()["deliveries"]
    assert stray["id"] == waits["id"]
    world.rig.connect("acme", "100")
    operator = world.headers("operator")
    path = f"/v1/deliveries/{stray['id']}"
    replaying = asyncio.create_task(world.client.post(f"{path}/replay", headers=operator))
    while not world.jobs.replays:  # noqa: ASYNC110 - the worker's part is played here
        await asyncio.sleep(0.01)
    await asyncio.to_thread(world.rig.parts.replayer.run, world.jobs.replays[0])
    answer = await replaying
    assert (answer.status_code, answer.json()["added"]) == (200, 1)
    assert (await world.get(path, "operator")).json()["status"] == "handled"
    assert world.rig.texts() == ["hello"]


async def test_a_replay_is_ordered_even_when_nobody_is_there_to_do_it(rig: Rig) -> None:
    jobs = FakeJobs()
    jobs.away = True
    async with running(rig, jobs) as world:
        operator = world.headers("operator")
        answer = await world.client.post("/v1/replays", headers=operator, json={})
        assert (answer.status_code, answer.json()["state"]) == (202, "queued")
        path = f"/v1/replays/{answer.json()['id']}"
        rig.parts.replayer.run_queued()
        assert (await world.client.get(path, headers=operator)).json()["state"] == "done"
        assert (await world.get("/v1/replays/rpl_x", "operator")).status_code == 404


async def test_a_tenants_operator_sees_what_is_parked_for_it_alone(world: World) -> None:
    for status, code in (("parked", 200), ("unrouted", 403), ("waiting", 403)):
        answer = await world.get(f"/v1/deliveries?status={status}", "operator", "acme")
        assert answer.status_code == code
    await world.deliver(text("100", "7", "hello"))
    (item,) = (await world.get("/v1/deliveries?status=waiting", "operator")).json()["deliveries"]
    assert (await world.get(f"/v1/deliveries/{item['id']}", "operator", "acme")).status_code == 404
    operator = world.headers("operator", "acme")
    assert (await world.client.post("/v1/replays", headers=operator, json={})).status_code == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/deliveries?status=handled", 400),
        ("/v1/deliveries?status=unrouted&after=x", 400),
        ("/v1/deliveries?after=prk_x", 200),
        ("/v1/deliveries/itm_99999999999999999999", 404),
        ("/v1/deliveries/itm_999", 404),
        ("/v1/deliveries/prk_x", 404),
        ("/v1/deliveries/%00", 400),
        ("/v1/deliveries/prk_%00", 400),
        ("/v1/deliveries/prk_%ff", 404),
        ("/v1/connections/%00", 400),
        ("/v1/connections/con_x", 404),
    ],
)
async def test_deliveries_that_are_not_there(world: World, path: str, status: int) -> None:
    assert (await world.get(path, "operator")).status_code == status


async def test_connections_come_in_pages(world: World) -> None:
    made = [world.rig.connect("acme", str(n)).id for n in range(5)]
    other = world.rig.connect("zeta", "9").id
    key, seen, after, more = world.headers("crm", "acme"), [], "", True
    while more:
        path = f"/v1/connections?limit=2{after}"
        page = (await world.client.get(path, headers=key)).json()
        seen += [one["id"] for one in page["connections"]]
        after, more = f"&after={page['connections'][-1]['id']}", page["has_more"]
    assert seen == made
    for wrong in (other, "con_x"):
        answer = await world.client.get(f"/v1/connections?after={wrong}", headers=key)
        assert answer.status_code == 400


async def test_a_connection_tells_what_its_grant_is_enough_for(world: World) -> None:
    connections = Connections(world.rig.database)
    connecting = Connecting(connections, world.rig.vault, ("facebook",))
    one = connecting.add(ManualAccount("acme", "facebook", "1"), Secret("t")).connection
    path = f"/v1/connections/{one.id}"
    told = (await world.get(path)).json()
    assert (told["calls_out"], told["scopes"], told["features"]) == (True, [], [])
    providers = (await world.get("/v1/providers")).json()["providers"]
    feature = next(p for p in providers if p["name"] == "facebook")["features"][0]
    with world.rig.database.write() as connection:
        connection.execute(sa.update(grants).values(scopes=feature["scopes"]))
    told = (await world.get(path)).json()
    assert told["scopes"] == sorted(feature["scopes"])
    assert feature["name"] in told["features"]


async def test_connections_show_their_account_to_their_tenant(world: World) -> None:
    one = world.rig.connect("acme", "100")
    world.rig.connect("zeta", "200")
    listed = (await world.get("/v1/connections", "crm", "acme")).json()["connections"]
    assert [(c["account"], c["status"], c["calls_out"]) for c in listed] == [
        ("100", "active", False)
    ]
    alone = (await world.get(f"/v1/connections/{one.id}", "operator")).json()
    assert alone["health"][0]["says"] == "It works."
    assert alone == listed[0] | {"health": alone["health"], "subscriptions": []}
    assert (await world.get(f"/v1/connections/{one.id}", "crm", "zeta")).status_code == 404
    assert len((await world.get("/v1/connections?provider=facebook")).json()["connections"]) == 2
    assert (await world.get("/v1/connections?status=revoked")).json()["connections"] == []
    facebook, *_ = (await world.get("/v1/providers")).json()["providers"]
    assert (facebook["name"], facebook["on"], facebook["missing"]) == ("facebook", True, None)


async def test_health_says_what_is_there(world: World) -> None:
    assert (await world.client.get("/healthz")).json() == {"status": "ok"}
    ready = await world.client.get("/readyz")
    names = ("database", "key_store", "run_key", "key_encryption_key")
    parts = dict.fromkeys(names, "ok")
    assert ready.json() == {"ready": True, "parts": parts}
    await world.deliver(text("100", "7", "hello"))
    metrics = (await world.client.get("/metrics")).text
    assert 'gateway_ingest_deliveries_total{endpoint="meta",result="stored"} 1.0' in metrics
    assert "gateway_pull_waiters 0.0" in metrics


async def test_unknown_paths_and_methods_are_problems(world: World) -> None:
    for path in ("/", "/v1", "/v1/messages/", "/v1/sends", "/docs/", "/%ff", "/webhooks"):
        answer = await world.client.get(path)
        assert answer.status_code == 404, path
        assert answer.json()["type"] == "urn:cleverbox:problem:not-found"
    wrong = await world.client.patch("/v1/keys")
    assert wrong.status_code == 405
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert (await world.client.head("/healthz")).status_code == 200


async def test_a_fault_is_a_problem_without_its_text(world: World) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("what a contact wrote")

    world.edge.parts.log.read = broken  # type: ignore[method-assign,assignment]
    answer = await world.get("/v1/messages")
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:cleverbox:problem:fault"
    assert "contact" not in answer.text


async def test_the_documentation_needs_nothing_from_elsewhere(world: World) -> None:
    page = await world.client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    outside = re.findall(r'(?:src|href)="(?!/|#|http://localhost)[^"]*"', page.text)
    assert outside == []
    assert "<script" not in page.text
    for operation in (await world.client.get("/openapi.json")).json()["paths"]:
        assert operation in page.text
    for name in TYPES:
        assert f"/schemas/{name}.json" in page.text
        schema = await world.client.get(f"/schemas/{name}.json")
        assert schema.json()["$id"] == f"http://localhost:8080/schemas/{name}.json"
    assert (await world.client.get("/schemas/nothing.json")).status_code == 404


async def test_robots_may_come_as_providers_obey(world: World) -> None:
    robots = (await world.client.get("/robots.txt")).text
    assert "Allow: /" in robots
    assert "Disallow" not in robots


def test_problem_documents_leave_out_what_is_empty() -> None:
    from gateway.problems import problem

    assert msgspec.json.decode(problem(404, "not-found", "There is no such thing")) == {
        "type": "urn:cleverbox:problem:not-found",
        "title": "There is no such thing",
        "status": 404,
    }
