"""The logins of the Meta app: `meta` (Facebook Login for Business), one consent for several Pages;
and `whatsapp` (Embedded Signup), one for the numbers of a business.

Tokens of Pages and businesses end by events, not by time, so they are checked. Sources:
https://developers.facebook.com/docs/facebook-login/facebook-login-for-business and
https://developers.facebook.com/docs/whatsapp/embedded-signup/implementation.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import urlencode

import msgspec

from connectors.kit.meta.settings import MetaSettings
from contracts.errors import Misconfigured, Permanent
from contracts.login import (
    Code,
    Consent,
    Granted,
    OAuthLogin,
    RedirectLogin,
    Refreshed,
    Tokens,
    Window,
    WindowLogin,
)

if TYPE_CHECKING:
    import httpx

    from connectors.kit.meta.app import App

_EVERY: Final = timedelta(days=1)
"""How soon a token that died is noticed although nobody used it."""


_SDK: Final = "https://connect.facebook.net/{locale}/sdk.js"
_LOCALES: Final = {"uk": "uk_UA"}
_ORIGINS: Final = ("https://www.facebook.com", "https://web.facebook.com")
"""Of the windows that Meta's script opens."""


class _MetaConsents(OAuthLogin):
    """Checks and ends with the app's own token, `id|secret`. Needs META_APP_ID."""

    rotates: ClassVar[bool] = False
    takes_pkce: ClassVar[bool] = False

    def __init__(
        self,
        settings: MetaSettings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if settings.app_id is None:
            raise Misconfigured("META_APP_ID is not set")
        self._app_id, self._settings, self._now = settings.app_id, settings, now

    def exchange(self, client: httpx.Client, code: Code) -> Granted:
        """See `OAuthLogin.exchange`. A user's token is made to last, and Pages have their own, got
        with it; a business's lasts by itself.
        """
        from connectors.kit.meta.app import SYSTEM_USER

        app, now = self._app(client), self._now()
        token = app.spend(code)
        checked = app.check(token)
        of_business = checked.type == SYSTEM_USER
        ends = checked.ends
        if not of_business:
            token, life = app.lengthen(token)
            ends = None if life is None else now + life
        scopes = frozenset(checked.scopes or ())
        person = app.person(token, with_email="email" in scopes)
        ids = frozenset(filter(None, (str(checked.user_id), str(person.id))))
        return Granted(
            tokens=Tokens(token, now, ends, subject=str(checked.user_id or person.id)),
            scopes=scopes,
            declined=frozenset() if of_business else app.declined(token),
            ids=ids,
            targets=checked.targets,
            name=person.name,
            email=person.email,
        )

    def carry(self, tokens: Tokens) -> httpx.Auth:
        from connectors.kit.meta.auth import GraphAuth

        return GraphAuth(tokens.access_token, self._settings.app_secret)

    def due_at(self, tokens: Tokens) -> datetime | None:
        """A day after it was found good, and when it ends by time."""
        check = tokens.obtained_at + _EVERY
        return check if tokens.expires_at is None else min(check, tokens.expires_at)

    def refresh(self, client: httpx.Client, tokens: Tokens) -> Refreshed:
        """See `Login.refresh`: the same token, found good, or why it is not."""
        now = self._now()
        checked = self._app(client).check(tokens.access_token)
        good = msgspec.structs.replace(tokens, obtained_at=now, expires_at=checked.ends)
        return Refreshed(good, None if checked.scopes is None else frozenset(checked.scopes))

    def permissions(self, client: httpx.Client, tokens: Tokens) -> frozenset[str] | None:
        scopes = self._app(client).check(tokens.access_token).scopes
        return None if scopes is None else frozenset(scopes)

    def revoke(self, client: httpx.Client, tokens: Tokens) -> None:
        """See `OAuthLogin.revoke`. With the app's own token, since that of a Page may not."""
        if not tokens.subject:
            raise Permanent("whose consent it is was never told, so it cannot be ended")
        self._app(client).forget(tokens.subject, tokens.access_token)

    def _app(self, client: httpx.Client) -> App:
        from connectors.kit.meta.app import App

        return App(client, self._app_id, self._settings)


class MetaLogin(_MetaConsents, RedirectLogin):
    """Facebook Login for Business."""

    name: ClassVar[str] = "meta"
    title: ClassVar[str] = "Facebook"

    def consent_url(self, consent: Consent) -> str:
        """With META_LOGIN_CONFIG_ID the Configuration of that id says what is asked for, not
        `scopes`: it must have them all.
        """
        asked = {
            "client_id": self._app_id,
            "redirect_uri": consent.redirect_uri,
            "response_type": "code",
            "state": consent.state.reveal(),
            "return_scopes": "true",
        }
        if self._settings.login_config_id:
            asked["config_id"] = self._settings.login_config_id
            asked["override_default_response_type"] = "true"
        else:
            asked["scope"] = ",".join(sorted(consent.scopes))
        if consent.again:
            asked["auth_type"] = "rerequest"
        version = self._settings.graph_version
        return f"https://www.facebook.com/{version}/dialog/oauth?{urlencode(asked)}"


class EmbeddedSignup(_MetaConsents, WindowLogin):
    """WhatsApp's Embedded Signup: a business shares numbers, and gives the token of a system user.

    What the window tells of ids is not read: what was shared, the token says. The code lives for
    30 seconds.
    """

    name: ClassVar[str] = "whatsapp"
    title: ClassVar[str] = "Meta"
    dialog_s: ClassVar[int] = 3_000
    """Somebody may set up a business and wait for a code by telephone in there."""

    @property
    def lacks(self) -> str:
        return "" if self._settings.signup_config_id else "META_SIGNUP_CONFIG_ID"

    def window(self, consent: Consent) -> Window:
        """See `WindowLogin.window`. Raises `Misconfigured` without META_SIGNUP_CONFIG_ID."""
        if self._settings.signup_config_id is None:
            raise Misconfigured("META_SIGNUP_CONFIG_ID is not set")
        values = {
            "app": self._app_id,
            "config": self._settings.signup_config_id,
            "version": self._settings.graph_version,
        }
        script = _SDK.format(locale=_LOCALES.get(consent.language, "en_US"))
        return Window(script, _ORIGINS, values)
