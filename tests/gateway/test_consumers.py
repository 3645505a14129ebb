"""Consumers: positions move forward, never back by accident, and belong to their key's scope."""

import httpx
import pytest

from storage.cursors import Cursor
from tests.gateway.edges import World
from tests.gateway.test_messages import Log, words
from tests.rig import Rig

pytestmark = pytest.mark.anyio


@pytest.fixture
def log(rig: Rig) -> Log:
    made = Log(rig)
    made.add("acme", "a", "b", "c")
    return made


class Caller:
    """Calls about consumers with one key."""

    def __init__(self, world: World, tenant: str | None = None) -> None:
        self._client, self._key = world.client, world.headers("crm", tenant)

    async def __call__(self, method: str, path: str, **body: object) -> httpx.Response:
        content = body if method in ("PUT", "POST") else None
        url = f"/v1/consumers/{path}"
        return await self._client.request(method, url, headers=self._key, json=content)


async def test_a_consumer_reads_commits_and_goes_on(world: World, log: Log) -> None:
    call = Caller(world)
    made = await call("PUT", "crm")
    assert made.status_code == 201
    assert (made.json()["lag"], made.json()["tenant"], made.json()["types"]) == (3, None, [])
    assert (await call("PUT", "crm")).status_code == 200
    page = (await call("GET", "crm/messages?limit=2")).json()
    assert words(page["messages"]) == ["a", "b"]
    assert words((await call("GET", "crm/messages?limit=2")).json()["messages"]) == ["a", "b"]
    committed = await call("POST", "crm/commit", cursor=page["next"])
    assert (committed.status_code, committed.json()["lag"]) == (200, 1)
    assert words((await call("GET", "crm/messages")).json()["messages"]) == ["c"]
    assert (await call("GET", "crm")).json()["cursor"] == page["next"]


async def test_a_commit_backwards_must_say_so(world: World, log: Log) -> None:
    call = Caller(world)
    await call("PUT", "crm", start="now")
    first = (await call("GET", "crm")).json()["cursor"]
    assert words((await call("GET", "crm/messages")).json()["messages"]) == []
    back = (await world.get("/v1/messages?limit=1")).json()["next"]
    refused = await call("POST", "crm/commit", cursor=back)
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:cleverbox:problem:conflict"
    assert (await call("GET", "crm")).json()["cursor"] == first
    assert (await call("POST", "crm/commit", cursor=back, rewind=True)).status_code == 200
    assert words((await call("GET", "crm/messages")).json()["messages"]) == ["b", "c"]


async def test_a_consumer_starts_where_it_is_told(world: World, log: Log) -> None:
    call = Caller(world)
    cursor = (await world.get("/v1/messages?limit=2")).json()["next"]
    assert (await call("PUT", "one", start=cursor)).json()["lag"] == 1
    assert (await call("PUT", "two", start="now")).json()["lag"] == 0
    assert (await call("PUT", "three", start="nonsense")).status_code == 400
    assert (await call("PUT", "four", start=str(Cursor(2, 7)))).status_code == 409


async def test_a_cursor_that_never_was_is_not_committed(world: World, log: Log) -> None:
    call = Caller(world)
    await call("PUT", "crm")
    ahead = await call("POST", "crm/commit", cursor=str(Cursor(99, 1)))
    assert ahead.status_code == 409
    assert ahead.json()["type"] == "urn:cleverbox:problem:log-restored"
    assert (await call("POST", "crm/commit", cursor="x")).status_code == 400
    assert (await call("POST", "crm/commit")).status_code == 400


async def test_types_and_tenant_stay_with_the_consumer(world: World, log: Log) -> None:
    log.add("zeta", "z")
    call = Caller(world)
    await call("PUT", "crm", tenant="zeta", types=["cleverbox.message.received"])
    assert words((await call("GET", "crm/messages")).json()["messages"]) == ["z"]
    other = await call("PUT", "crm", tenant="acme", types=["message.received"])
    assert other.status_code == 409
    assert (await call("PUT", "crm2", types=["message.recieved"])).status_code == 400


async def test_a_tenants_consumers_are_its_own(world: World, log: Log) -> None:
    log.add("zeta", "z")
    every, zeta, acme = Caller(world), Caller(world, "zeta"), Caller(world, "acme")
    await every("PUT", "crm")
    assert (await zeta("GET", "crm")).status_code == 404
    assert (await zeta("PUT", "crm")).status_code == 201
    assert words((await zeta("GET", "crm/messages")).json()["messages"]) == ["z"]
    assert (await acme("GET", "crm/messages")).status_code == 404
    assert (await acme("POST", "crm/commit", cursor="x")).status_code == 400
    assert (await zeta("PUT", "mine", tenant="acme")).status_code == 403


@pytest.mark.parametrize("name", ["%00", "a b", "ü", "-a", "a" * 101, "a%0A", "%2e%2e%2f"])
async def test_names_are_plain(world: World, log: Log, name: str) -> None:
    assert (await Caller(world)("PUT", name)).status_code in (400, 404)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"start":7}', b'{"strat":"now"}', b'{"start":"\\u0000"}', b"\xff"]
)
async def test_bodies_that_make_no_sense_are_problems(world: World, body: bytes) -> None:
    headers = world.headers()
    answer = await world.client.put("/v1/consumers/crm", headers=headers, content=body)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:cleverbox:problem:invalid"
    deep = await world.client.put("/v1/consumers/crm", headers=headers, content=b"[" * 100_000)
    assert deep.status_code == 400
    large = await world.client.put("/v1/consumers/crm", headers=headers, content=bytes(2 << 20))
    assert large.status_code == 413
