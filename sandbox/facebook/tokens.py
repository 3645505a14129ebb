"""Facebook's access tokens: whose they are, how long they live, and what ended them."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from sandbox.facebook.errors import unauthorized
from sandbox.facebook.world import Page, Person
from sandbox.oauth.clock import Clock

SHORT_S = 5_400
LONG_S = 5_183_944
"""A user token lives for about an hour and a half, an exchanged one for about 60 days."""


Kind = Literal["USER", "PAGE", "SYSTEM_USER"]


@dataclass(eq=False)
class Token:
    """A token of a person, or of a person for a Page; `ended` is a subcode of 190.

    `expires_at` 0: never, as of a Page's token that came from a long-lived one.
    """

    value: str = field(repr=False)
    kind: Kind
    person: Person
    page: Page | None
    issued_at: int
    expires_at: int
    ended: int | None = None

    def fault(self, now: int) -> int | None:
        """Return the subcode of 190 that this token meets, or None if it is good."""
        if self.ended is not None:
            return self.ended
        if self.expires_at and self.expires_at <= now:
            return 463
        return 492 if self.page is not None and self.person.id not in self.page.roles else None


class Tokens:
    """All tokens that were issued for the app."""

    def __init__(self, clock: Clock, app_id: str) -> None:
        self._clock, self._app_id = clock, app_id
        self._tokens: dict[str, Token] = {}

    def user(self, person: Person, life_s: int) -> Token:
        """Issue a person's token."""
        return self._issue("USER", person, None, self._clock.now() + life_s)

    def system(self, user: Person) -> Token:
        """Issue the token of a system user: time does not end it."""
        return self._issue("SYSTEM_USER", user, None, 0)

    def page(self, owner: Token, page: Page) -> Token:
        """Return the Page's token that belongs to a person's: the same one as long as it lives."""
        lasting = owner.expires_at - owner.issued_at > SHORT_S
        expires_at = 0 if lasting else owner.expires_at
        for token in self._live():
            same = token.page is page and token.person is owner.person
            if same and token.expires_at == expires_at:
                return token
        return self._issue("PAGE", owner.person, page, expires_at)

    def find(self, value: str) -> Token | None:
        """Return a token, dead or alive."""
        return self._tokens.get(value)

    def check(self, value: str) -> Token:
        """Return a token that lives. Raises `GraphError` 190 with its subcode."""
        token = self.find(value)
        if token is None:
            raise unauthorized(None, self._app_id)
        if (subcode := token.fault(self._clock.now())) is not None:
            raise unauthorized(subcode, self._app_id)
        return token

    def end(self, person: Person, subcode: int) -> None:
        """Let all tokens of a person die."""
        for token in self._tokens.values():
            if token.person is person and token.ended is None:
                token.ended = subcode

    def live(self, person: Person | None = None) -> int:
        """Return how many tokens live, of one person or of all."""
        return sum(person in (None, token.person) for token in self._live())

    def _live(self) -> Iterable[Token]:
        now = self._clock.now()
        return [token for token in self._tokens.values() if token.fault(now) is None]

    def _issue(self, kind: Kind, person: Person, page: Page | None, expires_at: int) -> Token:
        value = "EAA" + secrets.token_hex(60)
        token = Token(value, kind, person, page, self._clock.now(), expires_at)
        self._tokens[value] = token
        return token
