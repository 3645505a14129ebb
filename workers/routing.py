"""Which connections an item is for, and the rows that it becomes for each of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import structlog

from contracts.causes import PAUSED, SILENCE
from contracts.connector import Item, Receives
from contracts.errors import KeyDestroyed
from storage.connections import Connection, Connections
from storage.turns import (
    TAKING,
    Append,
    Lookup,
    NewMedia,
    Park,
    Settled,
    StoredItem,
    Thread,
    Unrouted,
    Written,
)
from workers.consents import Consents, Named
from workers.hearing import Hearing
from workers.matching import Matching
from workers.normalizing import Normalizer, Outcome, nothing

log = structlog.get_logger()


class Opened(NamedTuple):
    """A stored item with its content (None when it never opens again) and its route's keyed
    hash.
    """

    stored: StoredItem
    item: Item | None
    route: bytes


class Routed(NamedTuple):
    """What items became: messages, items parked for a connection, items that nobody takes yet,
    people whose consent changed, conversations, messages that are to be completed first, media to
    be fetched, outcomes of our own sends, connections that are to be looked at.

    The names are those of a `Turn`.
    """

    appends: list[Append]
    parks: list[Park]
    strand: list[Unrouted]
    named: list[Named]
    threads: list[Thread]
    lookups: list[Lookup]
    media: list[NewMedia]
    settled: list[Settled]
    looks: list[str]


class _Addressed(NamedTuple):
    """An item for one of its connections."""

    stored: StoredItem
    item: Item
    connector: Receives
    connection: Connection


class Router:
    """Takes items to the connections that may have them. Safe to share between threads."""

    def __init__(
        self,
        connections: Connections,
        normalizer: Normalizer,
        connectors: Mapping[str, Receives],
        hearing: Hearing,
        consents: Consents,
        matching: Matching,
    ) -> None:
        self._matching = matching
        self.consents = consents
        self._hearing = hearing
        self._connections = connections
        self._normalizer = normalizer
        self._connectors = connectors

    def wrote(self, written: Written) -> None:
        """This is what became of a turn."""
        self._normalizer.acquainting.wrote(written.threads)

    def route(self, work: Sequence[Opened], *, late: bool = False) -> Routed:
        """Normalise `work` for every connection that may have it; what cannot be read is parked
        for it, and so is what comes while it is paused. Raises `Unavailable`.
        """
        routed = Routed(*([] for _ in Routed._fields))
        read = nothing()
        for one in self._addressed(work, routed):
            with _unless_shredded(one.connection):
                if one.connection.status == PAUSED:
                    routed.parks.append(self._park(one, PAUSED, ""))
                    continue
                outcome = self._normalizer.normalize(
                    one.item, one.stored.received_at_ms, one.connector, one.connection, late=late
                )
                read.and_then(outcome)
                if outcome.unreadable:
                    detail = "; ".join(f"{x.kind}: {x.error}" for x in outcome.unreadable)
                    routed.parks.append(self._park(one, "unreadable", detail))
        return routed._replace(**self.matched(read).for_turn())

    def matched(self, outcome: Outcome) -> Outcome:
        """See `Matching.matched`."""
        return self._matching.matched(outcome)

    def park(self, work: Sequence[Opened], reason: str) -> Routed:
        """Park `work` for every connection that may have it, unread; for one that is paused it
        waits as everything does. Raises `Unavailable`.
        """
        routed = Routed(*([] for _ in Routed._fields))
        for one in self._addressed(work, routed):
            with _unless_shredded(one.connection):
                why = PAUSED if one.connection.status == PAUSED else reason
                routed.parks.append(self._park(one, why, ""))
        return routed

    def _addressed(self, work: Sequence[Opened], routed: Routed) -> Iterator[_Addressed]:
        """`work` in order, once for each of its connections; what nobody takes is stranded, and
        what is about a consent names whose.
        """
        wanted = self._connections.by_route({x.route for x in work}) if work else {}
        for opened in work:
            stored, item = opened.stored, opened.item
            if item is not None and self.consents.are_in(item):
                routed.named.extend(self.consents.named(item))
                continue
            takers = [c for c in wanted.get(opened.route, ()) if _receives(c, stored)]
            connector = None if item is None else self._connectors.get(item.provider)
            if item is None or connector is None or not takers:
                routed.strand.append(_unrouted(opened))
            else:
                for taker in takers:
                    breaks = SILENCE in taker.causes
                    self._hearing.note(taker.id, stored.received_at_ms, breaks=breaks)
                    yield _Addressed(stored, item, connector, taker)

    def _park(self, one: _Addressed, reason: str, detail: str) -> Park:
        stored = one.stored
        return self._normalizer.park(
            one.item, stored.id, stored.received_at_ms, one.connection, reason, detail
        )


@contextmanager
def _unless_shredded(connection: Connection) -> Iterator[None]:
    """Nothing is kept for a tenant whose keys were destroyed."""
    try:
        yield
    except KeyDestroyed:
        log.warning("drain.tenant_destroyed", connection=connection.id)


def _receives(connection: Connection, stored: StoredItem) -> bool:
    return connection.status in TAKING and connection.receives_from_ms <= stored.received_at_ms


def _unrouted(opened: Opened) -> Unrouted:
    stored = opened.stored
    return Unrouted(
        stored.id, stored.day, stored.lane, opened.route, stored.provider, stored.received_at_ms
    )
