"""Puts the parts of connecting together, for one edge."""

from typing import TYPE_CHECKING, Final

import structlog
from starlette.routing import Route

from contracts.errors import Unavailable
from contracts.settings import is_loopback
from gateway.connect.browsers import Cookies
from gateway.connect.journey import Journey
from gateway.connect.opening import Opening
from gateway.connect.pages import ConnectPages
from gateway.connect.picking import Picking
from gateway.connect.rendering import Renderer
from gateway.connect.views import Views
from gateway.connect_sessions import ConnectSessionCalls
from gateway.connecting import Connecting
from gateway.jobs import Jobs
from gateway.operations import Operation
from gateway.outward import Outward
from gateway.parts import Parts
from gateway.threads import Threads
from storage.activity import ActivityStore
from storage.connect_sessions import ConnectSessions
from storage.connections import Connections
from storage.consenting import Consenting
from storage.gates import GateStore, SharedGates
from storage.grants import Grants
from storage.openings import TokenOpenings
from token_vault import GrantTokens, Openings, gate_names

if TYPE_CHECKING:
    import httpx

log = structlog.get_logger()

_AT_PROVIDERS: Final = 4
"""People whose provider is being asked at once; the others wait, and nobody else does."""
_MOST_WAITING: Final = 100


class Connect:
    """Pages and calls of connecting over an edge's parts; holds nothing until it is used."""

    def __init__(self, parts: Parts) -> None:
        settings, database, vault = parts.settings, parts.database, parts.vault
        sessions, connections = ConnectSessions(database), Connections(database)
        connecting = Connecting(connections, vault, set(parts.registry.connectors))
        opening = Opening(parts.registry, connections, connecting, vault)
        openings = Openings(TokenOpenings(database).put)
        picking = Picking(
            Consenting(database),
            Grants(database),
            vault,
            GrantTokens(vault, openings),
            lambda: _committed(openings, parts.jobs),
        )
        gates = SharedGates(GateStore(database), gate_names(vault), parts.metrics.gate_closed)
        self._outward = Outward(settings, gates)
        self._at_providers = Threads(_AT_PROVIDERS, _MOST_WAITING)
        journey = Journey(
            settings,
            parts.registry,
            vault,
            sessions,
            connections,
            picking,
            self._outward.client,
        )
        secure = not (settings.public_url.startswith("http:") and is_loopback(settings.public_url))
        self._pages = ConnectPages(
            journey,
            opening,
            Views(settings, journey, connections, connecting, ActivityStore(database), Renderer()),
            Cookies(secure=secure),
            parts.threads,
            self._at_providers,
            parts.metrics,
        )
        self._calls = ConnectSessionCalls(
            settings, opening, sessions, connections, vault, parts.threads
        )

    def routes(self) -> list[Route]:
        """The pages."""
        return self._pages.routes()

    def operations(self) -> tuple[Operation, ...]:
        """The call that makes links to them."""
        return self._calls.operations()

    def client(self) -> "httpx.Client":
        """A client for calls without a token."""
        return self._outward.client(None)

    def close(self) -> None:
        """Let people's steps under way end, then let go of connections."""
        self._at_providers.close()
        self._outward.close()


def _committed(openings: Openings, jobs: Jobs) -> None:
    """Workers look at once; with the broker or the store away they find it a little later."""
    try:
        jobs.due()
        openings.flush()
    except Unavailable as error:
        log.warning("connect.nudge_failed", detail=str(error))
