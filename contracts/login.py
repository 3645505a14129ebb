"""How a grant comes to be, stays alive and ends: consent, tokens, what renews and revokes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
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
    subject: str = ""
    """The provider's id of who consented, where ending the consent asks for it."""


class Consent(msgspec.Struct, frozen=True):
    """What somebody is asked to consent to, in the provider's own dialog.

    `redirect_uri` is exactly what the exchange names too, where there is a redirect. `challenge`:
    PKCE's (RFC 7636, S256), for a login that takes it. `again`: ask once more for what was
    declined.
    """

    state: Secret
    redirect_uri: str
    scopes: frozenset[str]
    challenge: str | None = None
    again: bool = False
    language: str = "en"


class Code(msgspec.Struct, frozen=True):
    """What came back from the dialog; single-use. `redirect_uri` None: no redirect brought it.
    `verifier`: PKCE's, which made the challenge.
    """

    code: Secret
    redirect_uri: str | None
    verifier: Secret | None = None


class Window(msgspec.Struct, frozen=True):
    """A dialog that a script of the provider's opens from a page of ours, in a window of its own:
    the page gets the code, and sends it to us.

    `script`: the address of the provider's script. `origins`: whose windows may speak to the page.
    `values`: what the page's own script hands to the provider's, by name; nothing secret.
    """

    script: str
    origins: tuple[str, ...]
    values: Mapping[str, str]


class Granted(msgspec.Struct, frozen=True):
    """What a consent gave. `tokens.subject` is who gave it, by an id that is stable for our app.

    `scopes`: what was granted, `declined`: what the provider says was not. `ids`: all ids by which
    the provider may later speak of who consented. `name`, `email`: for people; `email` only if it
    was granted. `targets`: scope → ids of what it was granted for, where the provider names them;
    a scope that is missing there says nothing.
    """

    tokens: Tokens
    scopes: frozenset[str]
    declined: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    targets: Mapping[str, frozenset[str]] = {}
    name: str = ""
    email: str | None = None


class Refreshed(msgspec.Struct, frozen=True):
    """A provider's answer to a refresh or a check.

    `tokens.refresh_token` None: it was not sent again, so the old one stays. `scopes` None: the
    provider did not say what is granted now.
    """

    tokens: Tokens
    scopes: frozenset[str] | None = None


class Login(ABC):
    """One way to consent (`meta`, `whatsapp`, `instagram`, `google`); it may carry accounts of
    several connectors.
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


class OAuthLogin(Login):
    """A login to which people consent in the provider's own dialog (OAuth 2.0, RFC 6749 §4.1): by a
    redirect, or in a window.
    """

    title: ClassVar[str]
    """Name for people."""
    takes_pkce: ClassVar[bool]
    accumulates: ClassVar[bool] = True
    """Whether tokens of a consent also have what the same person granted before; if not, what a
    connection has is asked for again with what it lacks."""
    always_asks: ClassVar[frozenset[str]] = frozenset()
    """Scopes that the dialog asks for beside those of the features: whose consent it is."""
    dialog_s: ClassVar[int] = 600
    """How long somebody may be in the dialog."""

    @property
    def lacks(self) -> str:
        """The setting without which its dialog cannot be opened, so that it serves tokens that were
        brought by hand alone; empty when there is none.
        """
        return ""

    @abstractmethod
    def exchange(self, client: httpx.Client, code: Code) -> Granted:
        """Tokens for a code: the longest-lived that the provider gives. Never repeated by itself,
        since a code is spent by the attempt.

        Raises `Reauthorize` when the code is refused (spent, expired, of another dialog), and what
        `refresh` raises. After `OutcomeUnknown` the person begins again.
        """

    @abstractmethod
    def carry(self, tokens: Tokens) -> httpx.Auth:
        """What puts the token upon the calls of a client, for the provider's own hosts alone."""

    @abstractmethod
    def permissions(self, client: httpx.Client, tokens: Tokens) -> frozenset[str] | None:
        """The scopes that the provider says are granted now; None where it has no way to tell
        without giving another token, so that only `refresh` may. `client` carries no token.

        Raises what `refresh` raises.
        """

    @abstractmethod
    def revoke(self, client: httpx.Client, tokens: Tokens) -> None:
        """End the consent of `tokens.subject` at the provider, with every token of it, also those
        that other tenants hold. One that is ended already is a success. `client` carries no token.

        Raises `Retryable` and `OutcomeUnknown` (again later), `Permanent` (never: also where the
        provider has no way to end a consent, but for its owner's own hand).
        """


class RedirectLogin(OAuthLogin):
    """The browser goes to the provider's dialog, and is sent back with the code."""

    @abstractmethod
    def consent_url(self, consent: Consent) -> str:
        """Where the browser goes to be asked."""


class WindowLogin(OAuthLogin):
    """A script of the provider's opens its dialog over a page of ours; nobody is sent anywhere."""

    @abstractmethod
    def window(self, consent: Consent) -> Window:
        """What the page needs to open it. Its code comes without a redirect URI."""


def redirect_uri(public_url: str, login: str) -> str:
    """Where the provider sends the browser back to; registered there, and compared byte by byte."""
    return f"{public_url.rstrip('/')}/oauth/{login}/callback"
