"""Carries out replays: runs stored deliveries through today's connectors again."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import structlog

from contracts.causes import PAUSED
from contracts.connector import Receives
from contracts.errors import (
    Conflict,
    GatewayError,
    InvalidInput,
    LeaseLost,
    NotFound,
    Unavailable,
)
from storage.connections import Connections
from storage.database import now_ms
from storage.deliveries import Deliveries
from storage.drain import DrainStore
from storage.leases import Lease, Leases
from storage.replays import LEASE, Replay, Replays, State
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
        connectors: Mapping[str, Receives],
    ) -> None:
        self._replays = replays
        self._deliveries = deliveries
        self._leases = leases
        self._store = store
        self._connections = connections
        self._normalizer = normalizer
        self._drainer = drainer
        self._connectors = connectors
        self._stopping = threading.Event()

    def run_queued(self) -> None:
        """Carry out every replay that waits; one that another worker is at is left to it."""
        for replay in self._replays.queued():
            self.run(replay.id)

    def run(self, replay_id: str) -> None:
        """Carry out one replay, saving progress after each page; a crashed one is gone on with.

        Raises `Unavailable`: it waits then.
        """
        lease = self._leases.take_new(LEASE, replay_id)
        if lease is None:
            return
        try:
            self._run(self._replays.get(replay_id), lease)
        except LeaseLost:
            log.warning("replay.lease_lost", replay=replay_id)
        finally:
            self._leases.remove(lease)

    def _run(self, replay: Replay, lease: Lease) -> None:
        if replay.state != "queued":
            return
        try:
            for page in self._pages(replay):
                for delivery in page:
                    replay = self._count(replay, delivery)
                self._replays.save(replay, lease)
                self._leases.extend(lease)
                if self._stopping.is_set():
                    return
            only_failed = replay.failed and replay.failed == replay.items
            done: State = "failed" if only_failed else "done"
        except InvalidInput as error:
            done, replay = "failed", replay._replace(detail=str(error))
        self._replays.save(replay._replace(state=done, finished_at_ms=now_ms()), lease)

    def stop(self) -> None:
        """End after the page that is at work."""
        self._stopping.set()

    def _pages(self, replay: Replay) -> Iterator[Sequence[str]]:
        if replay.delivery is not None:
            yield [replay.delivery]
            return
        after = replay.after
        status = replay.status or "parked"
        while page := self._deliveries.list(
            status, provider=replay.provider, after=after, limit=PAGE
        ):
            yield [delivery.id for delivery in page]
            after = page[-1].id

    def _count(self, replay: Replay, delivery: str) -> Replay:
        """Run one delivery; what is wrong with it is its own, and stops no other."""
        try:
            tally = self._replay_one(delivery)
        except (LeaseLost, Unavailable, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001
            detail = str(error) if isinstance(error, GatewayError) else type(error).__name__
            log.warning("replay.failed", delivery=delivery, error=type(error).__name__)
            return replay._replace(
                items=replay.items + 1,
                failed=replay.failed + 1,
                detail=replay.detail or f"{delivery}: {detail}",
                after=delivery,
            )
        return replay._replace(
            items=replay.items + 1,
            added=replay.added + tally.added,
            duplicate=replay.duplicate + tally.duplicate,
            parked=replay.parked + tally.parked,
            after=delivery,
        )

    def _replay_one(self, delivery: str) -> Tally:
        if delivery.startswith("prk_"):
            return self._replay_parked(delivery)
        if self._deliveries.get(delivery).status == "waiting":
            raise Conflict("it waits for its turn; replaying it would put it before older ones")
        stored = self._deliveries.stored(delivery)
        opened = self._drainer.open(stored)
        if opened.item is None:
            raise NotFound("it can no longer be opened")
        tally = self._drainer.write([opened], Turn(routed=[stored.id]), late=True)
        for park in self._deliveries.parks_of(stored.id):
            self._replay_parked(park)  # frees it, if it can be read by now
        return tally

    def _replay_parked(self, delivery: str) -> Tally:
        park = self._deliveries.park(delivery)
        connection = self._connections.get(park.connection)
        if park.reason == PAUSED:
            raise Conflict("its connection is paused: resuming it brings what waits, in order")
        if connection.status == PAUSED:
            raise Conflict("its connection is paused: resume it, and replay this then")
        connector = self._connectors.get(park.provider)
        if connector is None:
            raise NotFound(f"provider {park.provider} is off")
        outcome = self._normalizer.normalize(
            self._normalizer.unpark(park), park.received_at_ms, connector, connection, late=True
        )
        done = () if outcome.unreadable else (park.id,)
        read = self._drainer.matched(outcome).for_turn()
        written = self._store.write(Turn(unparked=done)._replace(**read))
        return Tally(1, written.added, written.duplicate, 1 - len(done), 0)
