"""The login `instagram`: one token that lives for 60 days and is exchanged for a younger one.

Source: https://developers.facebook.com/docs/instagram-platform/reference/refresh_access_token.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import urlencode

from connectors.kit.instagram.settings import InstagramSettings
from contracts.errors import Permanent, Reauthorize, Retryable
from contracts.login import Code, Consent, Granted, RedirectLogin, Refreshed, Tokens
from contracts.tokens import Secret

if TYPE_CHECKING:
    import httpx

_YOUNGEST: Final = timedelta(hours=24)
"""A token younger than that is not exchanged."""


class InstagramLogin(RedirectLogin):
    """The token that is exchanged stays valid, so an answer that is lost is asked for again."""

    name: ClassVar[str] = "instagram"
    title: ClassVar[str] = "Instagram"
    rotates: ClassVar[bool] = False
    accumulates: ClassVar[bool] = False
    takes_pkce: ClassVar[bool] = False

    def __init__(
        self,
        settings: InstagramSettings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings, self._now = settings, now

    def consent_url(self, consent: Consent) -> str:
        asked = {
            "client_id": self._settings.app_id,
            "redirect_uri": consent.redirect_uri,
            "response_type": "code",
            "scope": ",".join(sorted(consent.scopes)),
            "state": consent.state.reveal(),
        }
        if consent.again:
            asked["force_reauth"] = "true"
        return f"https://www.instagram.com/oauth/authorize?{urlencode(asked)}"

    def exchange(self, client: httpx.Client, code: Code) -> Granted:
        """See `OAuthLogin.exchange`. `tokens.subject` is the professional account; it has two other
        ids, one of which Instagram may name when the consent ends.
        """
        from connectors.kit.instagram.calls import lengthen, me, names, spend

        now = self._now()
        spent = spend(client, self._settings, code)
        longer = lengthen(client, self._settings, Secret(spent.access_token))
        token = Secret(longer.access_token)
        who = me(client, token)
        return Granted(
            tokens=Tokens(token, now, now + longer.life, subject=str(who.user_id)),
            scopes=names(spent.permissions),
            ids=frozenset(filter(None, map(str, (who.user_id, who.id, spent.user_id)))),
            name=who.username,
        )

    def carry(self, tokens: Tokens) -> httpx.Auth:
        from connectors.kit.instagram.calls import HOST
        from connectors.kit.transport.auth import Bearer

        return Bearer(tokens.access_token, [HOST])

    def due_at(self, tokens: Tokens) -> datetime | None:
        """At half its life, and not before it is 24 hours old."""
        youngest = tokens.obtained_at + _YOUNGEST
        if tokens.expires_at is None:  # given by hand: the first exchange tells when it ends
            return youngest
        half = tokens.obtained_at + (tokens.expires_at - tokens.obtained_at) / 2
        return max(youngest, half)

    def refresh(self, client: httpx.Client, tokens: Tokens) -> Refreshed:
        """See `Login.refresh`. A token that has ended is not sent: only its owner can mend that."""
        from connectors.kit.instagram.calls import names, renew

        now = self._now()
        if tokens.expires_at is not None and tokens.expires_at <= now:
            raise Reauthorize("the token has expired", code="expired")
        if now < (youngest := tokens.obtained_at + _YOUNGEST):
            after_s = (youngest - now).total_seconds()
            raise Retryable("the token is younger than 24 hours", after_s=after_s)
        newer = renew(client, tokens.access_token)
        access = Secret(newer.access_token)
        scopes = None if newer.permissions is None else names(newer.permissions)
        return Refreshed(Tokens(access, now, now + newer.life, subject=tokens.subject), scopes)

    def permissions(self, client: httpx.Client, tokens: Tokens) -> frozenset[str] | None:
        """Always None, for a token that is still good: only another token comes with its scopes."""
        from connectors.kit.instagram.calls import me

        me(client, tokens.access_token)
        return None

    def revoke(self, client: httpx.Client, tokens: Tokens) -> None:
        """Always `Permanent`: Instagram documents no call that ends a consent of its own login.
        What is left is to unsubscribe the account and to destroy the token; the owner removes the
        app in Instagram's settings.
        """
        raise Permanent("Instagram has no way to end a consent but in the owner's own settings")
