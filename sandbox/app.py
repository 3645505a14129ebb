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
from starlette.routing import Host, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.api import Api, refused
from sandbox.changes import Changes
from sandbox.control import OBJECTS, Control, Logins
from sandbox.delivery import RETRY_PAUSES_S, TIME_LIMIT_S, Postman
from sandbox.facebook import errors as graph_errors
from sandbox.facebook import graph
from sandbox.facebook.actions import FacebookActions
from sandbox.facebook.dialog import FacebookDialog
from sandbox.facebook.nodes import Nodes
from sandbox.facebook.oauth import OAuth
from sandbox.facebook.sends import PageSends
from sandbox.facebook.state import Facebook
from sandbox.facebook.subscriptions import Subscriptions
from sandbox.fields import BadField
from sandbox.google import errors as google_errors
from sandbox.google.api import GoogleApi
from sandbox.google.dialog import GoogleDialog
from sandbox.google.risc import SecurityEvents
from sandbox.google.state import Google
from sandbox.google.token import TokenEndpoints
from sandbox.handshake import Handshake
from sandbox.instagram.accounts import Accounts
from sandbox.instagram.actions import InstagramActions
from sandbox.instagram.api import InstagramApi, LoginError, login_refused
from sandbox.instagram.dialog import InstagramDialog
from sandbox.messenger import Messenger, UnknownPage
from sandbox.oauth.callbacks import Callbacks
from sandbox.oauth.calls import CallLog
from sandbox.oauth.clock import Clock
from sandbox.oauth.provider import Watch
from sandbox.oauth.trouble import Troubles
from sandbox.reach import Reach
from sandbox.sending import Desk
from sandbox.settings import Settings
from sandbox.whatsapp.api import WhatsAppApi
from sandbox.whatsapp.cloud import CloudApi
from sandbox.whatsapp.media import HOST as FILE_HOST
from sandbox.whatsapp.nodes import Gate, WhatsAppNodes
from sandbox.whatsapp.room import Room
from sandbox.whatsapp.signup import Signup
from sandbox.whatsapp.state import WhatsApp
from sandbox.wirelog import WireLog

STATIC = Path(__file__).parent / "static"

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


EXCEPTION_HANDLERS = {
    BadField: refused,
    UnknownPage: refused,
    HTTPException: refused,
    graph_errors.GraphError: graph_errors.refused,
    LoginError: login_refused,
    google_errors.TokenError: google_errors.token_refused,
    google_errors.ApiError: google_errors.api_refused,
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
    postman = Postman(client, settings.webhook_url, _secrets(settings), log, retry_pauses_s)
    handshake = Handshake(client, settings.webhook_url, settings.verify_token)
    logins = _logins(settings, client, postman)
    accounts = {one.user_id: one.name for one in logins.instagram.all.values()}
    reach = Reach(logins.facebook, logins.instagram)
    messenger = Messenger(settings.pages, accounts, postman, reach.why_silent)
    logins.facebook.contact_name = messenger.contact_name
    logins.instagram.contact_name = messenger.contact_name
    changes = Changes(logins.facebook, logins.instagram, postman, reach.why_silent)
    desk = Desk(messenger, changes, logins.clock)
    api = Api(messenger, postman, handshake, logins.facebook)

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
        routes=[
            *_hosts(logins, desk),
            *_dialogs(logins),
            *WhatsAppApi(logins.whatsapp, logins.room).routes(),
            *_site(),
            *api.routes(),
            *Control(logins, messenger, changes, postman).routes(),
            graph.versioned(),
        ],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=lifespan,
    )
    return Sandbox(app, log)


def _secrets(settings: Settings) -> dict[str, str]:
    """What signs the deliveries of each object: Instagram's app has a secret of its own."""
    return {
        **dict.fromkeys(OBJECTS, settings.app_secret),
        "instagram": settings.instagram_app_secret,
    }


def _logins(settings: Settings, client: httpx.AsyncClient, postman: Postman) -> Logins:
    clock, callbacks = Clock(), Callbacks(client)
    facebook = Facebook(settings.facebook, clock, settings.pages, settings.configurations)
    instagram, google = Accounts(settings.instagram, clock), Google(settings.google, clock)
    deauthorize, deletion = settings.deauthorize, settings.data_deletion
    whatsapp = WhatsApp(facebook)
    return Logins(
        clock=clock,
        facebook=facebook,
        instagram=instagram,
        google=google,
        whatsapp=whatsapp,
        room=Room(whatsapp, postman, client),
        signup=Signup(whatsapp),
        watch=Watch(CallLog(), Troubles()),
        callbacks=callbacks,
        facebook_actions=FacebookActions(facebook, postman, callbacks, deauthorize, deletion),
        instagram_actions=InstagramActions(instagram, callbacks, deauthorize, deletion),
        events=SecurityEvents(google, callbacks, settings.risc),
    )


def _hosts(logins: Logins, desk: Desk) -> list[Host]:
    """The providers' APIs: servers call them under the provider's name."""
    room = graph.Graph(logins.facebook)
    gate = Gate(room, logins.whatsapp)
    cloud = CloudApi(gate, logins.room)
    of_graph = [
        *cloud.routes(),
        *WhatsAppNodes(gate).routes(),
        *OAuth(room).routes(),
        *Subscriptions(room).routes(),
        *PageSends(room, desk).routes(),
        *Nodes(room, logins.instagram).routes(),
        *graph.not_found(),
    ]
    instagram, tokens = InstagramApi(logins.instagram, desk), TokenEndpoints(logins.google)
    google, host = GoogleApi(logins.google), logins.watch.host
    return [
        host("graph.facebook.com", of_graph, graph_errors.trouble),
        host(FILE_HOST, cloud.file_routes(), graph_errors.trouble),
        host("graph.instagram.com", instagram.graph_routes(), graph_errors.trouble),
        host("api.instagram.com", instagram.token_routes(), graph_errors.trouble),
        host("oauth2.googleapis.com", tokens.routes(), google_errors.trouble),
        host("openidconnect.googleapis.com", tokens.userinfo_routes(), google_errors.trouble),
        host("www.googleapis.com", google.api_routes(), google_errors.trouble),
        host("gmail.googleapis.com", google.gmail_routes(), google_errors.trouble),
        host("accounts.google.com", google.accounts_routes(), google_errors.trouble),
    ]


def _dialogs(logins: Logins) -> list[Route]:
    """The pages to which browsers are sent, told apart by their path."""
    return [
        *FacebookDialog(logins.facebook).routes(),
        *logins.signup.routes(),
        *InstagramDialog(logins.instagram).routes(),
        *GoogleDialog(logins.google).routes(),
    ]


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
