"""A provider of Pages that is not there: what it knows, its login and its connector."""

import time
from collections.abc import Callable, Collection, Generator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

import httpx

from connectors.facebook import Facebook
from connectors.kit.meta.settings import MetaSettings
from contracts.accounts import Choice, Offers, Subscribed, Subscribes
from contracts.connector import Feature
from contracts.errors import PermissionMissing, Reauthorize
from contracts.login import Code, Consent, Granted, RedirectLogin, Refreshed, Tokens
from contracts.settings import load
from contracts.tokens import Secret
from tests.rig import ENVIRON

FIELDS: Final = frozenset({"messages", "messaging_postbacks"})
_MESSAGES, _COMMENTS = Facebook.features[:2]
SCOPES: Final = frozenset({"pages_messaging", "pages_manage_metadata"})


class Pages:
    """What the provider knows. Set its attributes to have it change its mind or misbehave."""

    def __init__(self) -> None:
        self.scopes = set(SCOPES)
        self.subscribed: dict[str, set[str]] = {}
        self.dead: set[str] = set()
        self.parents: dict[str, str] = {}
        self.keeps = FIELDS | {"feed"}
        """Fields that subscribing has an effect on."""
        self.fails: dict[str, list[Exception]] = {}
        """By call: what it fails with, one after the other."""
        self.delay_s = 0.0
        self.meanwhile: Callable[[str], None] = lambda _: None
        """Called with each call, before it has an effect."""
        self.calls: list[tuple[str, str]] = []
        """What was called, and with which token or for which account."""

    def answer(self, call: str, token: str, about: str = "") -> None:
        """Count a call, and fail as told."""
        self.calls.append((call, about or token))
        time.sleep(self.delay_s)
        self.meanwhile(call)
        if self.fails.get(call):
            raise self.fails[call].pop(0)
        if token in self.dead:
            raise Reauthorize("190/460, the password was changed", code="190/460")

    def names(self) -> list[str]:
        """What was called, in order; forgotten then."""
        calls, self.calls = [name for name, _ in self.calls], []
        return calls


class Carried(httpx.Auth):
    """A token upon a call."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = self._token.reveal()
        yield request


def token_of(client: httpx.Client) -> str:
    """What a client carries."""
    request = client.build_request("GET", "https://provider.example/")
    assert client.auth is not None
    return next(client.auth.sync_auth_flow(request)).headers["authorization"]


class PagesLogin(RedirectLogin):
    """Page tokens, which end by events and are checked once a day."""

    name, title, rotates, takes_pkce = "meta", "Pages", False, False

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def due_at(self, tokens: Tokens) -> datetime | None:
        return tokens.expires_at or tokens.obtained_at + timedelta(days=1)

    def refresh(self, client: httpx.Client, tokens: Tokens) -> Refreshed:
        self._pages.answer("refresh", tokens.access_token.reveal())
        checked = Tokens(tokens.access_token, datetime.now(UTC))
        return Refreshed(checked, frozenset(self._pages.scopes))

    def consent_url(self, consent: Consent) -> str:
        raise NotImplementedError

    def exchange(self, client: httpx.Client, code: Code) -> Granted:
        raise NotImplementedError

    def carry(self, tokens: Tokens) -> httpx.Auth:
        return Carried(tokens.access_token)

    def permissions(self, client: httpx.Client, tokens: Tokens) -> frozenset[str]:
        assert client.auth is None
        self._pages.answer("permissions", tokens.access_token.reveal())
        return frozenset(self._pages.scopes)

    def revoke(self, client: httpx.Client, tokens: Tokens) -> None:
        raise NotImplementedError


def meta_settings() -> MetaSettings:
    return load(MetaSettings, ENVIRON)


class PagesConnector(Facebook, Offers, Subscribes):
    """Subscribes at `Pages` in place of Meta."""

    login = "meta"
    features: ClassVar[tuple[Feature, ...]] = (
        Feature("messages", ("pages_messaging", "pages_manage_metadata"), _MESSAGES.brings),
        Feature("comments", ("pages_read_user_content",), _COMMENTS.brings),
    )

    def __init__(self, settings: Any, pages: Pages) -> None:
        super().__init__(settings)
        self._pages = pages

    def accounts(self, client: httpx.Client, granted: Granted) -> list[Choice]:
        raise NotImplementedError

    def parent(self, client: httpx.Client, account: str) -> str:
        return self._pages.parents.get(account, "")

    def subscribe(self, client: httpx.Client, account: str, features: Collection[str]) -> None:
        self._answer("subscribe", client, account)
        self._pages.subscribed.setdefault(account, set()).update(
            _wanted(features) & self._pages.keeps
        )

    def inspect(self, client: httpx.Client, account: str, features: Collection[str]) -> Subscribed:
        self._answer("inspect", client, account)
        shown = self._pages.subscribed.get(account)
        return Subscribed(shown is not None, _wanted(features) - (shown or set()))

    def unsubscribe(self, client: httpx.Client, account: str) -> None:
        self._answer("unsubscribe", client, account)
        self._pages.subscribed.pop(account, None)

    def _answer(self, call: str, client: httpx.Client, account: str) -> None:
        self._pages.answer(call, token_of(client), account)
        if "pages_manage_metadata" not in self._pages.scopes:
            raise PermissionMissing("200, a permission is missing", code="200")


def _wanted(features: Collection[str]) -> frozenset[str]:
    return FIELDS | {"feed"} if "comments" in features else FIELDS
