"""A provider in this process, which all tenants of a test share: consents, subscriptions."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from connectors.facebook import Facebook
from contracts.accounts import Choice, Offers, Subscribed, Subscribes
from contracts.errors import Permanent, Reauthorize, Retryable
from contracts.login import Code, Consent, Granted, RedirectLogin, Refreshed, Tokens
from contracts.tokens import Secret


class World:
    """What the provider knows. `up` False: it does not answer. `called` is called at each call, as
    soon as it took effect, or is known to get no answer: there a test lets something happen.
    """

    def __init__(self) -> None:
        self.up = True
        self.consents: dict[str, set[str]] = {}
        """Who consented → their live access tokens."""
        self.subscribed: set[str] = set()
        self.away = set[str]()
        """Calls that alone are not answered."""
        self.calls: list[str] = []
        self.called: Any = lambda _: None

    def consent(self, subject: str, token: str) -> Tokens:
        """Somebody consents: one more token of theirs is live."""
        self.consents.setdefault(subject, set()).add(token)
        now = datetime.now(UTC)
        return Tokens(Secret(token), now, now + timedelta(hours=1), Secret("refresh"), subject)

    def call(self, name: str) -> None:
        if not self.up or name.partition(" ")[0] in self.away:
            self.called("away")
            raise Retryable("the provider is away")
        self.calls.append(name)

    def check(self, token: str) -> None:
        if not any(token in live for live in self.consents.values()):
            raise Reauthorize("the token is dead")


class _Carries(httpx.Auth):
    def __init__(self, token: str) -> None:
        self.token = token


class WorldLogin(RedirectLogin):
    """A consent has one subject and any number of live tokens; ending it ends them all."""

    name, title, takes_pkce, rotates = "world", "World", False, False

    def __init__(self, world: World) -> None:
        self.world = world

    def due_at(self, tokens: Tokens) -> datetime | None:
        return tokens.expires_at

    def refresh(self, client: httpx.Client, tokens: Tokens) -> Refreshed:
        self.world.call("refresh")
        self.world.check(tokens.access_token.reveal())
        return Refreshed(tokens)

    def consent_url(self, consent: Consent) -> str:
        return f"https://world.example/consent?state={consent.state.reveal()}"

    def exchange(self, client: httpx.Client, code: Code) -> Granted:
        self.world.call("exchange")
        subject = code.code.reveal()
        return Granted(self.world.consent(subject, f"token of {subject}"), frozenset({"read"}))

    def carry(self, tokens: Tokens) -> httpx.Auth:
        return _Carries(tokens.access_token.reveal())

    def permissions(self, client: httpx.Client, tokens: Tokens) -> frozenset[str]:
        self.world.call("permissions")
        return frozenset({"read"})

    def revoke(self, client: httpx.Client, tokens: Tokens) -> None:
        self.world.call(f"revoke {tokens.subject}")
        self.world.consents.pop(tokens.subject, None)
        self.world.called("revoke")


class WorldPages(Facebook, Offers, Subscribes):
    """Pages of the world."""

    login = "world"
    world: World

    def accounts(self, client: httpx.Client, granted: Granted) -> list[Choice]:
        self.world.call("accounts")
        return [Choice("42", "Forty-two")]

    def subscribe(self, client: httpx.Client, account: str, features: Collection[str]) -> None:
        self.world.call(f"subscribe {account}")
        self._token(client)
        self.world.subscribed.add(account)
        self.world.called("subscribe")

    def inspect(self, client: httpx.Client, account: str, features: Collection[str]) -> Subscribed:
        self.world.call("inspect")
        self._token(client)
        return Subscribed(account in self.world.subscribed)

    def unsubscribe(self, client: httpx.Client, account: str) -> None:
        self.world.call(f"unsubscribe {account}")
        self._token(client)
        self.world.subscribed.discard(account)
        self.world.called("unsubscribe")

    def _token(self, client: httpx.Client) -> None:
        auth: Any = client.auth
        if isinstance(auth, _Carries):
            self.world.check(auth.token)
            return
        raise Permanent("a call without a token")
