"""Runs the edge in this process until it is told to stop."""

import gc
import resource
import socket
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from contracts.errors import Misconfigured
from contracts.logs import configure
from contracts.settings import Settings
from gateway.app import Edge, create_app
from gateway.limits import CONNECTIONS, Limits
from gateway.protocol import EdgeProtocol

GRACE_S: Final = 10
"""How long requests may take to end after SIGTERM."""
SPARE_FILES: Final = 64
"""Files that the process needs beside its connections."""
KEEP_ALIVE_S: Final = 75
"""Longer than a load balancer's usual 60 s, so that it never meets a connection just closed."""

COLLECT: Final = (10_000, 20, 50)
"""Thresholds of the garbage collector. The default looks after 700 allocations, which is every few
deliveries, and took a tenth of the time."""


class Server(uvicorn.Server):
    """Lets waiting readers go before it waits for requests to end."""

    def __init__(self, config: uvicorn.Config, edge: Edge) -> None:
        super().__init__(config)
        self._edge = edge

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. What is there by now stays: the garbage collector need not look at it again."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Graceful: answer what came in, accept nothing new."""
        self._edge.let_go()
        await super().shutdown(sockets)


def serve(settings: Settings, environ: Mapping[str, str], host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; returns when everything accepted is stored and answered.

    Raises `Misconfigured`, also when the address is taken.
    """
    configure(settings.log_format, settings.log_level)
    edge = create_app(settings, environ)
    try:
        Server(server_config(edge, host, port), edge).run()
    except SystemExit:  # uvicorn has logged why, and its exit code is its own
        raise Misconfigured(f"cannot listen on {host}:{port}") from None


def server_config(app: ASGIApp, host: str, port: int) -> uvicorn.Config:
    """How the edge is served; the benchmarks serve their yardstick the same way."""
    http: Any = "httptools"
    if isinstance(app, Edge):
        limits = Limits(app.parts.metrics, connections=_most_connections())
        http = partial(EdgeProtocol, webhooks=app.parts.webhooks, limits=limits)
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=http,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )


def _most_connections() -> int:
    """As many as there are files for: who cannot be accepted cannot be refused either."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if files < 0 else max(1, min(CONNECTIONS, files - SPARE_FILES))
