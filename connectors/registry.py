"""Every provider and login, in one line each; one without its settings is off."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from connectors.facebook import Facebook
from connectors.gmail import Gmail
from connectors.google_calendar import GoogleCalendar
from connectors.instagram import Instagram
from connectors.kit.google.login import GoogleLogin
from connectors.kit.google.security_events import SecurityEvents
from connectors.kit.google.settings import GoogleSettings
from connectors.kit.instagram.login import InstagramLogin
from connectors.kit.instagram.settings import InstagramSettings
from connectors.kit.meta.endpoint import MetaEndpoint
from connectors.kit.meta.login import EmbeddedSignup, MetaLogin
from connectors.kit.meta.settings import MetaApps, MetaSettings
from connectors.kit.meta.signed_request import SignedRequests
from connectors.whatsapp import WhatsApp
from contracts.connector import Connector, Endpoint, Provider, Receives
from contracts.login import OAuthLogin
from contracts.settings import load
from contracts.tokens import Secret


class LoginLine(msgspec.Struct, frozen=True):
    """How to build a login from the environment; off without its settings' required values and
    `needs`, which the settings have as well and other users of them can do without.
    """

    login: Callable[[Any], OAuthLogin]
    settings: type[msgspec.Struct]
    needs: tuple[str, ...] = ()


PROVIDERS: Final = (
    Provider(connector=Facebook, settings=MetaSettings, endpoint=MetaEndpoint),
    Provider(
        connector=Instagram,
        settings=MetaApps,
        endpoint=MetaEndpoint,
        one_of=("META_APP_SECRET", "INSTAGRAM_APP_SECRET"),
    ),
    Provider(connector=WhatsApp, settings=MetaSettings, endpoint=MetaEndpoint),
    Provider(connector=GoogleCalendar, settings=GoogleSettings),
    Provider(connector=Gmail, settings=GoogleSettings),
)

LOGINS: Final = {
    "meta": LoginLine(login=MetaLogin, settings=MetaSettings, needs=("META_APP_ID",)),
    "whatsapp": LoginLine(login=EmbeddedSignup, settings=MetaSettings, needs=("META_APP_ID",)),
    "instagram": LoginLine(login=InstagramLogin, settings=InstagramSettings),
    "google": LoginLine(login=GoogleLogin, settings=GoogleSettings),
}

CONSENT_ITEMS: Final = {"meta.permissions": "meta", "meta.user": "meta"}
"""Items that are about a person's consent, and no account's: their route is the person's id at that
login."""


class Registry(msgspec.Struct, frozen=True):
    """Endpoints by path, connectors and logins by name, of what is on."""

    endpoints: Mapping[str, Endpoint]
    connectors: Mapping[str, Connector]
    off: Mapping[str, str]
    """Provider → the setting that is missing."""
    logins: Mapping[str, OAuthLogin]
    logins_off: Mapping[str, str]
    """Login → the setting that is missing."""
    signed_requests: SignedRequests
    """Of the Meta and Instagram apps that are set up."""
    security_events: SecurityEvents | None
    """Of Google's OAuth client, if there is one."""

    @property
    def receiving(self) -> dict[str, Receives]:
        """Those of the connectors whose providers deliver to us."""
        return {n: one for n, one in self.connectors.items() if isinstance(one, Receives)}


def build(environ: Mapping[str, str], providers: Sequence[Provider] = PROVIDERS) -> Registry:
    """Raises `Misconfigured` for a setting that is there and wrong."""
    endpoints: dict[type[Endpoint], Endpoint] = {}
    connectors: dict[str, Connector] = {}
    off: dict[str, str] = {}
    for provider in providers:
        name = provider.connector.name
        if missing := _missing(provider.settings, environ, one_of=provider.one_of):
            off[name] = missing
            continue
        settings = load(provider.settings, environ)
        connectors[name] = provider.connector(settings)
        if provider.endpoint is not None and provider.endpoint not in endpoints:
            own = provider.endpoint.own_settings
            endpoint = provider.endpoint(load(own, environ) if own else settings)
            endpoints[provider.endpoint] = endpoint
    by_path = {endpoint.path: endpoint for endpoint in endpoints.values()}
    logins, logins_off = _logins(environ)
    return Registry(
        endpoints=by_path,
        connectors=connectors,
        off=off,
        logins=logins,
        logins_off=logins_off,
        signed_requests=_signed_requests(environ),
        security_events=_security_events(environ),
    )


def _signed_requests(environ: Mapping[str, str]) -> SignedRequests:
    """With the secrets that sign deliveries, by the login of their app."""
    found: dict[str, list[Secret]] = {}
    if not _missing(MetaApps, environ):
        for name, secret in load(MetaApps, environ).secrets:
            found.setdefault(name.partition("-")[0], []).append(secret)
    return SignedRequests(found)


def _security_events(environ: Mapping[str, str]) -> SecurityEvents | None:
    if _missing(GoogleSettings, environ):
        return None
    return SecurityEvents([load(GoogleSettings, environ).client_id])


def _logins(environ: Mapping[str, str]) -> tuple[dict[str, OAuthLogin], dict[str, str]]:
    logins: dict[str, OAuthLogin] = {}
    off: dict[str, str] = {}
    for name, line in LOGINS.items():
        if missing := _missing(line.settings, environ, line.needs):
            off[name] = missing
        else:
            logins[name] = line.login(load(line.settings, environ))
    return logins, off


def _missing(
    settings: type[msgspec.Struct],
    environ: Mapping[str, str],
    needs: Sequence[str] = (),
    one_of: Sequence[str] = (),
) -> str | None:
    required = [f.encode_name for f in msgspec.structs.fields(settings) if f.required]
    for name in (*required, *needs):
        if not _is_set(name, environ):
            return name
    if one_of and not any(_is_set(name, environ) for name in one_of):
        return " or ".join(one_of)
    return None


def _is_set(name: str, environ: Mapping[str, str]) -> bool:
    return bool(environ.get(name) or environ.get(f"{name}_FILE"))
