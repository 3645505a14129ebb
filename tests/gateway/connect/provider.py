"""A provider's login and its accounts, played in memory: for the pages, which see no more of it."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import msgspec

from connectors.facebook import Facebook
from connectors.registry import Registry, build
from contracts.accounts import Choice
from contracts.connector import Feature
from contracts.errors import GatewayError, Reauthorize
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
from contracts.tokens import Secret
from tests.rig import ENVIRON

DIALOG = "https://www.facebook.com/dialog"
SCOPES = frozenset({"messaging", "comments"})


class Provider:
    """What the provider knows; its attributes are set to have it answer otherwise."""

    def __init__(self) -> None:
        self.granted = SCOPES
        self.subject = "person-1"
        self.name = "Olena"
        self.refresh_token: str | None = None
        self.choices = [Choice("page-1", "Bakery", token=Secret("page-token-1"))]
        self.raises: GatewayError | None = None
        self.while_listing: Callable[[], None] = lambda: None
        self.codes: dict[str, str | None] = {}
        self.exchanged: list[Code] = []
        self._numbers = itertools.count()

    def consent(self, url: str) -> str:
        """Somebody agrees in the dialog: the address to which the browser is sent back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        code = f"code-{next(self._numbers)}"
        self.codes[code] = asked.get("code_challenge")
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def refuse(self, url: str) -> str:
        """Somebody presses cancel."""
        asked = parse_qs(urlsplit(url).query)
        told = {"error": "access_denied", "state": asked["state"][0]}
        return f"{asked['redirect_uri'][0]}?{urlencode(told)}"


class FakeConsents(OAuthLogin):
    """Consents to `provider`'s dialog."""

    rotates, takes_pkce = False, True

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.consents: list[Consent] = []

    def exchange(self, client: httpx.Client, code: Code) -> Granted:
        provider = self._provider
        assert "authorization" not in client.headers
        if provider.raises is not None:
            raise provider.raises
        challenge = provider.codes.pop(code.code.reveal(), None)
        provider.exchanged.append(code)
        if challenge is None or (code.verifier is None) == self.takes_pkce:
            raise Reauthorize("the code is spent")
        now = datetime.now(UTC)
        refresh = Secret(provider.refresh_token) if provider.refresh_token else None
        tokens = Tokens(
            Secret("user-token"), now, now + timedelta(hours=1), refresh, provider.subject
        )
        return Granted(
            tokens,
            provider.granted,
            declined=SCOPES - provider.granted,
            ids=frozenset({provider.subject, "other-id"}),
            name=provider.name,
        )

    def carry(self, tokens: Tokens) -> httpx.Auth:
        return httpx.Auth()

    def permissions(self, client: httpx.Client, tokens: Tokens) -> frozenset[str]:
        return self._provider.granted

    def revoke(self, client: httpx.Client, tokens: Tokens) -> None:
        raise NotImplementedError

    def due_at(self, tokens: Tokens) -> datetime | None:
        return None

    def refresh(self, client: httpx.Client, tokens: Tokens) -> Refreshed:
        raise NotImplementedError


class FakeOAuth(FakeConsents, RedirectLogin):
    """By a redirect."""

    name, title = "meta", "Facebook"

    def consent_url(self, consent: Consent) -> str:
        self.consents.append(consent)
        query = {
            "redirect_uri": consent.redirect_uri,
            "state": consent.state.reveal(),
            "scope": " ".join(sorted(consent.scopes)),
            "code_challenge": consent.challenge or "",
        }
        return f"{DIALOG}?{urlencode(query)}"


class FakeWindow(FakeConsents, WindowLogin):
    """In a window; `lacking`: the setting that it lacks."""

    name, title, takes_pkce = "meta", "Meta", False
    dialog_s: ClassVar[int] = 3_000
    lacking = ""

    @property
    def lacks(self) -> str:
        return self.lacking

    def window(self, consent: Consent) -> Window:
        self.consents.append(consent)
        values = {"app": "4242", "config": "77", "version": "v24.0"}
        origins = ("https://www.facebook.com", "https://web.facebook.com")
        return Window("https://connect.facebook.net/en_US/sdk.js", origins, values)


class FakePages(Facebook):
    """Pages of `provider`, with two features."""

    features: ClassVar[Any] = (
        Feature("messages", ("messaging",)),
        Feature("comments", ("comments",)),
    )
    provider: Provider

    def accounts(self, client: httpx.Client, granted: Granted) -> list[Choice]:
        self.provider.while_listing()
        return self.provider.choices


def registry(provider: Provider) -> tuple[Registry, FakeOAuth]:
    """The registry of an edge whose one provider is `provider`."""
    login = FakeOAuth(provider)
    return registry_with(provider, login), login


def registry_with(provider: Provider, login: OAuthLogin) -> Registry:
    """The same, with a login of one's own under the name `meta`."""
    built = build(ENVIRON)
    settings: Any = built.connectors["facebook"].settings
    pages = FakePages(settings)
    pages.provider = provider
    return msgspec.structs.replace(built, connectors={"facebook": pages}, logins={"meta": login})
