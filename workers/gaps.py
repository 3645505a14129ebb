"""Says missing history in the feed: `connection.gap` for every connection that a gap concerns."""

import random
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
from storage.due import DueRows
from storage.gaps import Gap, Gaps, Reason
from storage.grants import RECONCILE
from storage.turns import TAKING, Append, Turn
from workers.normalizing import Normalizer, utc

log = structlog.get_logger()

BATCH_ROWS: Final = 500
FORGET_MS: Final = 7 * 86_400_000
CHECK_ALL_S: Final = 3600.0
"""When a gap concerns all connections, they are looked at within this time."""

_STREAMS: Final[Mapping[Reason, str]] = {
    "refused": "webhooks",
    "restored": "webhooks",
    "unsubscribed": "messages",
    "expired": "webhooks",
}
_KNOWN: Final[tuple[Reason, ...]] = ("unsubscribed", "expired")
"""Gaps after which there is no need to see what the account delivers now."""


class GapAnnouncer:
    """Turns stored gaps into messages, once per connection however often it runs."""

    def __init__(
        self,
        gaps: Gaps,
        store: DrainStore,
        connections: Connections,
        normalizer: Normalizer,
        connectors: Mapping[str, Connector],
        rows: DueRows,
    ) -> None:
        self._rows = rows
        self._asked: set[str] = set()
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
                told = [c for c in batch if c.provider in self._connectors]
                self._look(gap, told)
                said = [x for c in told for x in self._message(gap, c)]
                turn = Turn(appends=said, statuses=TAKING)
                added += self._store.write(turn).added
            self._asked.add(gap.id)
            if self._all_on(gap):
                self._gaps.done(gap.id)
                self._asked.discard(gap.id)
        return added

    def _look(self, gap: Gap, told: Sequence[Connection]) -> None:
        """A provider that was refused for long may have unsubscribed the account meanwhile: see at
        once, before the gap can be forgotten. One that was unsubscribed has just been seen to.
        """
        if gap.id in self._asked or gap.reason in _KNOWN:
            return
        spread_s = 0.0 if gap.route else CHECK_ALL_S
        times = {c.id: now_ms() + int(random.uniform(0, spread_s) * 1000) for c in told}  # noqa: S311 - spread, not secrecy
        self._rows.ask_all(RECONCILE, times)

    def _all_on(self, gap: Gap) -> bool:
        """Whether every connection that the gap concerns was told: its provider may be off for now.
        After a week a gap is old news, and is forgotten, but for what was old when it expired.
        """
        told = all(c.provider in self._connectors for c in self._concerned(gap))
        return told or (gap.reason != "expired" and gap.until_ms < now_ms() - FORGET_MS)

    def _concerned(self, gap: Gap) -> Sequence[Connection]:
        """Those that are paused as well: what they miss is no item that could wait."""
        if gap.connection is not None:
            found: Sequence[Connection] = self._connections.some([gap.connection])
        elif gap.route is None:
            found = self._connections.list()
        else:
            found = self._connections.by_route([gap.route]).get(gap.route, [])
        return [c for c in found if c.status in TAKING and c.receives_from_ms < gap.until_ms]

    def _message(self, gap: Gap, connection: Connection) -> Sequence[Append]:
        content = ConnectionGap(
            reason=gap.reason,
            stream=_STREAMS[gap.reason],
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
