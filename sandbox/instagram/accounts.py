"""Instagram's professional accounts, and what each has granted to the Instagram app."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.facebook.errors import unauthorized
from sandbox.fields import JsonObject
from sandbox.oauth.apps import App
from sandbox.oauth.clock import Clock
from sandbox.oauth.codes import Codes

CODE_LIFE_S = 3_600
SHORT_S = 3_600
LONG_S = 5_184_000
YOUNGEST_S = 86_400
"""A token that is younger than a day is not refreshed."""

BASIC = "instagram_business_basic"
SCOPES = {
    BASIC: "Your profile and media",
    "instagram_business_manage_messages": "Read and answer your messages",
    "instagram_business_manage_comments": "Read and answer comments",
    "instagram_business_content_publish": "Publish content for you",
    "instagram_business_manage_insights": "Read insights",
}
FIELDS = (
    "comments",
    "live_comments",
    "mentions",
    "message_echoes",
    "message_edit",
    "message_reactions",
    "messages",
    "messaging_handover",
    "messaging_optins",
    "messaging_postbacks",
    "messaging_referral",
    "messaging_seen",
    "standby",
)
ACCOUNTS = (
    ("17841400000000001", "26000000000000001", "demo.page", "Demo Page"),
    ("17841400000000002", "26000000000000002", "corner.bakery", "Corner Bakery"),
)
"""Professional account id, app-scoped id, user name, name."""


@dataclass(eq=False)
class Account:
    """An account and its grant; `granted` None: not connected.

    `user_id` is the professional account's id, which webhooks name; `id` is scoped to the app.
    `always_on`: its webhooks go out although nobody subscribed, until somebody does.
    """

    user_id: str
    id: str
    username: str
    name: str
    always_on: bool = False
    granted: set[str] | None = None
    was_connected: bool = False
    subscribed: bool = False
    was_subscribed: bool = False

    def allow(self, scopes: set[str]) -> None:
        """Record what the owner allowed, in place of what was allowed before."""
        self.granted, self.was_connected = scopes, True

    def allows(self, scope: str) -> bool:
        """Whether the scope is granted to the app now."""
        return self.granted is not None and scope in self.granted

    def subscribe(self, on: bool) -> None:
        """Subscribe to all of the app's fields, or to none; from now on that decides."""
        self.subscribed, self.was_subscribed = on, True

    def why_silent(self) -> str | None:
        """Return why its webhooks do not go out, or None if they do."""
        if self.always_on and not self.was_subscribed:
            return None
        if not self.subscribed:
            return "the app is not subscribed to this account"
        if not self.allows("instagram_business_manage_messages"):
            return "instagram_business_manage_messages is not granted any more"
        return None


@dataclass(eq=False)
class Token:
    """A token of an account; `ended` is a subcode of 190."""

    value: str = field(repr=False)
    account: Account
    issued_at: int
    expires_at: int
    lasting: bool
    ended: int | None = None

    def fault(self, now: int) -> int | None:
        """Return the subcode of 190 that this token meets, or None if it is good."""
        return self.ended or (463 if self.expires_at <= now else None)


class Accounts:
    """The Instagram app, its accounts and tokens; `reset` begins anew."""

    def __init__(self, app: App, clock: Clock) -> None:
        self.app, self.clock = app, clock
        self.contact_name: Callable[[str, str], str | None] = lambda account, contact: None
        self.reset()

    def reset(self) -> None:
        """Nobody has granted anything; the accounts are those that are always there."""
        self.flat, self.profiles_hidden = False, False
        self.codes = Codes[Account](self.clock, CODE_LIFE_S)
        self._tokens: dict[str, Token] = {}
        accounts = [Account(*one) for one in ACCOUNTS] if self.app.exists else []
        self.all = {account.user_id: account for account in accounts}

    def find(self, account_id: str) -> Account | None:
        """Return the account with this professional id."""
        return self.all.get(account_id)

    def issue(self, account: Account, *, lasting: bool) -> Token:
        """Issue a token for an hour, or for 60 days."""
        now = self.clock.now()
        value = "IGAA" + secrets.token_urlsafe(90)
        token = Token(value, account, now, now + (LONG_S if lasting else SHORT_S), lasting)
        self._tokens[value] = token
        return token

    def check(self, value: str) -> Token:
        """Return a token that lives. Raises `GraphError` 190 with its subcode."""
        token = self._tokens.get(value)
        if token is None:
            raise unauthorized(None, self.app.id)
        if (subcode := token.fault(self.clock.now())) is not None:
            raise unauthorized(subcode, self.app.id)
        return token

    def revoke(self, account: Account, subcode: int = 458) -> None:
        """Let an account's tokens die; without the app its grant ends too."""
        if subcode == 458:
            account.granted = None
        for token in self._tokens.values():
            if token.account is account and token.ended is None:
                token.ended = subcode

    def live(self, account: Account | None = None) -> int:
        """Return how many tokens live, of one account or of all."""
        now = self.clock.now()
        tokens = self._tokens.values()
        return sum(account in (None, one.account) and one.fault(now) is None for one in tokens)

    def state(self) -> JsonObject:
        """Return what is left at Instagram, for tests and the control page."""
        accounts = self.all.values()
        subscribed = [account.user_id for account in accounts if account.subscribed]
        return {
            "live_tokens": self.live(),
            "waiting_codes": self.codes.waiting(),
            "subscriptions": {account: list(FIELDS) for account in subscribed},
            "accounts": [self._account(account) for account in accounts],
        }

    def _account(self, account: Account) -> JsonObject:
        return {
            "user_id": account.user_id,
            "id": account.id,
            "username": account.username,
            "name": account.name,
            "always_on": account.always_on,
            "connected": account.granted is not None,
            "was_connected": account.was_connected,
            "granted": sorted(account.granted or ()),
            "subscribed": account.subscribed,
            "live_tokens": self.live(account),
        }
