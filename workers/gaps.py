"""Says missing history in the feed: `connection.gap` for every connection that a gap concerns."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

import structlog

from contracts.connector import Connector, Event
from contracts.content.account import ConnectionGap
from contracts.errors import Unavailable, VaultError
from contracts.messages import timestamp
from storage.connections import Connection, Connections
from storage.database import now_ms
from storage.drain import DrainStore
from storage.gaps import Gap, Gaps
from storage.turns import RECEIVING, Append, Turn
from workers.normalizing import Normalizer, utc

log = structlog.get_logger()

BATCH_ROWS: Final = 500
FORGET_MS: Final = 7 * 86_400_000


class GapAnnouncer:
    """Turns stored gaps into messages, once per connection however often it runs."""

    def __init__(
        self,
        gaps: Gaps,
        store: DrainStore,
        connections: Connections,
        normalizer: Normalizer,
        connectors: Mapping[str, Connector],
    ) -> None:
        self._gaps = gaps
        self._store = store
        self._connections = connections
        self._normalizer = normalizer
        self._connectors = connectors

    def announce(self) -> int:
        """Announce all waiting gaps; returns how many messages were added."""
        added = 0
        for gap in self._gaps.waiting():
            concerned = iter(self._concerned(gap))
            while batch := list(islice(concerned, BATCH_ROWS)):
                told = (c for c in batch if c.provider in self._connectors)
                turn = Turn(appends=[x for c in told for x in self._message(gap, c)])
                added += self._store.write(turn).added
            if self._all_on(gap):
                self._gaps.done(gap.id)
        return added

    def _all_on(self, gap: Gap) -> bool:
        """Whether every connection that the gap concerns was told: its provider may be off for now.
        After a week a gap is old news, and is forgotten.
        """
        told = all(c.provider in self._connectors for c in self._concerned(gap))
        return told or gap.until_ms < now_ms() - FORGET_MS

    def _concerned(self, gap: Gap) -> Sequence[Connection]:
        if gap.route is None:
            found: Sequence[Connection] = self._connections.list()
        else:
            found = self._connections.by_route([gap.route]).get(gap.route, [])
        return [c for c in found if c.status in RECEIVING and c.receives_from_ms < gap.until_ms]

    def _message(self, gap: Gap, connection: Connection) -> Sequence[Append]:
        content = ConnectionGap(
            reason=gap.reason,
            stream="webhooks",
            since=timestamp(utc(gap.from_ms)),
            until=timestamp(utc(gap.until_ms)),
            backfilled=False,
        )
        event = Event(content, f"gap|{gap.id}", utc(gap.until_ms))
        channel = self._connectors[connection.provider].channel
        try:
            return [self._normalizer.append(event, gap.until_ms, channel, connection)]
        except Unavailable:
            raise
        except VaultError as error:  # one tenant's keys must not silence the others' gaps
            log.warning("gap.not_said", connection=connection.id, reason=error.reason)
            return []
