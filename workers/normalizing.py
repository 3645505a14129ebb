"""From an opened item and a connection to sealed messages, ready to be logged."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from msgspec import UNSET

from contracts.connection import AccountDetails, decode_details
from contracts.connector import Account, Event, Ignored, Item, Receives, Unreadable
from contracts.content import (
    CommentCreated,
    Content,
    Conversation,
    MessageDelivered,
    MessageFailed,
    MessageRead,
    MessageSent,
)
from contracts.errors import GatewayError
from contracts.lookups import Completes
from contracts.messages import PREFIX, Message, data_schema, encode, timestamp
from contracts.profiles import TellsProfiles
from storage import message_id
from storage.connections import Connection
from storage.database import now_ms
from storage.deliveries import park_id
from storage.turns import Append, Lookup, NewMedia, Park, Settled, Thread
from token_vault import Purpose, TenantKeys, Vault, contact_hash, conversation_id, sent_hash
from workers.acquainting import Acquainting
from workers.attaching import to_be_fetched

log = structlog.get_logger()

_DAY_MS: Final = 86_400_000
_FUTURE_DAYS: Final = 2
_KNOWN_ACCOUNTS: Final = 10_000
PATIENCE_S: Final = 900.0
"""A message that is to be completed is said as it came when that did not succeed for so long."""


RECEIPTS: Final = (MessageSent, MessageDelivered, MessageRead, MessageFailed)
"""Types of messages that may be about our own sends."""


class Happened(NamedTuple):
    """An event as it was read for a connection; `place` is that of its message in the outcome."""

    place: int
    event: Event
    received_at_ms: int
    channel: str
    connection: Connection
    late: bool


class Outcome(NamedTuple):
    """What an item became for one connection: messages, how it failed where it did, with whom it
    has conversations, what is to be looked up before it is a message, media to be fetched, events
    that may be about our own sends, and once these are matched their outcomes; the connection, if
    it is to be looked at.
    """

    appends: list[Append]
    unreadable: list[Unreadable]
    threads: list[Thread]
    lookups: list[Lookup]
    media: list[NewMedia]
    told: list[Happened]
    settled: list[Settled]
    looks: list[str]

    def and_then(self, other: "Outcome") -> None:
        """What another item became comes after it."""
        before = len(self.appends)
        told = [one._replace(place=one.place + before) for one in other.told]
        mine: Iterable[list[Any]] = self
        theirs: Iterable[list[Any]] = other._replace(told=told)
        for part, more in zip(mine, theirs, strict=True):
            part.extend(more)

    def for_turn(self) -> dict[str, Any]:
        """What is to be written, by the names of a `Turn`. What is told of our own sends is in the
        messages, once it was matched (`workers.matching`).
        """
        parts = self._asdict().items()
        return {name: part for name, part in parts if name not in ("unreadable", "told")}


def nothing() -> Outcome:
    """Of no item."""
    return Outcome(*([] for _ in Outcome._fields))


def account_details(connection: Connection, keys: TenantKeys) -> AccountDetails:
    """Open a connection's details. Raises `VaultError`."""
    plain = keys.open(Purpose.CONNECTION, connection.id.encode(), connection.sealed)
    return decode_details(plain)


class Normalizer:
    """Turns items into messages of one deployment. Safe to share between threads."""

    def __init__(
        self,
        vault: Vault,
        public_url: str,
        ignored: Callable[[str, str], None] = lambda provider, kind: None,
    ) -> None:
        """`ignored` hears of each happening that is passed over: provider and kind."""
        self._vault, self._ignored = vault, ignored
        self._schemas: dict[type[Content], str] = {}
        self._public_url = public_url
        self._accounts: OrderedDict[str, str] = OrderedDict()
        self.acquainting = Acquainting()

    def normalize(
        self,
        item: Item,
        received_at_ms: int,
        connector: Receives,
        connection: Connection,
        *,
        late: bool = False,
    ) -> Outcome:
        """All messages of `item` for `connection`, of the features that were chosen for it.

        Content that cannot be read is reported, never raised. Raises `KeyDestroyed` when the tenant
        was shredded, `Unavailable` while keys are away.
        """
        keys = self._vault.tenant(connection.tenant)
        account = self._account(connection, keys)
        outcome = nothing()
        try:
            for event in connector.normalize(item, self._context(connection, account, keys)):
                if isinstance(event, Ignored):
                    self._ignored(connector.name, event.kind)
                    continue
                if not _is_chosen(connector.feature_of(event), connection):
                    continue
                if isinstance(event, Unreadable):
                    outcome.unreadable.append(event)
                    continue
                append = self.append(
                    event, received_at_ms, connector.channel, connection, late=late
                )
                if isinstance(connector, Completes) and type(event.content) in connector.completes:
                    outcome.lookups.append(Lookup(append, now_ms() + int(PATIENCE_S * 1000)))
                    continue
                happened = Happened(
                    len(outcome.appends), event, received_at_ms, connector.channel, connection, late
                )
                asks = isinstance(connector, TellsProfiles)
                self._add(happened, append, outcome, asks=asks)
        except (GatewayError, MemoryError):
            raise
        # a connector's mistake must not stop the lane: it parks the item
        except Exception as error:  # noqa: BLE001
            log.error("normalize.failed", provider=connection.provider, error=type(error).__name__)
            outcome.unreadable.append(Unreadable("item", type(error).__name__))
        return outcome

    def _add(self, happened: Happened, append: Append, outcome: Outcome, *, asks: bool) -> None:
        """Its message, and what comes with it. `asks`: who contacts are can be asked for; of who
        comments the name comes along.
        """
        _, event, received_at_ms, _, connection, _ = happened
        if isinstance(event.content, RECEIPTS):
            outcome.told.append(happened)
        if event.look:
            outcome.looks.append(connection.id)
        outcome.appends.append(append)
        keys = self._vault.tenant(connection.tenant)
        if event.media:
            outcome.media.extend(to_be_fetched(event, append, keys))
        at_ms = min(append.at_ms, received_at_ms)
        if (thread := self._met(event, at_ms, connection, keys)) is not None:
            asks = asks and not isinstance(event.content, CommentCreated)
            outcome.threads.append(thread._replace(ask=asks))

    def _met(
        self, event: Event, at_ms: int, connection: Connection, keys: TenantKeys
    ) -> Thread | None:
        account = self._account(connection, keys)
        return self.acquainting.met(event, at_ms, connection.id, connection.provider, account, keys)

    def conversation(self, connection: Connection, thread: str) -> Conversation:
        """The connection's conversation of a thread key, see `contracts.connector.Account`."""
        keys = self._vault.tenant(connection.tenant)
        account = self._account(connection, keys)
        return self._context(connection, account, keys).conversation(thread)

    def sent_hash(self, connection: Connection, message_id: str) -> bytes:
        """How the outbox knows the connection's message, by the provider's id."""
        keys = self._vault.tenant(connection.tenant)
        account = self._account(connection, keys)
        return sent_hash(keys, connection.provider, account, message_id)

    def append(
        self,
        event: Event,
        received_at_ms: int,
        channel: str,
        connection: Connection,
        *,
        late: bool = False,
    ) -> Append:
        """One event as a sealed message of `connection`."""
        keys = self._vault.tenant(connection.tenant)
        account = self._account(connection, keys)
        digest = keys.hash("message", connection.provider, account, event.key)
        at_ms = int(event.at.timestamp() * 1000)
        day = event_day(at_ms, received_at_ms)
        conversation: Any = getattr(event.content, "conversation", UNSET)
        message = Message(
            id=message_id.pack(day, digest),
            source=f"/{connection.provider}/{account}",
            type=PREFIX + event.content.type,
            subject=conversation.id if isinstance(conversation, Conversation) else UNSET,
            time=timestamp(event.at),
            dataschema=self._schema(type(event.content)),
            tenant=connection.tenant,
            connection=connection.id,
            provider=connection.provider,
            channel=channel,
            late=True if late else UNSET,
            data=event.content,
        )
        return Append(
            tenant=connection.tenant,
            connection=connection.id,
            type=event.content.type,
            day=day,
            hash=digest,
            contact=contact_hash(keys, connection.provider, event.contact),
            at_ms=at_ms,
            sealed=keys.seal(Purpose.MESSAGE, message_id.seal_id(day, digest), encode(message)),
        )

    def park(
        self,
        item: Item,
        number: int,
        received_at_ms: int,
        connection: Connection,
        reason: str,
        detail: str,
    ) -> Park:
        """`item` sealed for the tenant of `connection`, which cannot have it yet."""
        park = park_id(number)
        keys = self._vault.tenant(connection.tenant)
        sealed = keys.seal(Purpose.PARKED, park.encode(), msgspec.msgpack.encode(item))
        return Park(
            park,
            number,
            connection.id,
            connection.tenant,
            connection.provider,
            reason,
            detail[:500],
            received_at_ms,
            sealed,
        )

    def unpark(self, park: Park) -> Item:
        """The inverse of `park`. Raises `VaultError`."""
        keys = self._vault.tenant(park.tenant)
        plain = keys.open(Purpose.PARKED, park.id.encode(), park.sealed)
        return msgspec.msgpack.decode(plain, type=Item)

    def _context(self, connection: Connection, account: str, keys: TenantKeys) -> Account:
        return Account(account, _Conversations(keys, connection.provider, account))

    def _account(self, connection: Connection, keys: TenantKeys) -> str:
        known = self._accounts.get(connection.id)
        if known is None:
            known = account_details(connection, keys).account
            self._accounts[connection.id] = known
            if len(self._accounts) > _KNOWN_ACCOUNTS:
                self._accounts.popitem(last=False)
        return known

    def _schema(self, content: type[Content]) -> str:
        if content not in self._schemas:
            self._schemas[content] = data_schema(self._public_url, content)
        return self._schemas[content]


class _Conversations:
    """An account's conversations by thread key: `cnv_` and 22 characters of a keyed hash."""

    def __init__(self, keys: TenantKeys, provider: str, account: str) -> None:
        self._keys, self._provider, self._account = keys, provider, account

    def __call__(self, thread: str) -> Conversation:
        return Conversation(conversation_id(self._keys, self._provider, self._account, thread))


def _is_chosen(feature: str | None, connection: Connection) -> bool:
    """Of one made by hand nobody chose: it gets everything."""
    return feature is None or not connection.features or feature in connection.features


def event_day(at_ms: int, received_at_ms: int) -> int:
    """The event's day since 1970-01-01, UTC; day 0 for one more than two days ahead of the day of
    receiving, which is no clock's: its deduplication key would have no partition for long.

    So an event has the same id whenever it is delivered again, but for one: that was three days
    ahead or more, and comes again when its day is at most two ahead. It appears twice. Only a clock
    that is days wrong can cause it; going by the day of receiving would make two of everything that
    is repeated after midnight.
    """
    day = at_ms // _DAY_MS
    return day if day <= received_at_ms // _DAY_MS + _FUTURE_DAYS else 0


def utc(at_ms: int) -> datetime:
    """Unix milliseconds as an aware UTC time."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)
