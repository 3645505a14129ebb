"""Instagram's token endpoints and its API: `/me` and `/{account}/subscribed_apps`.

Source: Instagram Platform, "Business login for Instagram", "Get started", "Webhooks".
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox import profiles
from sandbox.facebook import errors
from sandbox.facebook.errors import GraphError
from sandbox.facebook.graph import VERSION, fields_of, no_field, not_found, params_of
from sandbox.fields import BadField, JsonObject
from sandbox.instagram.accounts import BASIC, FIELDS, YOUNGEST_S, Account, Accounts, Token
from sandbox.oauth.codes import CodeRefused
from sandbox.oauth.params import Params, pairs_of
from sandbox.oauth.provider import bearer_of
from sandbox.sending import INSTAGRAM, Desk

MESSAGES = "instagram_business_manage_messages"
COMMENTS = "instagram_business_manage_comments"
GRAPH_HOST = "graph.instagram.com"
TOKEN_HOST = "api.instagram.com"  # noqa: S105
CODE_ERRORS = {
    "unknown": "Invalid authorization code",
    "used": "This authorization code has been used",
    "expired": "This authorization code has expired",
    "redirect_uri": "Error validating verification code. Please make sure your redirect_uri is "
    "identical to the one you used in the OAuth dialog request",
}


class LoginError(Exception):
    """api.instagram.com refuses, in a shape of its own: `{error_type, code, error_message}`."""


def login_refused(_request: Request, error: Exception) -> Response:
    """Starlette's handler of `LoginError`."""
    document = {"error_type": "OAuthException", "code": 400, "error_message": str(error)}
    return JSONResponse(document, 400)


class InstagramApi:
    """What graph.instagram.com and api.instagram.com answer."""

    def __init__(self, accounts: Accounts, desk: Desk) -> None:
        self._accounts, self._desk = accounts, desk

    def graph_routes(self) -> list[Route]:
        """Return the routes of graph.instagram.com."""
        apps = f"{VERSION}/{{object}}/subscribed_apps"
        return [
            Route("/access_token", self.exchange, methods=["GET"]),
            Route("/refresh_access_token", self.refresh, methods=["GET"]),
            Route(apps, self.subscription, methods=["GET"]),
            Route(apps, self.subscribe, methods=["POST"]),
            Route(apps, self.unsubscribe, methods=["DELETE"]),
            Route(f"{VERSION}/{{object}}/messages", self.write, methods=["POST"]),
            Route(f"{VERSION}/{{comment}}/replies", self.reply, methods=["POST"]),
            Route(f"{VERSION}/{{object}}", self.account, methods=["GET"]),
            Route("/me", self.account, methods=["GET"]),
            *not_found(),
        ]

    def token_routes(self) -> list[Route]:
        """Return the routes of api.instagram.com."""
        return [
            Route("/oauth/access_token", self.access_token, methods=["POST"]),
            *not_found(),
        ]

    async def access_token(self, request: Request) -> Response:
        """A code for a token of an hour: `{"data": [{access_token, user_id, permissions}]}`.

        On request flat, without the list around it: that is also seen. `user_id` here is the id
        scoped to the app.
        """
        try:
            params = Params(await pairs_of(request), LoginError)
        except BadField as error:
            raise LoginError(str(error)) from error
        app = self._accounts.app
        if not app.is_called(params.need("client_id")):
            raise LoginError("Invalid platform app")
        if not app.has_secret(params.need("client_secret")):
            raise LoginError("Error validating client secret.")
        if params.need("grant_type") != "authorization_code":
            raise LoginError("Invalid grant_type")
        account = self._spent(params)
        token = self._accounts.issue(account, lasting=False)
        permissions = ",".join(sorted(account.granted or ()))
        document: JsonObject = {"access_token": token.value, "permissions": permissions}
        if self._accounts.flat:
            return JSONResponse({**document, "user_id": int(account.id)})
        return JSONResponse({"data": [{**document, "user_id": account.id}]})

    async def exchange(self, request: Request) -> Response:
        """A token of an hour for one of 60 days."""
        params = await params_of(request)
        if params.need("grant_type") != "ig_exchange_token":
            raise errors.parameter("Invalid grant_type")
        if not self._accounts.app.has_secret(params.need("client_secret")):
            raise GraphError("Error validating client secret.", 1)
        token = self._caller(request, params)
        params.finish()
        if token.lasting:
            raise GraphError("Session key invalid. This could be because it was exchanged.", 452)
        return errors.answer(request, self._lasting(token))

    async def refresh(self, request: Request) -> Response:
        """A token of 60 days, at least a day old, for another one."""
        params = await params_of(request)
        if params.need("grant_type") != "ig_refresh_token":
            raise errors.parameter("Invalid grant_type")
        token = self._caller(request, params)
        params.finish()
        age_s = self._accounts.clock.now() - token.issued_at
        if not token.lasting or age_s < YOUNGEST_S:
            raise GraphError("The access token is not eligible to be refreshed yet.", 10)
        if not token.account.allows(BASIC):
            raise errors.lacks(BASIC, "refresh the token")
        permissions = ",".join(sorted(token.account.granted or ()))
        return errors.answer(request, {**self._lasting(token), "permissions": permissions})

    async def account(self, request: Request) -> Response:
        """GET `?fields`: who writes to the account, or the account itself.

        Webhooks name its `user_id`, and `id` is scoped to the app.
        """
        params = await params_of(request)
        token = self._caller(request, params)
        asked = fields_of(params.optional("fields"), "id")
        params.finish()
        contact = str(request.path_params.get("object", "me"))
        name = self._accounts.contact_name(token.account.user_id, contact)
        if name is not None:
            hidden = self._accounts.profiles_hidden
            told = profiles.of_instagram(contact, name, list(asked), hidden=hidden)
            return errors.answer(request, told)
        account = self._own(request, token)
        known: JsonObject = {
            "user_id": account.user_id,
            "id": account.id,
            "username": account.username,
            "name": account.name,
            "account_type": "BUSINESS",
        }
        if strange := [name for name in asked if name not in known]:
            raise no_field(strange[0], "IGUser")
        return errors.answer(request, {name: known[name] for name in (*asked, "id")})

    async def subscription(self, request: Request) -> Response:
        """GET: `{"data": [{id, subscribed_fields}]}`, empty without a subscription."""
        account, params = await self._managed(request)
        params.finish()
        own = {"id": self._accounts.app.id, "subscribed_fields": list(FIELDS)}
        return errors.answer(request, {"data": [own] if account.subscribed else []})

    async def subscribe(self, request: Request) -> Response:
        """POST `subscribed_fields`: one of them subscribes to all of the app's."""
        account, params = await self._managed(request)
        fields = [name for name in params.need("subscribed_fields").split(",") if name]
        params.finish()
        for place, name in enumerate(fields):
            if name not in FIELDS:
                known = ", ".join(field.upper() for field in FIELDS)
                text = f"Param subscribed_fields[{place}] must be one of {{{known}}}"
                raise errors.parameter(f'{text} - got "{name}".')
        account.subscribe(True)
        return errors.answer(request, {"success": True})

    async def unsubscribe(self, request: Request) -> Response:
        """DELETE: no webhooks of this account any more."""
        account, params = await self._managed(request)
        params.ignore("subscribed_fields")
        params.finish()
        account.subscribe(False)
        return errors.answer(request, {"success": True})

    async def write(self, request: Request) -> Response:
        """POST `recipient`, `message`, `messaging_type`?, `tag`?, `reply_to`?."""
        account, params = await self._managed(request)
        if not account.allows(MESSAGES):
            raise errors.lacks(MESSAGES, "send messages")
        media_url, app_id = f"{request.base_url}media", self._accounts.app.id
        sent = await self._desk.write(account.user_id, params, INSTAGRAM, app_id, media_url)
        return errors.answer(request, sent)

    async def reply(self, request: Request) -> Response:
        """POST `message`: a comment of the account below another one."""
        account, params = await self._managed(request)
        text = params.need("message")
        params.finish()
        if not account.allows(COMMENTS):
            raise errors.lacks(COMMENTS, "comment")
        made = await self._desk.comment(account.user_id, request.path_params["comment"], text)
        return errors.answer(request, made)

    async def _managed(self, request: Request) -> tuple[Account, Params]:
        params = await params_of(request)
        return self._own(request, self._caller(request, params)), params

    def _spent(self, params: Params) -> Account:
        code, redirect_uri = params.need("code"), params.need("redirect_uri")
        params.finish()
        if code.endswith("#_"):
            raise LoginError(CODE_ERRORS["unknown"])
        try:
            account = self._accounts.codes.spend(code, redirect_uri)
        except CodeRefused as error:
            raise LoginError(CODE_ERRORS[error.reason]) from error
        if account.granted is None:
            raise LoginError("The user has not authorized the application")
        return account

    def _caller(self, request: Request, params: Params) -> Token:
        value = params.optional("access_token") or bearer_of(request)
        proof = params.optional("appsecret_proof")
        if value is None:
            raise GraphError("An access token is required to request this resource.", 104)
        token = self._accounts.check(value)
        if proof is not None and not self._accounts.app.proves(value, proof):
            raise errors.parameter("Invalid appsecret_proof provided in the API argument")
        return token

    def _own(self, request: Request, token: Token) -> Account:
        """The account asked for, which must be the token's; it goes by either of its ids."""
        asked = request.path_params.get("object", "me")
        if asked not in ("me", token.account.user_id, token.account.id):
            raise errors.missing(asked, request.method.lower())
        return token.account

    def _lasting(self, token: Token) -> JsonObject:
        longer = self._accounts.issue(token.account, lasting=True)
        life_s = longer.expires_at - longer.issued_at
        return {"access_token": longer.value, "token_type": "bearer", "expires_in": life_s}
