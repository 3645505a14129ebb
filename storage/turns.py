"""What a turn of draining reads and writes, as rows."""

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

import sqlalchemy as sa

from contracts.causes import PAUSED
from storage.leases import Lease
from storage.sending_schema import State

RECEIVING: Final = ("pending", "active", "degraded", "needs_reauth")
"""Statuses of connections that messages are written for."""
SENDING: Final = ("active", "degraded")
"""Statuses of connections that send."""
TAKING: Final = (*RECEIVING, PAUSED)
"""Statuses of connections that items are kept for: while one is paused, they wait."""


class StoredItem(NamedTuple):
    """A row of the inbox."""

    id: int
    day: int
    lane: int
    provider: str
    run_key: bytes
    n: int
    received_at_ms: int
    sealed: bytes


class Append(NamedTuple):
    """A message to log. `day` and `hash` make its id and its deduplication key; `at_ms` is the
    event's time, `contact` the keyed hash of whom it concerns.
    """

    tenant: str
    connection: str
    type: str
    day: int
    hash: bytes
    contact: bytes | None
    at_ms: int
    sealed: bytes


class Thread(NamedTuple):
    """A conversation with one contact, and about when the contact last acted (0: not known).
    `at_ms`: the time of the event that told of it; `contact` as in `Append`.
    """

    id: str
    tenant: str
    connection: str
    contact: bytes
    acted_at_ms: int
    at_ms: int
    sealed: bytes
    ask: bool = False
    """Who the contact is can be asked for."""


class Lookup(NamedTuple):
    """A message that is to be completed first, until `until_ms`: then it is logged as it is."""

    append: Append
    until_ms: int


class NewMedia(NamedTuple):
    """Media to be fetched. `message`: day and hash of the `Append` that brings them, so that they
    come with it or not at all; None for what is to be sent, which has no `connection` either.
    """

    id: str
    attachment: str
    tenant: str
    sealed: bytes
    connection: str | None = None
    contact: bytes | None = None
    message: tuple[int, bytes] | None = None


class Settled(NamedTuple):
    """The provider's own word of a send. `said`: the feed has the outcome by it; otherwise somebody
    says it. `message`, `contact` (a keyed hash), `sealed` None: as they were.
    """

    id: str
    state: State
    said: bool
    message: bytes | None = None
    contact: bytes | None = None
    sealed: bytes | None = None
    code: str = ""
    detail: str = ""


class Park(NamedTuple):
    """An item that one connection cannot have yet, sealed for its tenant: its content cannot be
    read, or (`reason` is `paused`) it waits until the connection is resumed.
    """

    id: str
    item: int
    connection: str
    tenant: str
    provider: str
    reason: str
    detail: str
    received_at_ms: int
    sealed: bytes


class Deferred(NamedTuple):
    """An item that waits for its account's next turn."""

    lane: int
    route: bytes
    item: int
    day: int


class PutOff(NamedTuple):
    """Items that were put off, oldest first of each account; `behind` are the accounts that have
    more of them than these: their newer items have to wait.
    """

    items: list[tuple[Deferred, StoredItem]]
    behind: set[bytes]


class Unrouted(NamedTuple):
    """An item that no connection wants yet."""

    item: int
    day: int
    lane: int
    route: bytes
    provider: str
    received_at_ms: int


class Asked(NamedTuple):
    """What a contact's profile was when it was asked for, at `at_ms`; `contact` as in `Append`."""

    id: str
    tenant: str
    connection: str
    contact: bytes
    at_ms: int
    sealed: bytes


class Turn(NamedTuple):
    """Everything that one turn of draining writes. Empty parts cost nothing.

    `leases` are sorted, `marks` are where each lane is drained to afterwards.
    """

    leases: Sequence[Lease] = ()
    marks: Sequence[int] = ()
    release: bool = False
    appends: Sequence[Append] = ()
    parks: Sequence[Park] = ()
    threads: Sequence[Thread] = ()
    lookups: Sequence[Lookup] = ()
    completed: Collection[str] = ()
    """Ids of lookups whose messages are among `appends`."""
    asked: Sequence[Asked] = ()
    """Profiles of contacts."""
    media: Sequence[NewMedia] = ()
    settled: Sequence[Settled] = ()
    defer: Sequence[Deferred] = ()
    resume: Sequence[Deferred] = ()
    strand: Sequence[Unrouted] = ()
    routed: Collection[int] = ()
    """Unrouted items that have found their connections."""
    unparked: Collection[str] = ()
    """Parked items that could be read this time."""
    tried: Collection[int] = ()
    """Items whose attempts were counted, now done."""
    named: Sequence[tuple[str, str, bytes]] = ()
    """People whose consent changed, as login, kind of name and hash: their connections are looked
    at."""
    looks: Collection[str] = ()
    """Connections that are looked at."""
    first: Callable[[sa.Connection], None] | None = None
    """What else is committed with it, before all the rest: checks a fence of its own, then locks
    connections in order of their ids, then changes other rows. `appends` and `parks` beside it are
    of these connections alone. Raises `LeaseLost`."""

    statuses: Sequence[str] = RECEIVING
    """Connections in others than these get no messages of it, looked at after `first`. One that
    was paused or resumed since the turn was computed makes it void (`Overtaken`), unless `paused`
    is among these: its items would be lost, or overtake those that wait.
    """


class Written(NamedTuple):
    """How many messages a turn added, and how many it had already (or must not have any more);
    conversations that are kept.
    """

    added: int
    duplicate: int
    refused: int
    threads: Sequence[Thread] = ()
