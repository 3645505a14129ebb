"""The edge's composition root: builds the parts, routes to them, starts and stops them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from connectors.registry import build
from contracts.errors import GatewayError
from contracts.settings import Settings
from gateway import problems
from gateway.connect.composition import Connect
from gateway.connecting import Connecting
from gateway.connections import ConnectionCalls
from gateway.consumers import ConsumerCalls
from gateway.deliveries import DeliveryCalls
from gateway.drafting import Drafting
from gateway.enclosing import Enclosing
from gateway.facts import FactFinder
from gateway.forever import forever
from gateway.health import Health, Remembered
from gateway.keys import KeyCalls
from gateway.media.composition import Media
from gateway.messages import Messages
from gateway.operations import Operation, Table
from gateway.pages import Pages
from gateway.parts import Parts
from gateway.pausing import PauseCalls
from gateway.resyncing import ResyncCalls
from gateway.revoking import RevokeCalls
from gateway.sends import SendCalls
from gateway.signals.composition import Listening
from gateway.signals.google import PATH as EVENTS_PATH
from gateway.webhooks import PREFIX
from storage.activity import ActivityStore
from storage.connections import Connections
from storage.consumers import Consumers
from storage.deliveries import Deliveries
from storage.due import DueRows
from storage.media import MediaRows
from storage.migrate import is_ready
from storage.outbox import Outbox
from storage.pausing import Pauses
from storage.replays import Replays
from storage.revocations import Revocations
from token_vault import Vault, open_vault
from workers.queue import Queue

FIRST_KEY_S: Final = 0.5
"""How long the start waits for the first run key; without it the edge starts, and answers 503."""


KEK_LOOK_S: Final = 30.0
"""How long `/readyz` believes that the key-encryption key answers: a KMS counts its calls."""


def create_app(settings: Settings, environ: Mapping[str, str]) -> "Edge":
    """The edge for `settings`; providers take theirs from `environ`. Connects to nothing yet.

    Raises `Misconfigured`.
    """
    return Edge(Parts(settings, build(environ), open_vault(settings), Queue(settings.broker)))


class Edge(Starlette):
    """The application. Deliveries pass Starlette's routing and middleware by: they cost time and
    do nothing for them.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.connect = Connect(parts)
        self.listening = Listening(parts, self.connect.client)
        self.media = Media(parts)
        operations = [
            *_operations(parts),
            *self.media.calls.operations(),
            *self.connect.operations(),
        ]
        table = Table(operations, parts.auth, parts.metrics)
        pages = Pages(table.operations, parts.settings.public_url)
        super().__init__(
            routes=[
                *table.routes(),
                *pages.routes(),
                *self.connect.routes(),
                *self.listening.routes(),
                *self.media.calls.routes(),
            ],
            lifespan=_lifespan,
            exception_handlers={
                GatewayError: problems.of_gateway_error,
                HTTPException: problems.of_http_error,
                Exception: problems.of_fault,
            },
        )
        self.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path.startswith(PREFIX) and path != EVENTS_PATH:
            await self.parts.webhooks(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def let_go(self) -> None:
        """The server is about to stop: readers that wait are answered now."""
        self.parts.wake.close()


def _operations(parts: Parts) -> list[Operation]:
    log, threads, reader, database = parts.log, parts.threads, parts.reader, parts.database
    connections = Connections(database)
    connecting = Connecting(connections, parts.vault, set(parts.registry.connectors))
    outbox = Outbox(database)
    drafting = Drafting(
        outbox,
        connecting,
        parts.vault,
        parts.registry.connectors,
        Enclosing(MediaRows(database)),
    )
    facts = FactFinder(database, parts.vault, parts.settings, parts.registry.off)
    checks = {
        "database": lambda: is_ready(database) and is_ready(parts.direct),
        "key_store": lambda: _answers(parts.vault),
        "run_key": parts.run_keys.check,
    }
    told = {"key_encryption_key": Remembered(parts.vault.check, KEK_LOOK_S)}
    return [
        *Messages(reader, log, threads).operations(),
        *SendCalls(outbox, drafting, connections, parts.vault, parts.jobs, threads).operations(),
        *ConsumerCalls(Consumers(database), log, reader, threads).operations(),
        *ConnectionCalls(
            connections, ActivityStore(database), connecting, facts, parts.registry, threads
        ).operations(),
        *ResyncCalls(connections, DueRows(database), parts.jobs, threads).operations(),
        *PauseCalls(connections, Pauses(database), parts.jobs, threads).operations(),
        *RevokeCalls(connections, Revocations(database), parts.jobs, threads).operations(),
        *DeliveryCalls(Deliveries(database), Replays(database), parts.jobs, threads).operations(),
        *KeyCalls(parts.keys, parts.auth, threads).operations(),
        *Health(checks, told, threads, parts.metrics).operations(),
    ]


def _answers(vault: Vault) -> bool:
    """Whether the key store can be read; raises `KeyUnavailable` when it cannot."""
    vault.days()
    return True


@contextlib.asynccontextmanager
async def _lifespan(edge: Edge) -> AsyncIterator[None]:
    parts = edge.parts
    first_key = asyncio.create_task(parts.run_keys.renew())
    parts.inbox.start()
    parts.nudges.start()
    await asyncio.wait([first_key], timeout=FIRST_KEY_S)
    kept = [
        first_key,
        asyncio.create_task(forever("run_keys", parts.run_keys.look)),
        asyncio.create_task(forever("refused", parts.refused.look)),
        asyncio.create_task(forever("wake", parts.source.run)),
    ]
    try:
        yield
    finally:
        edge.let_go()
        await parts.inbox.stop()
        for task in kept:
            task.cancel()
        await asyncio.gather(*kept, return_exceptions=True)
        try:
            await parts.refused.flush(ended=True)
            await parts.refused.keep()
        finally:
            await asyncio.to_thread(parts.nudges.stop)
            await asyncio.to_thread(edge.listening.close)
            await asyncio.to_thread(edge.connect.close)
            await asyncio.to_thread(edge.media.close)
            await asyncio.to_thread(parts.close)
