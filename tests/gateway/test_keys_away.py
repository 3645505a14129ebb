"""The edge with a key-encryption key that is away, or another's: it accepts, and says what is."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tests.gateway.edges import FakeJobs, World, running
from tests.processes import free_port
from tests.rig import Rig, text

pytestmark = pytest.mark.anyio

PROBLEM = "urn:cleverbox:problem:"


@pytest.fixture
def logged(rig: Rig) -> Rig:
    """A log with one message."""
    rig.connect("acme", "100")
    rig.drain(rig.put(text("100", "7", "hello")))
    return rig


@pytest.fixture(params=["away", "another", "nobody"])
async def shut(
    request: pytest.FixtureRequest, logged: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[World, str]]:
    """An edge over that log; and the reason for which it cannot open it."""
    monkeypatch.setenv("VAULT_TOKEN", "" if request.param == "nobody" else "hvs.made-up")
    away = f"hcvault://127.0.0.1:{free_port()}/transit/keys/kek"
    uri, reason = {
        "away": (away, "key-unavailable"),
        "another": (f"local:{tmp_path / 'another.json'}", "unknown-key"),
        "nobody": (away, "misconfigured"),
    }[request.param]
    logged.settings = msgspec.structs.replace(logged.settings, kek_uri=uri)
    async with running(logged, FakeJobs()) as world:
        yield world, reason


async def test_it_starts_and_accepts_and_pulls_say_why(shut: tuple[World, str]) -> None:
    world, reason = shut
    for number in range(3):
        assert (await world.deliver(text("100", "7", f"{number}"))).status_code == 200
    for path in ("/v1/messages", "/v1/messages?wait=5"):
        answer = await world.get(path)
        assert (answer.status_code, answer.json()["type"]) == (503, PROBLEM + reason)
        assert answer.headers["retry-after"] == "1"
        assert "detail" not in answer.json()


async def test_it_is_ready_and_tells(shut: tuple[World, str]) -> None:
    world, reason = shut
    answer = await world.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["ready"] is True
    assert answer.json()["parts"]["key_encryption_key"] == reason
