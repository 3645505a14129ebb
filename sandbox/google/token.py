"""Google's token endpoints: exchange and refresh, revocation, and what a token is worth.

Sources: Google Identity, "OAuth 2.0 for web server applications" and "OpenID Connect"; RFC 7636.
"""

import base64
import binascii
import hashlib
import hmac
import time
from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.fields import BadField, JsonObject
from sandbox.google.api import not_found
from sandbox.google.dialog import ISSUER
from sandbox.google.errors import TokenError, invalid_grant, invalid_request
from sandbox.google.people import Person
from sandbox.google.scopes import FULL_NAMES, full
from sandbox.google.state import ACCESS_LIFE_S, Consent, Google, Token
from sandbox.oauth.codes import CodeRefused
from sandbox.oauth.params import Params, pairs_of
from sandbox.oauth.provider import bearer_of

HOST = "oauth2.googleapis.com"
USERINFO_HOST = "openidconnect.googleapis.com"


async def params_of(request: Request) -> Params:
    """Return a call's parameters; what is wrong with them is `invalid_request`."""
    try:
        return Params(await pairs_of(request), invalid_request)
    except BadField as error:
        raise invalid_request(str(error)) from error


class TokenEndpoints:
    """What oauth2.googleapis.com and openidconnect.googleapis.com answer."""

    def __init__(self, google: Google) -> None:
        self._google = google

    def routes(self) -> list[Route]:
        """Return the routes of oauth2.googleapis.com."""
        return [
            Route("/token", self.token, methods=["POST"]),
            Route("/revoke", self.revoke, methods=["POST"]),
            Route("/tokeninfo", self.tokeninfo, methods=["GET", "POST"]),
            *not_found(),
        ]

    def userinfo_routes(self) -> list[Route]:
        """Return the routes of openidconnect.googleapis.com."""
        return [Route("/v1/userinfo", self.userinfo, methods=["GET", "POST"]), *not_found()]

    async def token(self, request: Request) -> Response:
        """POST: a code or a refresh token for an access token."""
        params = await params_of(request)
        self._check_client(request, params)
        grant_type = params.need("grant_type")
        if grant_type == "authorization_code":
            return JSONResponse(self._exchanged(params))
        if grant_type == "refresh_token":
            return JSONResponse(self._refreshed(params))
        raise TokenError("unsupported_grant_type", f"Invalid grant_type: {grant_type}")

    async def revoke(self, request: Request) -> Response:
        """POST `token`: everything ends that the person granted to the project."""
        params = await params_of(request)
        token = self._google.find(params.need("token"))
        params.ignore("token_type_hint")
        params.finish()
        if token is None:
            raise TokenError("invalid_token", "Token expired or revoked")
        self._google.revoke(token.person)
        return JSONResponse({})

    async def tokeninfo(self, request: Request) -> Response:
        """`access_token` or `id_token`: whose it is and for what; numbers are strings."""
        params = await params_of(request)
        id_token = params.optional("id_token")
        if id_token is not None:
            params.finish()
            claims = self._google.key.claims(id_token, self._google.app.id)
            if claims is None:
                raise TokenError("invalid_token", "Invalid Value")
            return JSONResponse({name: _text(value) for name, value in claims.items()})
        token = self._google.find(params.need("access_token"), refresh=False)
        params.finish()
        if token is None:
            raise TokenError("invalid_token", "Invalid Value")
        return JSONResponse(self._told(token))

    async def userinfo(self, request: Request) -> Response:
        """The person's claims, as far as scopes allow."""
        token = self._google.find(bearer_of(request) or "", refresh=False)
        if token is None or "openid" not in token.scopes:
            raise TokenError("invalid_request", "Invalid Credentials", 401)
        return JSONResponse({"sub": token.person.sub, **_profile(token.person, token.scopes)})

    def _check_client(self, request: Request, params: Params) -> None:
        """The client's id and secret, by HTTP Basic or in the body, and not both."""
        app_id, secret = params.optional("client_id"), params.optional("client_secret")
        if basic := request.headers.get("authorization"):
            if secret is not None:
                raise invalid_request("Client credentials were sent twice")
            app_id, secret = _basic(basic)
        if not self._google.app.is_called(app_id):
            raise TokenError("invalid_client", "The OAuth client was not found.", 401)
        if not self._google.app.has_secret(secret):
            raise TokenError("invalid_client", "Unauthorized", 401)

    def _exchanged(self, params: Params) -> JsonObject:
        code, redirect_uri = params.need("code"), params.need("redirect_uri")
        verifier = params.optional("code_verifier")
        params.ignore("scope")  # google-auth-oauthlib sends it along
        params.finish()
        try:
            consent = self._google.codes.spend(code, redirect_uri)
        except CodeRefused as error:
            if error.reason == "redirect_uri":
                raise TokenError("redirect_uri_mismatch", "Bad Request") from error
            raise invalid_grant(
                "Malformed auth code." if error.reason == "unknown" else "Bad Request"
            ) from error
        _check_verifier(consent, verifier)
        if not consent.scopes <= self._google.granted(consent.person):
            raise invalid_grant()
        document = self._tokens(consent.person, consent.scopes, consent.nonce)
        if consent.offline:
            refresher = self._google.refresher(consent.person, consent.scopes)
            document["refresh_token"] = refresher.value
            if refresher.expires_at is not None:
                life_s = refresher.expires_at - refresher.issued_at
                document["refresh_token_expires_in"] = life_s
        return document

    def _refreshed(self, params: Params) -> JsonObject:
        token = self._google.find(params.need("refresh_token"), refresh=True)
        asked = params.optional("scope")
        params.finish()
        if token is None:
            raise invalid_grant("Token has been expired or revoked.")
        scopes = token.scopes
        if asked is not None:
            scopes = frozenset(full(name) for name in asked.split())
            if not scopes <= token.scopes:
                raise TokenError("invalid_scope", "Bad Request")
        document = self._tokens(token.person, scopes, None)
        if self._google.rotates:
            token.dead = True
            newer = self._google.refresher(token.person, token.scopes)
            document["refresh_token"] = newer.value
        return document

    def _tokens(self, person: Person, scopes: frozenset[str], nonce: str | None) -> JsonObject:
        access = self._google.access(person, scopes)
        document: JsonObject = {
            "access_token": access.value,
            "expires_in": ACCESS_LIFE_S,
            "scope": " ".join(sorted(scopes)),
            "token_type": "Bearer",
        }
        if "openid" in scopes:
            document["id_token"] = self._id_token(access, nonce)
        return document

    def _id_token(self, access: Token, nonce: str | None) -> str:
        now = int(time.time())  # whoever checks it goes by real time
        half = hashlib.sha256(access.value.encode()).digest()[:16]
        claims: JsonObject = {
            "iss": ISSUER,
            "azp": self._google.app.id,
            "aud": self._google.app.id,
            "sub": access.person.sub,
            **_profile(access.person, access.scopes),
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode("ascii"),
            "iat": now,
            "exp": now + 3600,
        }
        return self._google.key.sign(claims if nonce is None else {**claims, "nonce": nonce})

    def _told(self, token: Token) -> JsonObject:
        left_s = (token.expires_at or 0) - self._google.clock.now()
        document: JsonObject = {
            "azp": self._google.app.id,
            "aud": self._google.app.id,
            "sub": token.person.sub,
            "scope": " ".join(sorted(token.scopes)),
            "exp": str(token.expires_at),
            "expires_in": str(left_s),
            "access_type": "offline",
        }
        if FULL_NAMES["email"] in token.scopes:
            document |= {"email": token.person.email, "email_verified": "true"}
        return document


def _check_verifier(consent: Consent, verifier: str | None) -> None:
    """PKCE: a challenge that was sent needs its verifier, and a verifier needs a challenge."""
    if consent.challenge is None:
        if verifier is not None:
            raise invalid_grant("code_verifier or verifier is not needed.")
        return
    if verifier is None:
        raise invalid_grant("Missing code verifier.")
    digest = hashlib.sha256(verifier.encode()).digest()
    made = base64.urlsafe_b64encode(digest).rstrip(b"=")
    if not hmac.compare_digest(made, consent.challenge.encode()):
        raise invalid_grant("Invalid code verifier.")


def _basic(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError(scheme)
        app_id, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (ValueError, binascii.Error) as error:
        raise TokenError("invalid_client", "Unauthorized", 401) from error
    return unquote_plus(app_id), unquote_plus(secret) if colon else ""


def _profile(person: Person, scopes: frozenset[str]) -> JsonObject:
    claims: JsonObject = {}
    if FULL_NAMES["email"] in scopes:
        claims |= {"email": person.email, "email_verified": True}
    if FULL_NAMES["profile"] in scopes:
        given, _, family = person.name.partition(" ")
        claims |= {"name": person.name, "given_name": given, "family_name": family}
    return claims


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
