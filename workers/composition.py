"""The workers' composition root: builds every part from settings and passes it on."""

from collections.abc import Mapping
from typing import Any

import structlog

from connectors import registry
from contracts.settings import Settings
from storage.connections import Connections
from storage.database import Database
from storage.deliveries import Deliveries
from storage.drain import DrainStore
from storage.gaps import Gaps
from storage.leases import Leases
from storage.replays import Replays
from storage.resealing import SealedRows
from storage.rotations import Rotations
from token_vault import open_vault
from workers import queue
from workers.drain import Drainer, Tally
from workers.gaps import GapAnnouncer
from workers.lanes import DrainThreads, LaneQueue
from workers.normalizing import Normalizer
from workers.replaying import Replayer
from workers.resealing import Resealer
from workers.stranded import StrandedRouter
from workers.sweeper import Sweeper
from workers.upkeep import Upkeep

log = structlog.get_logger()


class Parts:
    """Everything that a worker process is made of."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self.database = Database(settings.database)
        self.vault = open_vault(settings)
        connectors = registry.build(environ).connectors
        leases = Leases(self.database, seconds=settings.lease_seconds)
        store = DrainStore(self.database)
        known = Connections(self.database)
        normalizer = Normalizer(self.vault, settings.public_url)
        self.drainer = Drainer(store, leases, known, self.vault, normalizer, connectors)
        self.stranded = StrandedRouter(self.database, leases, self.drainer)
        self.replayer = Replayer(
            Replays(self.database),
            Deliveries(self.database),
            leases,
            store,
            known,
            normalizer,
            self.drainer,
            connectors,
        )
        self.gaps = GapAnnouncer(Gaps(self.database), store, known, normalizer, connectors)
        self.upkeep = Upkeep(settings, self.database, leases, self.vault)
        self.lanes = LaneQueue()
        count = 3 if self.database.is_postgresql else 2
        self.threads = DrainThreads(self.lanes, self.drainer, _report, count)
        errands = {
            "upkeep": self.upkeep.keep_ahead,
            "unrouted": self.stranded.route,
            "gaps": self.gaps.announce,
            "replays": self.replayer.run_queued,
        }
        rotations = Rotations(self.database)
        self.resealer = Resealer(rotations, SealedRows(self.database), leases, self.vault)
        self.sweeper = Sweeper(store, self.lanes, errands, {"rotations": self.resealer.run})

    def start(self) -> None:
        self.threads.start()
        self.sweeper.start()

    def stop(self) -> None:
        """Finish the turns under way, then let go of the database."""
        self.replayer.stop()
        self.resealer.stop()
        self.sweeper.stop()
        self.threads.stop()
        self.database.close()
        self.vault.close()


def celery_with_tasks(parts: Parts) -> Any:
    """The Celery app whose tasks are the jobs of `parts`; each task is a nudge and may be lost."""
    app = queue.celery_app(parts.settings.broker)

    @app.task(name=queue.NUDGE)  # type: ignore[untyped-decorator]
    def nudge(lanes: list[int]) -> None:
        parts.lanes.add(lanes)

    @app.task(name=queue.ROUTE)  # type: ignore[untyped-decorator]
    def route_unrouted() -> None:
        parts.stranded.route()

    @app.task(name=queue.REPLAY)  # type: ignore[untyped-decorator]
    def replay(replay_id: str) -> None:
        parts.replayer.run(replay_id)

    @app.task(name=queue.UPKEEP)  # type: ignore[untyped-decorator]
    def upkeep() -> None:
        parts.upkeep.run()

    return app


def _report(tally: Tally) -> None:
    if tally.items:
        log.debug("drain.done", **tally._asdict())
