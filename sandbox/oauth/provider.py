"""A provider's API on one host: every call is logged, and meets the trouble armed for it."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Host, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.fields import BadField
from sandbox.oauth.calls import Call, CallLog
from sandbox.oauth.params import body_of, pairs_of
from sandbox.oauth.trouble import Troubles

MOST_BYTES = 16 << 20
"""Files are sent to providers as well."""

_VERSION = re.compile(r"^/v\d+(\.\d+)?(?=/)")

Answer = Callable[[str, str], Response]
"""What a provider answers in trouble, by its kind (`unavailable` …) and the call's path."""


def bearer_of(request: Request) -> str | None:
    """Return the token of the `Authorization: Bearer` header, if there is one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


class Watch:
    """What all providers' hosts report to."""

    def __init__(self, calls: CallLog, troubles: Troubles) -> None:
        self.calls, self.troubles = calls, troubles

    def host(self, name: str, routes: Sequence[BaseRoute], answer: Answer) -> Host:
        """Return the route for all calls whose `Host` is `name`."""
        return Host(name, _Watched(Router(routes), name, self, answer))


class _Watched:
    def __init__(self, app: ASGIApp, host: str, watch: Watch, answer: Answer) -> None:
        self._app, self._host, self._watch, self._answer = app, host, watch, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        request = Request(scope, receive)
        body = await body_of(request, MOST_BYTES)
        call = await self._logged(request, body)
        path = _VERSION.sub("", call.path)
        trouble = self._watch.troubles.take(call.method, self._host, path)
        served = _Served(scope, body, receive, send, call)
        if trouble is None:
            return await served.by(self._app)
        call.trouble = trouble.kind
        served.headers = trouble.headers()
        if trouble.kind == "used":
            return await served.by(self._app)
        if trouble.kind == "slow":
            await asyncio.sleep(trouble.seconds)
            return await served.by(self._app)
        if trouble.kind == "lost":
            await served.by(self._app, unheard=True)
        return await served.by(self._answer(trouble.kind, path))

    async def _logged(self, request: Request, body: bytes) -> Call:
        try:
            pairs = await pairs_of(Request(request.scope, _replaying(body, request.receive)))
        except BadField:  # the call itself will be refused for it
            pairs = parse_qsl(request.url.query)
        return self._watch.calls.add(
            request.method, self._host, request.url.path, bearer_of(request), pairs
        )


class _Served:
    """One call being answered: its body is read again, its status noted."""

    def __init__(self, scope: Scope, body: bytes, receive: Receive, send: Send, call: Call) -> None:
        self._scope, self._body, self._receive, self._send = scope, body, receive, send
        self._call = call
        self.headers: Mapping[str, str] = {}
        """What the answer has beside its own."""

    async def by(self, app: ASGIApp, *, unheard: bool = False) -> None:
        """Let `app` answer; `unheard`: nobody gets to know."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._call.status = message["status"]
                for name, value in self.headers.items():
                    MutableHeaders(scope=message)[name] = value
            if not unheard:
                await self._send(message)

        await app(self._scope, _replaying(self._body, self._receive), sending)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once more, and then what really comes."""
    left = [body]

    async def again() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return again
