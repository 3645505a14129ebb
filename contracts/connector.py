"""What a provider implements: data, then a few short pure functions. See docs/connectors.md."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, ClassVar, Final

import msgspec

from contracts.content import AccountNotice, Content, Conversation, ProviderUnrecognized
from contracts.media import Media


class Delivery(msgspec.Struct, frozen=True):
    """One POST as it came in, nothing checked: raw body bytes, header names in lower case."""

    headers: Mapping[str, str]
    body: bytes


_BY_VERIFICATION: Final = object()


class VerifiedDelivery:
    """A delivery whose sender is proven; `Endpoint.verify` is the only way to one.

    `signer` names the secret that matched (e.g. `meta`), since one endpoint may know several.
    """

    __slots__ = ("body", "headers", "signer")

    def __init__(self, delivery: Delivery, signer: str, proof: object) -> None:
        if proof is not _BY_VERIFICATION:
            raise TypeError("a VerifiedDelivery is made by Endpoint.verify alone")
        self.headers, self.body, self.signer = delivery.headers, delivery.body, signer


class Item(msgspec.Struct, frozen=True, array_like=True):
    """What concerns one account in a delivery, cut from its raw bytes; it is stored sealed.

    `route` is the route key (a Page id, phone number id, mailbox …) that finds the connections.
    """

    provider: str
    route: str
    raw: bytes


class Endpoint(ABC):
    """One callback URL, `/webhooks/{path}`; it may serve several connectors."""

    path: ClassVar[str]
    own_settings: ClassVar[type[msgspec.Struct] | None] = None
    """What it is built from, where its providers' settings differ; None: from the provider's."""

    @abstractmethod
    def __init__(self, settings: Any) -> None:
        """`settings`: the struct that `own_settings` names, or the registry line."""

    @abstractmethod
    def handshake(self, query: Mapping[str, str]) -> str:
        """The text to answer a GET with. Raises `BadSignature` when it is not the provider's."""

    @abstractmethod
    def check(self, delivery: Delivery) -> str:
        """The name of the secret that signed `delivery`. Raises `BadSignature`."""

    @abstractmethod
    def split(self, delivery: VerifiedDelivery) -> list[Item]:
        """Items in order: one per account, and one for each part that cannot be read.

        Raises `MalformedDelivery` when not even that can be told, and nothing else.
        """

    def verify(self, delivery: Delivery) -> VerifiedDelivery:
        """Proof that `check` passed. Raises `BadSignature`."""
        return VerifiedDelivery(delivery, self.check(delivery), _BY_VERIFICATION)


class Account(msgspec.Struct, frozen=True):
    """The connection for which an item is normalised, as far as a connector may know it.

    `conversation(thread)` gives the stable conversation of a thread key (for direct talk: the
    contact's id at the provider); its id is a keyed hash, so connectors cannot make it themselves.
    """

    id: str
    conversation: Callable[[str], Conversation]


class Event(msgspec.Struct, frozen=True):
    """One normalised happening, before it becomes a message.

    `key`: deduplication key, unique within (tenant, provider, account); see the provider's table.
    `at`: the provider's time, aware UTC. `contact`: the contact's id at the provider, for the
    rights of data subjects, or None where nobody is concerned. `media`: what is to be fetched of
    the content's attachments; only a connector that `KeepsMedia` names any. `send`: the id of the
    send (`snd_…`) which it is about, where the provider brings that back. `look`: it tells of what
    we may do there, so that the connection is looked at.
    """

    content: Content
    key: str
    at: datetime
    contact: str | None = None
    media: tuple[Media, ...] = ()
    send: str | None = None
    look: bool = False


class Unreadable(msgspec.Struct, frozen=True):
    """An event of a known kind whose content cannot be read: its item is parked for an operator.

    `error` says what was wrong, without content.
    """

    kind: str
    error: str


class Ignored(msgspec.Struct, frozen=True):
    """A happening of a kind that we know and pass over, as the provider's page in the docs says:
    counted by `kind`, and nothing else. What is new is not that, but `provider.unrecognized`.
    """

    kind: str


class Feature(msgspec.Struct, frozen=True):
    """What a tenant can ask for, and the provider's scopes that it needs. `brings`: message types
    that go to those alone who chose it. Not `usual`: nobody has it who did not name it, since the
    provider reviews its scopes apart, and refuses dialogs of apps that it has not allowed them.
    """

    name: str
    scopes: tuple[str, ...]
    brings: tuple[type[Content], ...] = ()
    usual: bool = True


FOR_ALL: Final[tuple[type[Content], ...]] = (AccountNotice, ProviderUnrecognized)
"""Message types that no feature brings: whoever has the account may have them."""


class Connector(ABC):
    """One provider: its description as data. What it can do beyond are capabilities, each a class
    that a connector may derive from: `Receives`, `Offers` and `Subscribes` of
    `contracts/accounts.py`, and `KeepsMedia` of `contracts/media.py`.
    """

    name: ClassVar[str]
    """Provider name, as in `/v1/providers` and a message's `provider`."""
    channel: ClassVar[str]
    """Channel name, as in a message's `channel`."""
    title: ClassVar[str]
    """Name for people."""
    features: ClassVar[tuple[Feature, ...]]

    def __init__(self, settings: Any) -> None:
        """`settings`: the struct that the registry line names."""
        self.settings = settings

    @classmethod
    def usual_features(cls) -> list[str]:
        """Names of those that are meant where nobody names any."""
        return [feature.name for feature in cls.features if feature.usual]

    def findings(self, today: date) -> tuple[str, ...]:
        """What an operator should mend in this provider's settings, for `gateway check`."""
        return ()


class Receives(Connector):
    """A connector whose provider delivers to one of our endpoints: how items become events."""

    events: ClassVar[Mapping[str, Any]]
    """Event table: the provider's kind → the function that normalises it."""
    emits: ClassVar[tuple[type[Content], ...]]
    """Every message type that this connector can produce, for its documentation and its tests."""

    def feature_of(self, happening: Event | Unreadable) -> str | None:
        """The feature that brings it; None: it goes to every connection. Tenants share an account's
        subscription, so that one of them gets to hear what another has chosen.
        """
        if isinstance(happening, Unreadable):
            return None
        kind = type(happening.content)
        return next((one.name for one in self.features if kind in one.brings), None)

    @abstractmethod
    def normalize(self, item: Item, account: Account) -> Iterator[Event | Unreadable | Ignored]:
        """Events of `item` in the provider's order. Pure, and raises nothing.

        A kind that is new becomes `provider.unrecognized`, one that cannot be read becomes
        `Unreadable`, one that is passed over on purpose `Ignored`: none hides a neighbour.
        """


class Provider(msgspec.Struct, frozen=True):
    """A registry line: how to build a provider from the environment.

    `settings` is a struct of the provider's own (see `contracts.settings.load`); without its
    required values, and one of `one_of`, the provider is off. `connector` and `endpoint` are called
    with it, the endpoint with its own struct if it has one. Providers that name the same `endpoint`
    share one instance of it; one whose connector does not receive has none.
    """

    connector: type[Connector]
    settings: type[msgspec.Struct]
    endpoint: type[Endpoint] | None = None
    one_of: tuple[str, ...] = ()
