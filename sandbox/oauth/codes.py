"""Authorization codes: each is for one redirect address, for a short time, and for one exchange."""

import secrets
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from sandbox.oauth.clock import Clock

C = TypeVar("C")

Refusal = Literal["unknown", "used", "expired", "redirect_uri"]


class CodeRefused(Exception):
    """A code cannot be exchanged; `reason` says why."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class _Code(Generic[C]):
    redirect_uri: str = field(repr=False)
    consent: C
    expires_at: int
    used: bool = False


class Codes(Generic[C]):
    """The codes of one login; `C` is what a consent came to."""

    def __init__(self, clock: Clock, life_s: int) -> None:
        self._clock, self._life_s = clock, life_s
        self._codes: dict[str, _Code[C]] = {}

    def issue(self, redirect_uri: str, consent: C, form: str = "{}") -> str:
        """Return a code; `form` gives it the look of the provider's."""
        code = form.format(secrets.token_urlsafe(48))
        self._codes[code] = _Code(redirect_uri, consent, self._clock.now() + self._life_s)
        return code

    def spend(self, code: str, redirect_uri: str) -> C:
        """Return what `code` stands for, once. Raises `CodeRefused`.

        The redirect address must be, byte for byte, the one for which the code was issued
        (RFC 6749, 4.1.3); a code that came with another one is not spent by that.
        """
        known = self._codes.get(code)
        if known is None:
            raise CodeRefused("unknown")
        if known.used:
            raise CodeRefused("used")
        if known.expires_at <= self._clock.now():
            raise CodeRefused("expired")
        if known.redirect_uri != redirect_uri:
            raise CodeRefused("redirect_uri")
        known.used = True
        return known.consent

    def knows(self, code: str) -> bool:
        """Whether it is one of these, spent or not."""
        return code in self._codes

    def expire(self) -> int:
        """Let every code that waits expire; return how many there were."""
        waiting = [code for code in self._codes.values() if self._waits(code)]
        for code in waiting:
            code.expires_at = 0
        return len(waiting)

    def waiting(self) -> int:
        """Return how many codes could still be exchanged."""
        return sum(self._waits(code) for code in self._codes.values())

    def _waits(self, code: _Code[C]) -> bool:
        return not code.used and code.expires_at > self._clock.now()
