"""What people have granted to the Cloud project, and the tokens that came of it."""

import secrets
from dataclasses import dataclass, field

from sandbox.fields import JsonObject
from sandbox.google.keys import SigningKey
from sandbox.google.people import PEOPLE, Person
from sandbox.google.scopes import SIGN_IN, is_gmail
from sandbox.oauth.apps import App
from sandbox.oauth.clock import Clock
from sandbox.oauth.codes import Codes

CODE_LIFE_S = 600
ACCESS_LIFE_S = 3_599
TESTING_LIFE_S = 7 * 86_400
MOST_REFRESH_TOKENS = 100
"""Live refresh tokens of one account for one client: the oldest dies silently."""


@dataclass(frozen=True)
class Consent:
    """What one code stands for."""

    person: Person
    scopes: frozenset[str]
    offline: bool
    challenge: str | None
    nonce: str | None


@dataclass(eq=False)
class Token:
    """An access or refresh token; `expires_at` None: not by time."""

    value: str = field(repr=False)
    person: Person
    scopes: frozenset[str]
    issued_at: int
    expires_at: int | None
    refresh: bool
    dead: bool = False

    def lives(self, now: int) -> bool:
        """Whether it is good."""
        return not self.dead and (self.expires_at is None or self.expires_at > now)


class Google:
    """The project's client, its people and tokens; `reset` begins anew, with the same key."""

    def __init__(self, app: App, clock: Clock) -> None:
        self.app, self.clock, self.key = app, clock, SigningKey()
        self.reset()

    def reset(self) -> None:
        """Nobody has granted anything.

        `testing`: refresh tokens end after seven days. `rotates`: each refresh spends its token,
        which Google does not do, but others do.
        """
        self.testing = self.rotates = False
        self.codes = Codes[Consent](self.clock, CODE_LIFE_S)
        self.people = {person.sub: person for person in PEOPLE}
        self._granted: dict[str, frozenset[str]] = {}
        self._tokens: dict[str, Token] = {}

    def granted(self, person: Person) -> frozenset[str]:
        """Return every scope that the person has granted to the project."""
        return self._granted.get(person.sub, frozenset())

    def allow(self, person: Person, scopes: frozenset[str]) -> None:
        """Add to what the person has granted."""
        self._granted[person.sub] = self.granted(person) | scopes

    def access(self, person: Person, scopes: frozenset[str]) -> Token:
        """Issue an access token, for an hour."""
        return self._issue("ya29.a0", person, scopes, ACCESS_LIFE_S, refresh=False)

    def refresher(self, person: Person, scopes: frozenset[str]) -> Token:
        """Issue a refresh token; the oldest dies when there are too many."""
        older = [token for token in self._live(person) if token.refresh]
        for token in older[: len(older) - MOST_REFRESH_TOKENS + 1]:
            token.dead = True
        life_s = TESTING_LIFE_S if self.testing and not scopes <= SIGN_IN else None
        return self._issue("1//0", person, scopes, life_s, refresh=True)

    def find(self, value: str, *, refresh: bool | None = None) -> Token | None:
        """Return a token that lives; `refresh` tells which kind is wanted."""
        token = self._tokens.get(value)
        if token is None or not token.lives(self.clock.now()):
            return None
        return token if refresh in (None, token.refresh) else None

    def revoke(self, person: Person) -> None:
        """End everything that the person granted to the project, whatever token was shown."""
        self._granted.pop(person.sub, None)
        for token in self._live(person):
            token.dead = True

    def change_password(self, person: Person) -> None:
        """Let the refresh tokens die that reach into the mailbox."""
        for token in self._live(person):
            if any(is_gmail(scope) for scope in token.scopes):
                token.dead = True

    def state(self) -> JsonObject:
        """Return what is left at Google, for tests and the control page."""
        return {
            "live_tokens": len(self._live()),
            "waiting_codes": self.codes.waiting(),
            "people": [self._person(person) for person in self.people.values()],
        }

    def _person(self, person: Person) -> JsonObject:
        tokens = self._live(person)
        return {
            "sub": person.sub,
            "email": person.email,
            "name": person.name,
            "connected": person.sub in self._granted,
            "scopes": sorted(self.granted(person)),
            "live_refresh_tokens": sum(token.refresh for token in tokens),
            "live_access_tokens": sum(not token.refresh for token in tokens),
        }

    def _live(self, person: Person | None = None) -> list[Token]:
        now = self.clock.now()
        tokens = self._tokens.values()
        return [one for one in tokens if one.lives(now) and person in (None, one.person)]

    def _issue(
        self,
        prefix: str,
        person: Person,
        scopes: frozenset[str],
        life_s: int | None,
        *,
        refresh: bool,
    ) -> Token:
        now = self.clock.now()
        expires_at = None if life_s is None else now + life_s
        value = prefix + secrets.token_urlsafe(72)
        token = Token(value, person, scopes, now, expires_at, refresh)
        self._tokens[value] = token
        return token
