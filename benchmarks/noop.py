"""The yardstick: `python -m benchmarks.noop PORT [BYTES]`, an endpoint that does nothing, served as
the edge is. With BYTES, GET /v1/messages answers as many bytes of JSON.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.deployment import ROOT, Server, answering
from gateway.serve import server_config
from tests.processes import Process, free_port


def noop_app(size: int) -> Starlette:
    """Starlette `Route` endpoints that do nothing; under `/unread` they do not even read."""
    page = b'{"messages":[%b]}' % (b"0" * size)

    async def accept(request: Request) -> Response:
        await request.body()
        return Response()

    async def accept_unread(request: Request) -> Response:
        return Response()

    async def answer(request: Request) -> Response:
        return Response(page, media_type="application/json")

    return Starlette(
        routes=[
            Route("/webhooks/meta", accept, methods=["POST"]),
            Route("/unread/webhooks/meta", accept_unread, methods=["POST"]),
            Route("/v1/messages", answer),
            Route("/healthz", accept),
        ]
    )


@contextlib.contextmanager
def noop_server(folder: Path, size: int = 0) -> Iterator[Server]:
    """The yardstick as a process."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.noop", str(port), str(size)]
    with Process(command, log=folder / "noop.log", cwd=ROOT) as process:
        yield answering(process, port, "/healthz")


if __name__ == "__main__":
    port, *size = map(int, sys.argv[1:])
    uvicorn.Server(server_config(noop_app(*size or [0]), "127.0.0.1", port)).run()
