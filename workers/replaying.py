"""Carries out replays: runs stored deliveries through today's connectors again."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import structlog

from contracts.connector import Connector
from contracts.errors import GatewayError, NotFound, Unavailable
from storage.connections import Connections
from storage.database import now_ms
from storage.deliveries import Deliveries
from storage.drain import DrainStore
from storage.leases import Leases
from storage.replays import LEASE, Replay, Replays
from storage.turns import Turn
from workers.drain import Drainer, Tally
from workers.normalizing import Normalizer

log = structlog.get_logger()

PAGE: Final = 200


class Replayer:
    """What a replay adds is new; what was logged before is recognised and counted."""

    def __init__(
        self,
        replays: Replays,
        deliveries: Deliveries,
        leases: Leases,
        store: DrainStore,
        connections: Connections,
        normalizer: Normalizer,
        drainer: Drainer,
        connectors: Mapping[str, Connector],
    ) -> None:
        self._replays = replays
        self._deliveries = deliveries
        self._leases = leases
        self._store = store
        self._connections = connections
        self._normalizer = normalizer
        self._drainer = drainer
        self._connectors = connectors

    def run_queued(self) -> None:
        """Carry out every replay that waits; one that another worker is at is left to it."""
        for replay in self._replays.queued():
            self.run(replay.id)

    def run(self, replay_id: str) -> None:
        """Carry out one replay, saving progress after each page. Raises `Unavailable`: it waits
        then.
        """
        replay = self._replays.get(replay_id)
        if replay.state != "queued" or not self._leases.take_new(LEASE, replay_id):
            return
        try:
            for page in self._pages(replay):
                for delivery in page:
                    replay = _plus(replay, self._replay_one(delivery))
                self._replays.save(replay)
            done = replay._replace(state="done", finished_at_ms=now_ms())
        except Unavailable:
            raise
        except GatewayError as error:
            done = replay._replace(state="failed", detail=str(error), finished_at_ms=now_ms())
        finally:
            self._leases.remove(LEASE, replay_id)
        self._replays.save(done)

    def _pages(self, replay: Replay) -> Iterator[Sequence[str]]:
        if replay.delivery is not None:
            yield [replay.delivery]
            return
        after: str | None = None
        status = replay.status or "parked"
        while page := self._deliveries.list(
            status, provider=replay.provider, after=after, limit=PAGE
        ):
            yield [delivery.id for delivery in page]
            after = page[-1].id

    def _replay_one(self, delivery: str) -> Tally:
        if delivery.startswith("prk_"):
            return self._replay_parked(delivery)
        stored = self._deliveries.stored(delivery)
        opened = self._drainer.open(stored)
        if opened.item is None:
            raise NotFound(f"{delivery} can no longer be opened: its key is destroyed")
        turn = Turn(routed=[stored.id])
        return self._drainer.write([opened], turn, late=True)

    def _replay_parked(self, delivery: str) -> Tally:
        park = self._deliveries.park(delivery)
        connection = self._connections.get(park.connection)
        connector = self._connectors.get(park.provider)
        if connector is None:
            raise NotFound(f"provider {park.provider} is off")
        outcome = self._normalizer.normalize(
            self._normalizer.unpark(park), park.received_at_ms, connector, connection, late=True
        )
        done = () if outcome.unreadable else (park.id,)
        written = self._store.write(Turn(appends=outcome.appends, unparked=done))
        return Tally(1, written.added, written.duplicate, 1 - len(done), 0)


def _plus(replay: Replay, tally: Tally) -> Replay:
    return replay._replace(
        items=replay.items + tally.items,
        added=replay.added + tally.added,
        duplicate=replay.duplicate + tally.duplicate,
        parked=replay.parked + tally.parked,
    )
