"""The OpenAPI document against the edge: what it says holds, and no tenant sees another's."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
import schemathesis
import sqlalchemy as sa
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from connectors.registry import build
from contracts.connector import Item
from contracts.content import Attachment
from gateway.app import Edge
from gateway.parts import Parts
from storage.api_keys import ApiKeys
from storage.connecting_schema import connect_sessions, revocations
from storage.cursors import BEGINNING
from storage.drain import DrainStore
from storage.media import MediaRows
from storage.media_schema import media
from storage.message_id import pack
from storage.replays import Replays
from storage.schema import api_keys, connections, consumers, parked, replays
from storage.sending_schema import sends
from storage.turns import NewMedia, Park, Turn
from tests import services
from tests.gateway.edges import FakeJobs, World
from tests.gateway.test_messages import Log
from tests.rig import ENVIRON, Rig
from token_vault import MediaDetails, Purpose, open_vault, seal_media


class DoneAtOnce(FakeJobs):
    """A worker that is never busy."""

    def __init__(self, rig: Rig) -> None:
        super().__init__()
        self._rig = rig

    def replay(self, replay: str) -> None:
        self._rig.parts.replayer.run(replay)


class Served(NamedTuple):
    """An edge behind a real HTTP server."""

    url: str
    key: str
    document: dict[str, Any]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("served")
    with contextlib.ExitStack() as stack:
        url = f"sqlite:///{folder / 'gateway.db'}"
        if request.param == "postgresql":
            services.require("postgres")
            url = stack.enter_context(services.fresh_database())
        rig = Rig(url, folder / "var")
        stack.callback(rig.close)
        Log(rig).add("acme", "a", "b")
        park(rig, "acme", rig.connect("acme", "9").id)
        edge = Edge(Parts(rig.settings, build(ENVIRON), open_vault(rig.settings), DoneAtOnce(rig)))
        address = stack.enter_context(listening(edge))
        _, key = ApiKeys(rig.database).create("admin", None, "walk")
        document = httpx.get(f"{address}/openapi.json").json()
        yield Served(address, key, document)


@contextlib.contextmanager
def listening(edge: Edge) -> Iterator[str]:
    port = services.free_port()
    config = uvicorn.Config(edge, port=port, log_config=None, access_log=False, http="httptools")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        services.eventually(lambda: server.started)
        yield f"http://127.0.0.1:{port}"
    finally:
        edge.let_go()
        server.should_exit = True
        thread.join(20)


def attached(rig: Rig, tenant: str) -> str:
    """An attachment of a tenant that waits to be fetched; its id."""
    keys = rig.vault.tenant(tenant)
    attachment = Attachment(id=f"att_{tenant}", kind="image")
    sealed = seal_media(keys, "med_1", MediaDetails(attachment=attachment))
    new = NewMedia("med_1", attachment.id, tenant, sealed)
    MediaRows(rig.database).begin_upload(new, "med_1_1", 1 << 50)
    return attachment.id


def park(rig: Rig, tenant: str, connection: str) -> str:
    """A parked delivery of a tenant; its id."""
    name = f"prk_{connection}"
    plain = msgspec.msgpack.encode(Item("facebook", "9", b"{}"))
    sealed = rig.vault.tenant(tenant).seal(Purpose.PARKED, name.encode(), plain)
    row = Park(name, 1, connection, tenant, "facebook", "malformed", f"{tenant} detail", 1, sealed)
    DrainStore(rig.database).write(Turn(parks=[row]))
    return name


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_document_is_kept(served: Served, mode: GenerationMode, subtests: Any) -> None:
    schema = schemathesis.openapi.from_dict(served.document)
    headers = {"Authorization": f"Bearer {served.key}"}
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        takes = operation.path_parameters, operation.query, operation.body
        if mode is GenerationMode.NEGATIVE and not any(map(len, takes)):
            continue  # there is nothing to get wrong
        with subtests.test(operation.label):
            walk(operation, mode, served.url, headers)


# Cursors and ids are opaque: a schema cannot say which of them will be accepted. And what the walk
# means to be invalid may be valid again once it is written as a query (a number, an empty list).
EXCLUDED = [positive_data_acceptance, negative_data_rejection]


def walk(operation: Any, mode: GenerationMode, url: str, headers: dict[str, str]) -> None:
    @settings(
        max_examples=15,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        wait = case.query.get("wait") if case.query else None
        if isinstance(wait, int | float) and 0.02 < wait <= 30:  # valid, and stays so
            case.query["wait"] = 0.02
        case.call_and_validate(base_url=url, headers=headers, excluded_checks=EXCLUDED)

    check()


class Walk:
    """What a tenant's keys may try on another tenant's things."""

    def __init__(self, world: World) -> None:
        self._world = world
        log = Log(world.rig)
        log.add("acme", "acme-words")
        connection = log.connections["acme"]
        parked_id = park(world.rig, "acme", connection)
        key, _ = ApiKeys(world.rig.database).create("crm", "acme", "acme-key")
        message = world.edge.parts.log.read(BEGINNING, 1).rows[0]
        self.parts = {
            "/v1/messages/{id}": pack(message.day, message.hash),
            "/v1/consumers/{name}": "reader",
            "/v1/consumers/{name}/messages": "reader",
            "/v1/consumers/{name}/commit": "reader",
            "/v1/attachments/{id}": attached(world.rig, "acme"),
            "/v1/connections/{id}": connection,
            "/v1/connections/{id}/resync": connection,
            "/v1/connections/{id}/revocation": connection,
            "/v1/connections/{id}/revoke": connection,
            "/v1/connections/{id}/pause": connection,
            "/v1/connections/{id}/resume": connection,
            "/v1/deliveries/{id}": parked_id,
            "/v1/deliveries/{id}/replay": parked_id,
            "/v1/replays/{id}": Replays(world.rig.database).order(delivery=parked_id).id,
            "/v1/keys/{id}": key.id,
            "/v1/sends/{id}": send_of(world, connection),
        }
        BODIES["sendMessage"] = [
            b'{"connection":"%b","to":{"contact":"7"},"text":"a"}' % connection.encode()
        ]

    def state(self) -> list[Any]:
        """All that belongs to the other tenant, or to none."""
        tables = (
            api_keys,
            connect_sessions,
            connections,
            consumers,
            media,
            parked,
            replays,
            revocations,
        )
        with self._world.rig.database.read() as connection:
            rows = [
                row for table in (*tables, sends) for row in connection.execute(sa.select(table))
            ]
        return sorted((row for row in rows if "zeta" not in row), key=repr)

    def calls(self, document: dict[str, Any]) -> Iterator[tuple[str, str, str, bytes]]:
        """Operation, method, address and body: plain, and asking for the other tenant."""
        for path, methods in document["paths"].items():
            part = self.parts[path] if "{" in path else ""
            address = path.replace("{id}", part).replace("{name}", part)
            for method, operation in methods.items():
                bodies = [b""]
                if "requestBody" in operation:
                    bodies = [b"{}", *BODIES[operation["operationId"]]]
                queries = [""]
                if any(p["name"] == "tenant" for p in operation["parameters"]):
                    queries.append("?tenant=acme")
                for query in queries:
                    for body in bodies:
                        yield operation["operationId"], method.upper(), address + query, body


def send_of(world: World, connection: str) -> str:
    """A send of a connection; its id."""
    values: dict[str, Any] = dict.fromkeys(("key", "request", "sealed"), b"")
    values |= {"id": "snd_1", "tenant": "acme", "connection": connection, "line": "cnv_1"}
    values |= dict.fromkeys(("number", "until_ms", "created_at_ms", "changed_at_ms"), 1)
    with world.rig.database.write() as transaction:
        transaction.execute(sa.insert(sends).values(values | {"scope": "acme", "state": "sent"}))
    return "snd_1"


BODIES: dict[str, list[bytes]] = {
    "createAttachment": [b"words"],
    "putConsumer": [b'{"tenant":"acme"}'],
    "commitConsumer": [b'{"cursor":"","rewind":true}'],
    "replayDeliveries": [b'{"status":"parked"}', b'{"status":"unrouted"}'],
    "pauseConnection": [b'{"reason":"acme asked"}'],
    "revokeConnection": [b'{"reason":"acme asked"}'],
    "createConnectSession": [
        b'{"tenant":"acme","provider":"facebook","return_url":"http://localhost:3000/x"}',
    ],
    "createKey": [b'{"role":"admin","tenant":"acme"}', b'{"role":"admin"}'],
}
"""Bodies that a call needs; a new one with a body has to be given some here."""


@pytest.mark.anyio
async def test_no_tenant_gets_at_anothers_things(world: World) -> None:
    walk = Walk(world)
    document = (await world.client.get("/openapi.json")).json()
    keys = {role: world.headers(role, "zeta") for role in ("crm", "operator", "admin")}
    keys = {role: key | {"idempotency-key": "1"} for role, key in keys.items()}
    acme = {"tenant": None, "start": "now"}
    reader = world.headers("crm", "acme")
    await world.client.put("/v1/consumers/reader", headers=reader, json=acme)
    before = walk.state()
    reached: set[str] = set()
    for name, method, address, body in walk.calls(document):
        for headers in keys.values():
            answer = await world.client.request(method, address, headers=headers, content=body)
            assert answer.status_code < 500, (name, answer.text)
            assert "acme" not in answer.text, (name, answer.text)
            if answer.status_code != 403 or "tenant" in answer.text:
                reached.add(name)
    assert reached == {
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    }
    assert walk.state() == before
    assert world.jobs.replays == []


@pytest.mark.anyio
async def test_every_call_that_is_not_public_asks_for_a_key(world: World) -> None:
    walk = Walk(world)
    document = (await world.client.get("/openapi.json")).json()
    public = set()
    for name, method, address, body in walk.calls(document):
        answer = await world.client.request(method, address, content=body)
        if answer.status_code != HTTPStatus.UNAUTHORIZED:
            public.add(name)
    assert public == {"live", "ready", "metrics"}


@pytest.mark.anyio
async def test_the_document_is_of_openapi_3_1(world: World) -> None:
    document = (await world.client.get("/openapi.json")).json()
    schemathesis.openapi.from_dict(document).validate()
    assert document["openapi"] == "3.1.0"
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])
    assert json.dumps(document).count("operationId") == len(
        {o["operationId"] for methods in document["paths"].values() for o in methods.values()}
    )
