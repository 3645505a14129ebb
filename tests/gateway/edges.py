"""An edge in this process, over a real database and vault; a rig plays the workers' part."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
from starlette.types import Message, Scope

from connectors.registry import Registry, build
from contracts.errors import Unavailable
from gateway.app import Edge
from gateway.parts import Parts
from storage.api_keys import ApiKeys
from tests import rig
from token_vault import open_vault


class FakeJobs:
    """Remembers what was asked; with `away` set it refuses, as when the broker is down."""

    def __init__(self) -> None:
        self.away = False
        self.nudged: list[list[int]] = []
        self.replays: list[str] = []
        self.dues = 0

    def nudge(self, lanes: Sequence[int]) -> None:
        self._ask()
        self.nudged.append(list(lanes))

    def replay(self, replay: str) -> None:
        self._ask()
        self.replays.append(replay)

    def due(self) -> None:
        self._ask()
        self.dues += 1

    def _ask(self) -> None:
        if self.away:
            raise Unavailable("broker: away")


class World:
    """A running edge, its client, and the rig that drains what it stores."""

    def __init__(
        self, world: rig.Rig, edge: Edge, client: httpx.AsyncClient, jobs: FakeJobs
    ) -> None:
        self.rig, self.edge, self.client, self.jobs = world, edge, client, jobs

    def headers(self, role: str = "crm", tenant: str | None = None) -> dict[str, str]:
        """The headers of a new key."""
        _, clear = ApiKeys(self.rig.database).create(role, tenant, "test")
        return {"authorization": f"Bearer {clear}"}

    async def get(self, path: str, role: str = "crm", tenant: str | None = None) -> httpx.Response:
        """GET with a new key."""
        return await self.client.get(path, headers=self.headers(role, tenant))

    async def deliver(self, body: bytes, path: str = "meta") -> httpx.Response:
        """A signed delivery."""
        headers = dict(rig.signed(body).headers)
        return await self.client.post(f"/webhooks/{path}", content=body, headers=headers)

    def counted(self, name: str, **labels: str) -> float:
        """The value of a metric, 0 when it was never counted."""
        return self.edge.parts.metrics.registry.get_sample_value(f"gateway_{name}", labels) or 0.0


@contextlib.asynccontextmanager
async def running(
    world: rig.Rig, jobs: FakeJobs, registry: Registry | None = None
) -> AsyncIterator[World]:
    """An edge over the rig's stores, started and stopped."""
    built = registry or build(rig.ENVIRON)
    parts = Parts(world.settings, built, open_vault(world.settings), jobs)
    edge = Edge(parts)
    transport = httpx.ASGITransport(edge, raise_app_exceptions=False)
    async with (
        edge.router.lifespan_context(edge),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
    ):
        yield World(world, edge, client, jobs)


async def exchange(edge: Edge, scope: Scope, incoming: Sequence[Message]) -> list[Message]:
    """One request spoken in ASGI itself: what the edge sent back."""
    received = iter(incoming)
    sent: list[Message] = []

    async def receive() -> Message:
        return next(received)

    async def send(message: Message) -> None:
        sent.append(message)

    await edge(scope, receive, send)
    return sent


def post(path: str, headers: dict[str, str]) -> dict[str, Any]:
    """The scope of a POST."""
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": raw,
    }
