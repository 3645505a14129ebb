"""A consent at Google, from the dialog to its end. Heavy (google-auth-oauthlib): import it where it
is used.

Sources: https://developers.google.com/identity/protocols/oauth2/web-server and
https://openid.net/specs/openid-connect-core-1_0.html#TokenResponse.
"""

from typing import Annotated, Any, Final

import httpx
import jwt
import msgspec
import requests
from google_auth_oauthlib.flow import Flow
from oauthlib.oauth2 import OAuth2Error

from connectors.kit.google.errors import INVALID_TOKEN, token_refusal
from connectors.kit.google.settings import SIGN_IN, GoogleSettings
from connectors.kit.transport.failures import read
from connectors.kit.transport.for_requests import answer_of, carry
from connectors.kit.transport.refusals import unclear
from contracts.errors import Permanent, ProviderError, Retryable, TokenRefused
from contracts.login import Code, Consent
from contracts.tokens import Secret

AUTH_URL: Final = "https://accounts.google.com/o/oauth2/v2/auth"
TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105
TOKENINFO_URL: Final = "https://oauth2.googleapis.com/tokeninfo"
REVOKE_URL: Final = "https://oauth2.googleapis.com/revoke"

_ISSUERS: Final = ("https://accounts.google.com", "accounts.google.com")


class Person(msgspec.Struct):
    """Claims of an ID token: `sub` is whoever consented, for good; an address may change hands."""

    sub: Annotated[str, msgspec.Meta(min_length=1)]
    name: str = ""
    email: str | None = None
    email_verified: bool = False


class _Info(msgspec.Struct):
    aud: str
    scope: str


def consent_url(settings: GoogleSettings, consent: Consent) -> str:
    """With `prompt=consent` always: without it only the first consent of somebody to our client
    gives a refresh token, and every tenant needs one of its own. Without `include_granted_scopes`:
    with it the tokens would also have what the person granted for other tenants.
    """
    flow = _flow(settings, consent.redirect_uri, scopes=sorted(consent.scopes | SIGN_IN))
    challenge = {"code_challenge": consent.challenge, "code_challenge_method": "S256"}
    url, _ = flow.authorization_url(
        state=consent.state.reveal(),
        prompt="consent",
        hl=consent.language,
        **(challenge if consent.challenge else {}),
    )
    return str(url)


def spend(client: httpx.Client, settings: GoogleSettings, code: Code) -> dict[str, Any]:
    """The token endpoint's answer to a code. Raises `Reauthorize` for a refused code.

    No scopes are named: oauthlib would raise a bare `Warning` for others than asked, after the code
    is spent, and people may untick some.
    """
    flow = _flow(settings, code.redirect_uri or "", scopes=None)
    carry(flow.oauth2session, client)
    flow.oauth2session.register_compliance_hook("access_token_response", _checked)
    verifier = code.verifier.reveal() if code.verifier else None
    try:
        told = flow.fetch_token(code=code.code.reveal(), code_verifier=verifier)
    except OAuth2Error:
        text = "Google answered with something else than tokens"
        raise unclear(text, repeatable=False) from None
    return {**told, "scope": " ".join(told.get("scope") or ())}  # it was split already


def person(id_token: str, client_id: str) -> Person:
    """Who consented. The signature is not checked: it came over TLS from the token endpoint itself
    (OpenID Connect Core, 3.1.3.7, 6), and was made for this answer, so that its times say nothing
    either. Raises `Permanent` when it is not Google's or not for our client.
    """
    try:
        claims = jwt.decode(
            id_token,
            options={"verify_signature": False, "verify_aud": True, "verify_iss": True},
            audience=client_id,
            issuer=_ISSUERS,
        )
        return msgspec.convert(claims, Person, strict=False)
    except (jwt.InvalidTokenError, msgspec.ValidationError):
        raise Permanent("Google's ID token is not one for this client") from None


def scopes_of(client: httpx.Client, settings: GoogleSettings, token: Secret) -> str:
    """The scopes of an access token, in Google's own words. Raises `TokenRefused`, `Permanent`."""
    form = {"access_token": token.reveal()}
    response = client.post(TOKENINFO_URL, data=form, extensions={"idempotent": True})
    if response.status_code != 200:
        raise _refused(token_refusal(read(response)))
    try:
        info = msgspec.json.decode(response.content, type=_Info)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Retryable("Google answered with something else than a token's scopes") from None
    if info.aud != settings.client_id:
        raise Permanent("the token is another client's than GOOGLE_CLIENT_ID's")
    return info.scope


def end(client: httpx.Client, token: Secret) -> None:
    """Revoke, with every token and scope of the same person and Cloud project."""
    form = {"token": token.reveal()}
    response = client.post(REVOKE_URL, data=form, extensions={"idempotent": True})
    if response.status_code == 200:
        return
    error = token_refusal(read(response))
    if error.code != INVALID_TOKEN:  # that is a token of a consent that is over already
        raise error


def _refused(error: ProviderError) -> ProviderError:
    if error.code == INVALID_TOKEN:
        return TokenRefused(str(error), code=error.code)
    return error


def _flow(settings: GoogleSettings, redirect_uri: str, scopes: list[str] | None) -> Flow:
    """Neither state nor verifier is the flow's: both are kept with the connect session."""
    client = {
        "client_id": settings.client_id,
        "client_secret": settings.client_secret.reveal(),
        "auth_uri": AUTH_URL,
        "token_uri": TOKEN_URL,
    }
    return Flow.from_client_config(
        {"web": client},
        scopes=scopes,
        redirect_uri=redirect_uri,
        autogenerate_code_verifier=False,
    )


def _checked(response: requests.Response) -> requests.Response:
    """oauthlib's hook: its own errors would lose what we tell apart, and it reads any text."""
    answer = answer_of(response)
    if response.status_code != 200:
        raise token_refusal(answer)
    try:
        msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = "Google answered with something else than tokens"
        raise unclear(text, repeatable=False) from None
    return response
