"""The login `google`: an access token lives for an hour, the refresh token until somebody ends it.

Source: https://developers.google.com/identity/protocols/oauth2/web-server#offline.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec

from connectors.kit.google.settings import SIGN_IN, GoogleSettings
from contracts.errors import OutcomeUnknown, Permanent, Reauthorize, Retryable
from contracts.login import Code, Consent, Granted, RedirectLogin, Refreshed, Tokens
from contracts.tokens import Secret

if TYPE_CHECKING:
    import httpx

TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105

_AHEAD: Final = timedelta(minutes=10)
_USUAL_LIFE_S: Final = 3_600
_FULL_NAMES: Final = {
    "email": "https://www.googleapis.com/auth/userinfo.email",
    "profile": "https://www.googleapis.com/auth/userinfo.profile",
}
"""Short names of scopes → what Google calls them in its answers."""


Seconds = Annotated[int, msgspec.Meta(gt=0, le=1_000_000_000)]


class _Answer(msgspec.Struct):
    access_token: str
    expires_in: Seconds | None = None
    refresh_token: str | None = None
    scope: str | None = None
    id_token: str | None = None


class GoogleLogin(RedirectLogin):
    """Consents go through google-auth-oauthlib's flow. Refreshes are a plain POST: google-auth
    would try three times by itself, keeps what was granted to itself unless scopes are asked for,
    and asking for one that was not granted fails.
    """

    name: ClassVar[str] = "google"
    title: ClassVar[str] = "Google"
    rotates: ClassVar[bool] = False
    takes_pkce: ClassVar[bool] = True
    accumulates: ClassVar[bool] = False
    always_asks: ClassVar[frozenset[str]] = SIGN_IN

    def __init__(
        self,
        settings: GoogleSettings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings, self._now = settings, now

    def consent_url(self, consent: Consent) -> str:
        """Asks for `openid email` as well, which tell whose consent it is."""
        from connectors.kit.google import consent as consents

        return consents.consent_url(self._settings, consent)

    def exchange(self, client: httpx.Client, code: Code) -> Granted:
        """See `OAuthLogin.exchange`. Without a refresh token, an older one of the same person stays
        in use. `declined` is empty: Google only says what was granted.
        """
        from connectors.kit.google import consent as consents

        now = self._now()
        answer = _answer(consents.spend(client, self._settings, code))
        if answer.id_token is None:
            raise Permanent("Google does not say who consented, although openid was asked for")
        person = consents.person(answer.id_token, self._settings.client_id)
        return Granted(
            tokens=_tokens(answer, now, person.sub),
            scopes=granted(answer.scope or ""),
            ids=frozenset({person.sub}),
            name=person.name,
            email=person.email if person.email_verified else None,
        )

    def carry(self, tokens: Tokens) -> httpx.Auth:
        from connectors.kit.google.auth import HOSTS
        from connectors.kit.transport.auth import Bearer

        return Bearer(tokens.access_token, HOSTS)

    def permissions(self, client: httpx.Client, tokens: Tokens) -> frozenset[str] | None:
        """By an access token that has not ended. Raises `TokenRefused` for another."""
        from connectors.kit.google import consent as consents

        return granted(consents.scopes_of(client, self._settings, tokens.access_token))

    def revoke(self, client: httpx.Client, tokens: Tokens) -> None:
        """See `OAuthLogin.revoke`: one token of a person takes all with it, of every tenant."""
        from connectors.kit.google import consent as consents

        consents.end(client, tokens.refresh_token or tokens.access_token)

    def due_at(self, tokens: Tokens) -> datetime | None:
        """Ten minutes before the token ends, or at half its life if that is short; without a
        refresh token when it ends, since then the grant does.
        """
        if tokens.refresh_token is None or tokens.expires_at is None:
            return tokens.expires_at
        life = tokens.expires_at - tokens.obtained_at
        return tokens.expires_at - min(_AHEAD, life / 2)

    def refresh(self, client: httpx.Client, tokens: Tokens) -> Refreshed:
        """See `Login.refresh`. The refresh token stays unless Google sends another."""
        from connectors.kit.google.errors import token_refusal
        from connectors.kit.transport.failures import read

        if tokens.refresh_token is None:
            raise Reauthorize("there is no refresh token")
        form = {
            "grant_type": "refresh_token",
            "client_id": self._settings.client_id,
            "client_secret": self._settings.client_secret.reveal(),
            "refresh_token": tokens.refresh_token.reveal(),
        }
        now = self._now()
        response = client.post(TOKEN_URL, data=form, extensions={"idempotent": True})
        if response.status_code != 200:
            raise token_refusal(read(response))
        return _refreshed(response.content, now, tokens.subject)


def _answer(told: dict[str, Any]) -> _Answer:
    try:
        answer = msgspec.convert(told, _Answer, strict=False)
    except msgspec.ValidationError:
        answer = None
    if answer is None or not answer.access_token:
        raise OutcomeUnknown("Google answered with something else than tokens")
    return answer


def _refreshed(body: bytes, now: datetime, subject: str) -> Refreshed:
    try:
        answer = msgspec.json.decode(body, type=_Answer, strict=False)
        tokens = _tokens(answer, now, subject)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError):
        raise Retryable("Google answered with something else than tokens") from None
    return Refreshed(tokens, None if answer.scope is None else granted(answer.scope))


def _tokens(answer: _Answer, now: datetime, subject: str) -> Tokens:
    return Tokens(
        access_token=Secret(answer.access_token),
        obtained_at=now,
        expires_at=now + timedelta(seconds=answer.expires_in or _USUAL_LIFE_S),
        refresh_token=Secret(answer.refresh_token) if answer.refresh_token else None,
        subject=subject,
    )


def granted(scope: str) -> frozenset[str]:
    """Scopes of an answer, by their full names, so that they can be compared."""
    return frozenset(_FULL_NAMES.get(name, name) for name in scope.split())
