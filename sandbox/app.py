"""The sandbox put together: one ASGI application, built from its settings."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox import graph
from sandbox.api import Api, refused
from sandbox.delivery import RETRY_PAUSES_S, TIME_LIMIT_S, Postman
from sandbox.fields import BadField
from sandbox.handshake import Handshake
from sandbox.messenger import Messenger, UnknownPage
from sandbox.settings import Settings
from sandbox.wirelog import WireLog

STATIC = Path(__file__).parent / "static"

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class SecurityHeaders:
    """Adds to every answer: nothing from elsewhere, nothing inline, nothing guessed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, with the headers set on the way out."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sending)


@dataclass(frozen=True)
class Sandbox:
    """The application, and what its server must reach: the log whose readers hold connections."""

    app: Starlette
    log: WireLog


def build(settings: Settings, retry_pauses_s: Sequence[float] = RETRY_PAUSES_S) -> Sandbox:
    """Return the sandbox; its background work runs from lifespan start to lifespan end."""
    client = httpx.AsyncClient(timeout=TIME_LIMIT_S, follow_redirects=False, trust_env=False)
    log = WireLog()
    postman = Postman(client, settings.webhook_url, settings.app_secret, log, retry_pauses_s)
    handshake = Handshake(client, settings.webhook_url, settings.verify_token)
    api = Api(Messenger(settings.pages, postman), postman, handshake)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        postman.start()
        asking = asyncio.create_task(handshake.until_verified())
        yield
        log.close()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await postman.close()
        await client.aclose()

    app = Starlette(
        routes=[*_site(), *api.routes(), *graph.ROUTES],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={BadField: refused, UnknownPage: refused, HTTPException: refused},
        lifespan=lifespan,
    )
    return Sandbox(app, log)


def _site() -> list[Route | Mount]:
    return [
        Route("/", _index, methods=["GET"]),
        Route("/healthz", _healthz, methods=["GET"]),
        Mount("/static", StaticFiles(directory=STATIC)),
        Mount("/media", StaticFiles(directory=STATIC / "media")),
    ]


async def _index(_request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


async def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})
