"""Facebook's token endpoint, and the endpoint that tells what a token is worth.

Sources: Facebook Login, "Manually build a login flow" and "Long-lived tokens"; Graph API,
"debug_token".
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.facebook import errors
from sandbox.facebook.errors import ENDED, VALIDATING, GraphError
from sandbox.facebook.graph import VERSION, Graph, params_of
from sandbox.facebook.tokens import LONG_S, SHORT_S, Token
from sandbox.fields import JsonObject
from sandbox.oauth.codes import CodeRefused
from sandbox.oauth.params import Params

CODE_ERRORS = {
    "unknown": ("Invalid verification code format.", None),
    "used": ("This authorization code has been used.", 36009),
    "expired": ("This authorization code has expired.", 36007),
    "redirect_uri": (
        (
            "Error validating verification code. Please make sure your redirect_uri is identical "
            "to the one you used in the OAuth dialog request"
        ),
        36008,
    ),
}
DATA_ACCESS_S = 90 * 86_400
_OF_PAGES = ("pages_", "instagram_", "leads_")


class OAuth:
    """`/oauth/access_token` and `/debug_token`."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._facebook = graph, graph.facebook

    def routes(self) -> list[Route]:
        """Return the routes on Graph's host."""
        return [
            Route(f"{VERSION}/oauth/access_token", self.access_token, methods=["GET", "POST"]),
            Route(f"{VERSION}/debug_token", self.debug_token, methods=["GET"]),
        ]

    async def access_token(self, request: Request) -> Response:
        """A code, or a short-lived token, for a token: `{access_token, token_type, expires_in}`."""
        params = await params_of(request)
        self._check_app(params)
        grant_type = params.choice("grant_type", ("authorization_code", "fb_exchange_token"))
        if grant_type == "fb_exchange_token":
            token = self._exchanged(params)
        else:
            token = self._of_code(params)
        document: JsonObject = {"access_token": token.value, "token_type": "bearer"}
        if token.expires_at:
            document["expires_in"] = token.expires_at - token.issued_at
        return errors.answer(request, document)

    async def debug_token(self, request: Request) -> Response:
        """GET `input_token`: `{"data": {…}}`, also of a token that has died."""
        caller, params = await self._graph.call(request)
        value = params.need("input_token")
        params.finish()
        if caller.token is not None:
            raise errors.parameter(
                "You must provide an app access token, or a user access token that is an owner or "
                "developer of the app"
            )
        token = self._facebook.tokens.find(value)
        data = self._unknown() if token is None else self._debugged(token)
        return errors.answer(request, {"data": data})

    def _check_app(self, params: Params) -> None:
        app_id, secret = params.need("client_id"), params.need("client_secret")
        if not self._facebook.app.is_called(app_id):
            text = (
                "Error validating application. Cannot get application info due to a system error."
            )
            raise GraphError(text, 101)
        if not self._facebook.app.has_secret(secret):
            raise GraphError("Error validating client secret.", 1)

    def _of_code(self, params: Params) -> Token:
        code, redirect_uri = params.need("code"), params.optional("redirect_uri")
        params.finish()
        codes = self._facebook.codes_for(code)
        try:
            consent = codes.spend(code, redirect_uri or "")
        except CodeRefused as error:
            message, subcode = CODE_ERRORS[error.reason]
            raise GraphError(message, 100, subcode) from error
        if consent.person.grant is None:
            raise errors.unauthorized(458, self._facebook.app.id)
        if consent.is_system:
            return self._facebook.tokens.system(consent.person)
        return self._facebook.tokens.user(consent.person, SHORT_S)

    def _exchanged(self, params: Params) -> Token:
        token = self._facebook.tokens.check(params.need("fb_exchange_token"))
        params.finish()
        if token.kind != "USER":
            raise errors.parameter("fb_exchange_token must be a user access token")
        return self._facebook.tokens.user(token.person, LONG_S)

    def _unknown(self) -> JsonObject:
        error = {"code": 190, "message": "Invalid OAuth access token - Cannot parse access token"}
        return {"error": error, "is_valid": False, "scopes": []}

    def _debugged(self, token: Token) -> JsonObject:
        fault = token.fault(self._facebook.clock.now())
        data: JsonObject = {
            "app_id": self._facebook.app.id,
            "type": token.kind,
            "application": "CleverBox Gateway",
            "data_access_expires_at": token.issued_at + DATA_ACCESS_S,
            "expires_at": token.expires_at,
            "is_valid": fault is None,
            "issued_at": token.issued_at,
            "scopes": sorted(token.person.grant.granted) if token.person.grant else [],
            "granular_scopes": self._granular(token),
            "user_id": token.person.id,
        }
        if token.page is not None:
            data["profile_id"] = token.page.id
        if fault is not None:
            message = VALIDATING + ENDED[fault].format(app=self._facebook.app.id)
            data["error"] = {"code": 190, "message": message, "subcode": fault}
        return data

    def _granular(self, token: Token) -> list[JsonObject]:
        """Scope by scope; `target_ids` where certain Pages were chosen, and not for all of them."""
        grant = token.person.grant
        if grant is None:
            return []
        found: list[JsonObject] = []
        for scope in sorted(grant.granted):
            entry: JsonObject = {"scope": scope}
            if scope.startswith("whatsapp_"):
                entry["target_ids"] = sorted(grant.wabas)
            elif grant.pages is not None and scope.startswith(_OF_PAGES):
                entry["target_ids"] = self._targets(scope, grant.pages)
            found.append(entry)
        return found

    def _targets(self, scope: str, chosen: set[str]) -> list[str]:
        pages = [page for page in self._facebook.world.pages.values() if page.id in chosen]
        if scope.startswith("instagram_"):
            return [page.instagram for page in pages if page.instagram is not None]
        return [page.id for page in pages]
