"""Runs the edge in this process until it is told to stop."""

import socket
from collections.abc import Mapping
from typing import Final

import uvicorn

from contracts.logs import configure
from contracts.settings import Settings
from gateway.app import Edge, create_app

GRACE_S: Final = 10
"""How long requests may take to end after SIGTERM."""
KEEP_ALIVE_S: Final = 75
"""Longer than a load balancer's usual 60 s, so that it never meets a connection just closed."""


class Server(uvicorn.Server):
    """Lets waiting readers go before it waits for requests to end."""

    def __init__(self, config: uvicorn.Config, edge: Edge) -> None:
        super().__init__(config)
        self._edge = edge

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Graceful: answer what came in, accept nothing new."""
        self._edge.let_go()
        await super().shutdown(sockets)


def serve(settings: Settings, environ: Mapping[str, str], host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; returns when everything accepted is stored and answered.

    Raises `Misconfigured`, and `SystemExit` when the address is taken.
    """
    configure(settings.log_format, settings.log_level)
    edge = create_app(settings, environ)
    Server(_config(edge, host, port), edge).run()


def _config(edge: Edge, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        edge,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
