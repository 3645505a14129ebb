"""How a grant stays alive: its tokens, when they are due, and what renews them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

import msgspec

from contracts.tokens import Secret

if TYPE_CHECKING:
    import httpx


class Tokens(msgspec.Struct, frozen=True):
    """What a provider gave for a grant. Times are aware UTC, by our own clock.

    `obtained_at`: when it gave them, or said last that they are good. `expires_at` None: the token
    ends by an event alone (a password change, a revocation), never by time, so that it is checked
    now and then instead of renewed.
    """

    access_token: Secret
    obtained_at: datetime
    expires_at: datetime | None = None
    refresh_token: Secret | None = None


class Refreshed(msgspec.Struct, frozen=True):
    """A provider's answer to a refresh or a check.

    `tokens.refresh_token` None: it was not sent again, so the old one stays. `scopes` None: the
    provider did not say what is granted now.
    """

    tokens: Tokens
    scopes: frozenset[str] | None = None


class Login(ABC):
    """One way to consent (`meta`, `instagram`, `google`); it may carry accounts of several
    connectors.
    """

    name: ClassVar[str]
    rotates: ClassVar[bool]
    """Whether a refresh spends the refresh token: then an answer that is lost cannot be asked for
    again, and the grant may need its owner."""

    @abstractmethod
    def due_at(self, tokens: Tokens) -> datetime | None:
        """When `tokens` want to be refreshed or checked at the latest; None when there is nothing
        to do. The tenth of the time before it is used to spread the grants.
        """

    @abstractmethod
    def refresh(self, client: httpx.Client, tokens: Tokens) -> Refreshed:
        """Newer tokens, or the same with a later `obtained_at` when they were only checked.

        `client` carries no token, and ends every call within its deadline. Errors hold no content.
        Raises `Retryable`, `Throttled`, `Reauthorize` (the owner must consent again) and
        `Permanent` (our own set-up is refused: an operator's fault, never the owner's).
        """
