"""The Graph API on graph.facebook.com: who calls, with which parameters, and what is not there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.facebook import errors
from sandbox.facebook.errors import GraphError
from sandbox.facebook.state import Facebook
from sandbox.facebook.tokens import Token
from sandbox.facebook.world import Page, Person
from sandbox.fields import BadField
from sandbox.oauth.params import Params, pairs_of
from sandbox.oauth.provider import bearer_of

HOST = "graph.facebook.com"
VERSION = "/v{version:float}"
METHODS = ("GET", "POST", "DELETE")
COMMON = ("locale", "pretty", "format", "suppress_http_code")
PROOF_LIFE_S = 300


async def params_of(request: Request) -> Params:
    """Return a call's parameters; what is wrong with them is error 100."""
    try:
        params = Params(await pairs_of(request), errors.parameter)
    except BadField as error:
        raise errors.parameter(str(error)) from error
    params.ignore(*COMMON)
    return params


@dataclass(frozen=True)
class Caller:
    """Who calls: the app itself where `token` is None, else the owner of a token."""

    token: Token | None
    value: str

    def user(self) -> Token:
        """Return the token of a person, or of a system user. Raises `GraphError`."""
        if self.token is None or self.token.kind == "PAGE":
            raise GraphError(
                "An active access token must be used to query information about the current user.",
                2500,
            )
        return self.token


class Graph:
    """What every call has in common."""

    def __init__(self, facebook: Facebook) -> None:
        self.facebook = facebook

    async def call(self, request: Request) -> tuple[Caller, Params]:
        """Return who calls, and the other parameters. Raises `GraphError`."""
        params = await params_of(request)
        return self.caller(request, params), params

    def caller(self, request: Request, params: Params) -> Caller:
        """Return who calls, by the token in the header or the parameters."""
        asked = params.optional("access_token")
        value = asked or bearer_of(request)
        proof, time = params.optional("appsecret_proof"), params.optional("appsecret_time")
        if value is None:
            text = "An access token is required to request this resource."
            raise GraphError(text, 104)
        if self.is_app_token(value):
            self._check_proof(value, proof, time, required=False)
            return Caller(None, value)
        token = self.facebook.tokens.check(value)
        self._check_proof(value, proof, time, required=self.facebook.require_proof)
        return Caller(token, value)

    def is_app_token(self, value: str) -> bool:
        """Whether `value` is the app's own token, `id|secret`. Raises for another app's."""
        app_id, bar, secret = value.partition("|")
        if not bar:
            return False
        app = self.facebook.app
        if not app.is_called(app_id) or not app.has_secret(secret):
            raise GraphError("Invalid OAuth access token signature.", 190)
        return True

    def page(self, page_id: str, caller: Caller, method: str = "get") -> Page:
        """Return a Page that the caller may act on. Raises `GraphError` 100/33."""
        page = self.facebook.world.pages.get(page_id)
        token = caller.token
        if page is None or token is None or not token.person.runs(page):
            raise errors.missing(page_id, method)
        if token.page not in (None, page):
            raise errors.missing(page_id, method)
        return page

    def person(self, person_id: str, caller: Caller) -> Person:
        """Return the person of an id or of `me`: one's own, or any of the app's for the app."""
        if person_id == "me":
            return caller.user().person
        known = self.facebook.world.anybody(person_id)
        if known is None or known.grant is None:
            raise errors.missing(person_id)
        if caller.token is not None and caller.user().person is not known:
            raise errors.missing(person_id)
        return known

    def _check_proof(
        self, token: str, proof: str | None, time: str | None, *, required: bool
    ) -> None:
        """Check the proof, plain or with a time of at most five minutes ago."""
        if proof is None:
            if required:
                text = "API calls from the server require an appsecret_proof argument"
                raise GraphError(text, 100, kind="GraphMethodException")
            return
        signed = token if time is None else f"{token}|{time}"
        fresh = time is None or self._is_fresh(time)
        if not fresh or not self.facebook.app.proves(signed, proof):
            text = "Invalid appsecret_proof provided in the API argument"
            raise GraphError(text, 100, kind="GraphMethodException")

    def _is_fresh(self, time: str) -> bool:
        now = self.facebook.clock.now()
        return time.isdecimal() and abs(now - int(time)) <= PROOF_LIFE_S


def fields_of(text: str | None, default: str) -> dict[str, tuple[str, ...]]:
    """Return `fields=id,name,link{id,name}` as field → what is asked within it."""
    found: dict[str, tuple[str, ...]] = {}
    rest = default if text is None else text
    while rest:
        name, mark, rest = _cut(rest)
        inner: tuple[str, ...] = ()
        if mark == "{":
            within, closed, rest = rest.partition("}")
            if not closed or rest[:1] not in ("", ","):
                raise errors.parameter("Syntax error in fields")
            inner, rest = tuple(within.split(",")), rest[1:]
        if not name:
            raise errors.parameter("Syntax error in fields")
        found[name] = inner
    return found


def _cut(text: str) -> tuple[str, Literal["{", ",", ""], str]:
    for place, character in enumerate(text):
        if character == "{":
            return text[:place].strip(), "{", text[place + 1 :]
        if character == ",":
            return text[:place].strip(), ",", text[place + 1 :]
    return text.strip(), "", ""


def no_field(name: str, node: str) -> GraphError:
    """Return the error for a field that a node does not have: 100."""
    return errors.parameter(f"Tried accessing nonexisting field ({name}) on node type ({node})")


async def unknown_path(request: Request) -> Response:
    """404 with `error{message, type, code, fbtrace_id}`, code 2500 (Graph API, "Errors")."""
    path = request.path_params["path"]
    error = GraphError(f"Unknown path components: /{path}", 2500)
    return errors.answer(request, error.document(), 404)


def versioned() -> Route:
    """Return the route of everything under a version that is not there."""
    return Route(f"{VERSION}/{{path:path}}", unknown_path, methods=list(METHODS))


def not_found() -> Sequence[Route]:
    """Return the routes of everything that a host does not have; they come last."""
    return [versioned(), Route("/{path:path}", unknown_path, methods=list(METHODS))]
