"""What a connector can do for accounts beyond reading what comes in: offer them, subscribe them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar

import msgspec

from contracts.login import Granted
from contracts.tokens import Secret

if TYPE_CHECKING:
    import httpx


class AccountPart(msgspec.Struct, frozen=True):
    """What can be chosen of an account that has parts: a calendar, by its id at the provider."""

    id: str
    name: str
    chosen: bool = True
    """Whether it is ticked to begin with."""


class Choice(msgspec.Struct, frozen=True):
    """An account that a consent makes available.

    `account` is what a connection is known by (a Page id, a professional account's id, an e-mail
    address), as text. `token`: the account's own where it has one (a Page's). `hindrance` names
    why it cannot be connected, a key of the connect page's texts; empty when it can.
    """

    account: str
    name: str
    token: Secret | None = None
    hindrance: str = ""
    parts: tuple[AccountPart, ...] = ()
    parent: str = ""
    """What it is part of, where the provider subscribes that in its place and delivers what
    concerns all of it: the WhatsApp Business Account of a phone number, by its id."""


class Offers(ABC):
    """A connector whose accounts are connected by consent, through the login that it names."""

    login: ClassVar[str]

    @abstractmethod
    def accounts(self, client: httpx.Client, granted: Granted) -> list[Choice]:
        """What whoever consented may connect, best first; those too that cannot be, with why.

        `client` carries the token of `granted`. Raises the errors of `Login.refresh`.
        """


class Registers(ABC):
    """A connector whose accounts must be registered for our app before they can be used."""

    @abstractmethod
    def register(self, client: httpx.Client, account: str) -> None:
        """Register `account` unless it is registered. Asked for while a connection is being set up,
        and as long as that is refused; not later: who takes the account elsewhere means it.

        `client` carries the account's token. Raises `PermissionMissing` for what its owner has to
        change there, and the errors of `Login.refresh`.
        """


class Subscribed(msgspec.Struct, frozen=True):
    """What the provider says of an account's subscription: `missing` are fields that we want and it
    does not show. Not `on`: it delivers nothing at all.
    """

    on: bool
    missing: frozenset[str] = frozenset()


class Subscribes(ABC):
    """A connector whose accounts deliver only once they are subscribed.

    A subscription belongs to the account and our app, not to a tenant: all of them share it. Of an
    account that has a parent, `account` is the parent, which its other accounts share as well.
    `client` carries the account's token; all methods raise the errors of `Login.refresh`.
    """

    def parent(self, client: httpx.Client, account: str) -> str:
        """See `Choice.parent`: of an account that was connected without it. Empty: it has none."""
        return ""

    @abstractmethod
    def subscribe(self, client: httpx.Client, account: str, features: Collection[str]) -> None:
        """Have `account` deliver what `features` need, and keep what it delivers beyond."""

    @abstractmethod
    def inspect(self, client: httpx.Client, account: str, features: Collection[str]) -> Subscribed:
        """What the provider shows now, against what `features` need."""

    @abstractmethod
    def unsubscribe(self, client: httpx.Client, account: str) -> None:
        """Have it deliver nothing more. One that delivers nothing already is a success."""
