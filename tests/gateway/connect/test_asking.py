"""`POST /v1/connect-sessions`: what the CRM may ask for."""

from typing import Any

import pytest
import sqlalchemy as sa

from contracts.settings import Settings
from storage.connecting_schema import consents
from tests.gateway.connect.conftest import Stage
from tests.gateway.connect.provider import Provider, registry
from tests.gateway.edges import FakeJobs, running
from tests.rig import Rig

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"provider": "myspace"}, "provider: one of those"),
        ({"provider": "google_calendar"}, "provider: one of those"),
        ({"features": ["calls"]}, "features: some of messages, comments"),
        ({"features": []}, "features"),
        ({"tenant": "Acme Ltd"}, "tenant: 1 to 64"),
        ({"business": "a\u202eb"}, "business: printable"),
        ({"language": "de"}, "language"),
        ({"return_url": "https://evil.example/"}, "return_url: not among"),
        ({"return_url": "http://localhost:3000/#x"}, "return_url: not among"),
        ({"return_url": ""}, "return_url"),
    ],
)
async def test_what_the_crm_may_ask_for(stage: Stage, asked: dict[str, object], said: str) -> None:
    answer = await stage.ask(**asked)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["detail"]


async def test_a_connection_of_ones_own_alone(stage: Stage) -> None:
    (id_,) = await stage.connected(stage.person())
    assert (await stage.ask(connection="con_none")).status_code == 404
    assert (await stage.ask(connection=id_, tenant="zeta")).status_code == 404
    person = stage.person()
    await person.open(await stage.link(connection=id_, business="Bakery"))
    assert person.heading == "Reconnect Bakery"
    await person.press("/ask")
    await person.open(stage.provider.consent(person.dialog))
    assert person.heading == "Connected"
    assert f"connection={id_}" in person.page.text


async def test_a_key_of_one_tenant_asks_for_it_alone(stage: Stage) -> None:
    body = {"tenant": "acme", "provider": "facebook", "return_url": "http://localhost/x"}
    client = stage.world.client
    for role, tenant, status in (("crm", "zeta", 403), ("operator", None, 403), ("crm", None, 201)):
        headers = stage.world.headers(role, tenant)
        answer = await client.post("/v1/connect-sessions", json=body, headers=headers)
        assert answer.status_code == status, (role, tenant)


async def test_an_erased_tenant_gets_no_link(stage: Stage) -> None:
    await stage.link()
    stage.rig.vault.destroy_tenant("acme")
    assert (await stage.ask()).status_code == 410


async def test_the_policy_is_linked_and_its_version_recorded(rig: Rig) -> None:
    provider = Provider()
    built, login = registry(provider)
    told = {"policy_url": "https://crm.example/privacy?a=1&b=2", "policy_version": "2026-11"}
    rig.settings = Settings(**{**_plain(rig.settings), **told})
    async with running(rig, FakeJobs(), built) as world:
        stage = Stage(world, provider, login)
        person = stage.person()
        await person.open(await stage.link())
        assert 'href="https://crm.example/privacy?a=1&amp;b=2"' in person.page.text
        await person.press("/ask")
        await person.open(provider.consent(person.dialog))
        await person.press("/pick")
        with rig.database.read() as connection:
            assert connection.scalar(sa.select(consents.c.policy)) == "2026-11"
        await stage.close()


def _plain(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


async def test_plain_http_beyond_this_machine_is_refused(rig: Rig) -> None:
    built, _ = registry(Provider())
    told = {"public_url": "http://gateway.example", "return_urls": "https://crm.example"}
    rig.settings = Settings(**{**_plain(rig.settings), **told})
    async with running(rig, FakeJobs(), built) as world:
        body = {"tenant": "acme", "provider": "facebook", "return_url": "https://crm.example/"}
        headers = world.headers("crm")
        answer = await world.client.post("/v1/connect-sessions", json=body, headers=headers)
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:cleverbox:problem:misconfigured"


async def test_https_has_the_strictest_cookie(rig: Rig) -> None:
    provider = Provider()
    built, login = registry(provider)
    told = {"public_url": "https://gateway.example", "return_urls": "https://crm.example"}
    rig.settings = Settings(**{**_plain(rig.settings), **told})
    async with running(rig, FakeJobs(), built) as world:
        stage = Stage(world, provider, login)
        url = await stage.link(return_url="https://crm.example/")
        assert url.startswith("https://gateway.example/connect/")
        answer = await world.client.get(url.removeprefix("https://gateway.example"))
        (cookie,) = answer.headers.get_list("set-cookie")
        assert cookie.startswith("__Host-connect-")
        assert {"secure", "httponly", "path=/"} <= {
            part.strip().lower() for part in cookie.split(";")
        }
        await stage.close()
