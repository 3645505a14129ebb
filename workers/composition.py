"""The workers' composition root: builds every part from settings and passes it on."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final

import structlog

from connectors import registry
from connectors.kit.transport.transport import Transport
from contracts.connector import Connector
from contracts.login import Login
from contracts.settings import Settings
from storage.connections import Connections
from storage.deliveries import Deliveries
from storage.drain import DrainStore
from storage.due import DueRows
from storage.escrow import EscrowStore
from storage.gaps import Gaps
from storage.grants import REFRESH, Grants
from storage.leases import Leases
from storage.openings import TokenOpenings
from storage.pooler import direct_database, open_database
from storage.replays import Replays
from storage.resealing import SealedRows
from storage.revocations import REVOKE, Revocations
from storage.rotations import Rotations
from token_vault import GrantTokens, Openings, open_vault
from workers import queue
from workers.drain import Drainer, Tally
from workers.ending import Ending
from workers.gaps import GapAnnouncer
from workers.grant_states import GrantStates
from workers.lanes import DrainThreads, LaneQueue
from workers.metrics import CountedCalls, Metrics
from workers.normalizing import Normalizer
from workers.refreshing import Refresher
from workers.repeating import Repeating, works
from workers.replaying import Replayer
from workers.resealing import Resealer
from workers.revoking import Revoker
from workers.routing import Router
from workers.scheduler import Scheduler
from workers.stranded import StrandedRouter
from workers.sweeper import Sweeper
from workers.upkeep import Upkeep

log = structlog.get_logger()

OPENINGS_EVERY_S: Final = 3.0
"""Counts of opened tokens are stored; what was counted since is lost with a process that is
killed."""
_CHANNELS: Final = {line.connector.name: line.connector.channel for line in registry.PROVIDERS}


class Parts:
    """Everything that a worker process is made of."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        logins: Mapping[str, Login] | None = None,
    ) -> None:
        """`logins`: others than those of the registry, for tests."""
        self.settings = settings
        self.metrics = Metrics()
        self._closing = ExitStack()
        self.database = open_database(settings)
        self._direct = direct_database(settings, self.database)
        self.vault = open_vault(settings)
        built = registry.build(environ)
        receiving = built.receiving
        leases = Leases(self.database, seconds=settings.lease_seconds)
        store = DrainStore(self.database)
        known = Connections(self.database)
        normalizer = Normalizer(self.vault, settings.public_url)
        router = Router(known, normalizer, receiving)
        self.drainer = Drainer(store, leases, self.vault, router)
        self.stranded = StrandedRouter(self.database, leases, self.drainer)
        self.replayer = Replayer(
            Replays(self.database),
            Deliveries(self.database),
            leases,
            store,
            known,
            normalizer,
            self.drainer,
            receiving,
        )
        self.gaps = GapAnnouncer(Gaps(self.database), store, known, normalizer, built.connectors)
        self.upkeep = Upkeep(settings, self._direct, leases, self.vault)
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
        self._logins = built.logins if logins is None else logins
        self._keep_fresh(store, normalizer)
        self._end(store, known, normalizer, built.connectors)
        jobs = {REFRESH: self.refresher.run, REVOKE: self.revoker.run}
        self.scheduler = Scheduler(self.rows, jobs, self.metrics)

    def _keep_fresh(self, store: DrainStore, normalizer: Normalizer) -> None:
        """What keeps grants fresh, and counts who opens their tokens."""
        grants, self.rows = Grants(self.database), DueRows(self.database)
        count = self.metrics.openings
        self.openings = Openings(
            TokenOpenings(self.database).put, lambda job: count.labels(job).inc()
        )
        self.tokens = GrantTokens(self.vault, self.openings)
        states = GrantStates(grants, normalizer, _CHANNELS)
        self.transport = Transport(
            allow=self.settings.allowed_networks,
            sandbox_url=self.settings.sandbox_url,
            observer=CountedCalls(self.metrics),
        )
        self.refresher = Refresher(
            grants,
            self.rows,
            store,
            self.tokens,
            states,
            self._logins,
            self.transport.client(),
            self.metrics,
        )
        self.counting = Repeating(
            "openings", OPENINGS_EVERY_S, lambda: works("openings", self.openings.flush)
        )

    def _end(
        self,
        store: DrainStore,
        known: Connections,
        normalizer: Normalizer,
        connectors: Mapping[str, Connector],
    ) -> None:
        """What carries out revocations."""
        revocations = Revocations(self.database)
        ending = Ending(
            revocations,
            self.vault,
            self.tokens,
            EscrowStore(self.database),
            self.refresher,
            self.transport,
            self._logins,
            connectors,
        )
        self.revoker = Revoker(revocations, known, store, normalizer, self.vault, ending, _CHANNELS)

    def start(self) -> None:
        """Raises `Misconfigured` when the metrics' address cannot be had."""
        if self.settings.worker_metrics:
            self._closing.callback(self.metrics.serve(self.settings.worker_metrics))
        self.threads.start()
        self.sweeper.start()
        self.scheduler.start()
        self.counting.start()

    def stop(self) -> None:
        """Finish the turns under way, then let go of databases and keys."""
        self.replayer.stop()
        self.resealer.stop()
        self.sweeper.stop()
        self.scheduler.stop()
        self.threads.stop()
        self.counting.stop()
        works("openings", self.openings.flush)
        self.close()

    def close(self) -> None:
        """Let go of databases, keys and providers."""
        self._closing.close()
        self.transport.close()
        self.database.close()
        self._direct.close()
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
