"""The workers' composition root: builds every part from settings and passes it on."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final

import structlog

from connectors import registry
from contracts.connector import Connector, Receives
from contracts.login import Login
from contracts.settings import Settings
from storage.activity import WATCH, ActivityStore
from storage.connections import Connections
from storage.database import now_ms
from storage.deliveries import Deliveries
from storage.drain import DrainStore
from storage.due import LANE_TIMES, DueRows
from storage.gaps import Gaps
from storage.grants import RECONCILE, REFRESH
from storage.leases import Leases
from storage.lookups import LOOKUP
from storage.media import MediaRows
from storage.objects import open_objects
from storage.openings import TokenOpenings
from storage.outbox import SEND, SETTLE, Outbox
from storage.pausing import PAUSE, Pauses
from storage.pooler import direct_database, open_database
from storage.profiles import PROFILE
from storage.replays import Replays
from storage.resealing import SealedRows
from storage.revocations import REVOKE
from storage.rotations import Rotations
from storage.signals import SIGNAL
from token_vault import Openings, open_vault
from workers.connection_jobs import ConnectionJobs
from workers.consents import Consents
from workers.drain import Drainer, Tally
from workers.foundation import Foundation
from workers.gaps import GapAnnouncer
from workers.hearing import FLUSH_S, Hearing
from workers.lanes import DrainThreads, LaneQueue
from workers.letters import Letters
from workers.matching import Matching
from workers.media_links import MediaLinks
from workers.media_parts import MediaParts
from workers.metrics import Metrics
from workers.normalizing import Normalizer
from workers.pausing import Pauser
from workers.provider_calls import ProviderCalls
from workers.repeating import Repeating, works
from workers.replaying import Replayer
from workers.resealing import Resealer
from workers.routing import Router
from workers.scheduler import Scheduler
from workers.sending import Sender, Settler
from workers.stranded import StrandedRouter
from workers.sweeper import Sweeper
from workers.telling import Telling
from workers.turning import Turning
from workers.upkeep import Upkeep
from workers.watching import Watchdog

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
        connectors: Mapping[str, Connector] | None = None,
    ) -> None:
        """`logins`, `connectors`: others than those of the registry, for tests."""
        self.settings = settings
        self.metrics = Metrics()
        self._closing = ExitStack()
        self.database = open_database(settings)
        self._direct = direct_database(settings, self.database)
        self.vault = open_vault(settings)
        self.rows = DueRows(self.database, seconds=settings.lease_seconds * LANE_TIMES)
        self.objects = open_objects(settings)
        built = registry.build(environ)
        base = self._foundation(
            built.logins if logins is None else logins,
            built.connectors if connectors is None else connectors,
        )
        leases = Leases(self.database, seconds=settings.lease_seconds)
        outbox, letters = Outbox(self.database), self._letters()
        telling = Telling(base.normalizer, letters, base.connectors, _CHANNELS)
        matching = Matching(outbox, letters, base.normalizer, telling)
        self._drain(base, leases, matching)
        self._keep(base, leases)
        calls = ProviderCalls(base)
        self.gates, self.transport = calls.gates, calls.transport
        self.tokens, self.refresher, self.accounts = calls.tokens, calls.refresher, calls.accounts
        jobs = ConnectionJobs(base, calls, self._activity)
        self.policy, self.reconciler = jobs.policy, jobs.reconciler
        self.revoker, self.heeding = jobs.revoker, jobs.heeding
        self.profiling, self.completing = jobs.profiling, jobs.completing
        self.sender = Sender(
            outbox,
            self.rows,
            base.store,
            base.known,
            self.accounts,
            letters,
            telling,
            self.metrics,
        )
        self.settler = Settler(outbox, self.rows, base.store, base.known, letters, telling)
        self._schedule(base)
        media = MediaParts(base, calls, self.objects)
        self.media, self.media_scheduler = media.keeper, media.scheduler
        self.media_transport = media.transport

    def _foundation(
        self, logins: Mapping[str, Login], connectors: Mapping[str, Connector]
    ) -> Foundation:
        ignored, opened = self.metrics.ignored, self.metrics.openings
        normalizer = Normalizer(
            self.vault,
            self.settings.public_url,
            lambda provider, kind: ignored.labels(provider, kind).inc(),
        )
        self.openings = Openings(
            TokenOpenings(self.database).put, lambda job: opened.labels(job).inc()
        )
        self.turning = Turning(normalizer, self.vault, self.settings.public_url, _CHANNELS)
        return Foundation(
            settings=self.settings,
            database=self.database,
            vault=self.vault,
            rows=self.rows,
            store=DrainStore(self.database),
            known=Connections(self.database),
            normalizer=normalizer,
            turning=self.turning,
            openings=self.openings,
            logins=logins,
            connectors=connectors,
            channels=_CHANNELS,
            metrics=self.metrics,
        )

    def _drain(self, base: Foundation, leases: Leases, matching: Matching) -> None:
        """What takes items to the log: from the inbox, late, again, and out of a pause."""
        receiving = {n: one for n, one in base.connectors.items() if isinstance(one, Receives)}
        self._activity = ActivityStore(self.database)
        self.hearing = Hearing(
            self._activity.of,
            self._activity.put,
            lambda id_: self.rows.ask(RECONCILE, id_, now_ms()),
        )
        consents = Consents(self.vault, registry.CONSENT_ITEMS)
        self.router = Router(
            base.known, base.normalizer, receiving, self.hearing, consents, matching
        )
        self.drainer = Drainer(base.store, leases, self.vault, self.router)
        self.stranded = StrandedRouter(self.database, leases, self.drainer)
        self.replayer = Replayer(
            Replays(self.database),
            Deliveries(self.database),
            leases,
            base.store,
            base.known,
            base.normalizer,
            self.drainer,
            receiving,
        )
        self.pauser = Pauser(
            Pauses(self.database),
            base.known,
            self.rows,
            base.store,
            base.normalizer,
            self.turning,
            receiving,
            matching,
        )

    def _keep(self, base: Foundation, leases: Leases) -> None:
        """What runs by itself, over and over."""
        self.gaps = GapAnnouncer(
            Gaps(self.database),
            base.store,
            base.known,
            base.normalizer,
            base.connectors,
            self.rows,
        )
        self.upkeep = Upkeep(self.settings, self._direct, leases, self.vault, self.objects)
        self.lanes = LaneQueue()
        threads = 3 if self.database.is_postgresql else 2
        self.threads = DrainThreads(self.lanes, self.drainer, _report, threads)
        self.resealer = Resealer(
            Rotations(self.database), SealedRows(self.database), leases, self.vault, self.openings
        )
        errands = {
            "upkeep": self.upkeep.keep_ahead,
            "unrouted": self.stranded.route,
            "gaps": self.gaps.announce,
            "replays": self.replayer.run_queued,
        }
        self.sweeper = Sweeper(base.store, self.lanes, errands, {"rotations": self.resealer.run})
        self.counting = Repeating(
            "openings", OPENINGS_EVERY_S, lambda: works("openings", self.openings.flush)
        )
        self.listening = Repeating(
            "activity", FLUSH_S, lambda: works("activity", self.hearing.flush)
        )

    def _schedule(self, base: Foundation) -> None:
        """What comes due; sends have threads of their own, so that a slow provider holds up no
        refresh.
        """
        jobs = {
            REFRESH: self.refresher.run,
            RECONCILE: self.reconciler.run,
            REVOKE: self.revoker.run,
            PAUSE: self.pauser.run,
            SIGNAL: self.heeding.run,
            WATCH: Watchdog(self._activity, base.store).run,
            LOOKUP: self.completing.run,
            PROFILE: self.profiling.run,
        }
        self.scheduler = Scheduler(self.rows, jobs, self.metrics)
        sends = {SEND: self.sender.run, SETTLE: self.settler.run}
        self.send_scheduler = Scheduler(self.rows, sends, self.metrics, name="sends")

    def _letters(self) -> Letters:
        rows, url = MediaRows(self.database), self.settings.public_url
        return Letters(self.vault, MediaLinks(rows, self.vault, url))

    def start(self) -> None:
        """Raises `Misconfigured` when the metrics' address cannot be had."""
        if self.settings.worker_metrics:
            self._closing.callback(self.metrics.serve(self.settings.worker_metrics))
        self.threads.start()
        self.sweeper.start()
        self.scheduler.start()
        self.media_scheduler.start()
        self.send_scheduler.start()
        self.counting.start()
        self.listening.start()

    def stop(self) -> None:
        """Finish the turns under way, then let go of databases and keys."""
        self.replayer.stop()
        self.resealer.stop()
        self.pauser.stop()
        self.sweeper.stop()
        self.scheduler.stop()
        self.media_scheduler.stop()
        self.send_scheduler.stop()
        self.threads.stop()
        self.counting.stop()
        self.listening.stop()
        works("openings", self.openings.flush)
        works("activity", self.hearing.flush)
        self.close()

    def close(self) -> None:
        """Let go of databases, keys and providers."""
        self._closing.close()
        self.transport.close()
        self.media_transport.close()
        self.database.close()
        self._direct.close()
        self.vault.close()


def _report(tally: Tally) -> None:
    if tally.items:
        log.debug("drain.done", **tally._asdict())
