"""Google's security events: verified with its keys, durable before 202, and once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette

from connectors.kit.google.security_events import SecurityEvents
from contracts.errors import GatewayError
from gateway import problems
from gateway.metrics import Metrics
from gateway.signals.google import PATH, GoogleEvents, GoogleKeys
from gateway.signals.telling import Telling
from storage.connecting_schema import signals
from storage.signals import Signals
from tests.gateway.edges import FakeJobs
from tests.gateway.signals.telling import CLIENT, Google, event
from tests.rig import Rig
from tests.workers.stage import count

pytestmark = pytest.mark.anyio


@pytest.fixture
def google() -> Google:
    return Google()


@asynccontextmanager
async def listening(rig: Rig, google: Google) -> AsyncIterator[httpx.AsyncClient]:
    """The receiver over a real store, with this Google."""
    metrics = Metrics()
    telling = Telling(Signals(rig.database), rig.vault, FakeJobs(), metrics)
    events = GoogleEvents(SecurityEvents([CLIENT]), GoogleKeys(google.client), telling, metrics)
    app = Starlette(
        routes=events.routes(), exception_handlers={GatewayError: problems.of_gateway_error}
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client
    events.close()


async def test_an_event_is_taken_once(rig: Rig, google: Google) -> None:
    told = event()
    async with listening(rig, google) as client:
        answers = [(await client.post(PATH, content=told)).status_code for _ in range(2)]
    assert answers == [202, 202]
    assert count(rig.database, signals) == 1


async def test_what_is_not_googles_for_us_is_400(rig: Rig, google: Google) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    refused = [
        event(key=stranger),
        event(kid="invented"),
        event(iss="https://accounts.google.com"),
        event(aud="another's"),
        event(iat=1),
        b"no token",
        b"",
        b"x" * (65 << 10),
    ]
    async with listening(rig, google) as client:
        answers = [(await client.post(PATH, content=one)).status_code for one in refused]
    assert answers == [400] * len(refused)
    assert count(rig.database, signals) == 0


async def test_without_googles_keys_it_is_to_come_again(rig: Rig, google: Google) -> None:
    google.away = True
    async with listening(rig, google) as client:
        answer = await client.post(PATH, content=event())
    assert answer.status_code == 503
    assert count(rig.database, signals) == 0
