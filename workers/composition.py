"""The workers' composition root: builds every part from settings and passes it on."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final

import structlog

from connectors import registry
from connectors.kit.transport.transport import Limits, Transport
from contracts.connector import Connector, Receives
from contracts.login import Login
from contracts.settings import Settings
from storage.activity import WATCH, ActivityStore
from storage.connections import Connections
from storage.database import now_ms
from storage.deliveries import Deliveries
from storage.drain import DrainStore
from storage.due import LANE_TIMES, DueRows
from storage.escrow import EscrowStore
from storage.gaps import Gaps
from storage.gates import GateStore, SharedGates
from storage.grants import RECONCILE, REFRESH, Grants
from storage.inspections import Inspections
from storage.leases import Leases
from storage.lookups import LOOKUP, Lookups
from storage.media import MEDIA, MediaRows
from storage.objects import open_objects
from storage.openings import TokenOpenings
from storage.outbox import SEND, SETTLE, Outbox
from storage.pausing import PAUSE, Pauses
from storage.pooler import direct_database, open_database
from storage.profiles import PROFILE, Profiles
from storage.replays import Replays
from storage.resealing import SealedRows
from storage.revocations import REVOKE, Revocations
from storage.rotations import Rotations
from storage.signals import SIGNAL, Signals
from token_vault import GrantTokens, Openings, gate_names, open_vault
from workers import queue
from workers.calling import Accounts
from workers.completing import Completing
from workers.consents import Consents
from workers.drain import Drainer, Tally
from workers.ending import Ending
from workers.gaps import GapAnnouncer
from workers.grant_states import GrantStates
from workers.hearing import FLUSH_S, Hearing
from workers.inspecting import Inspector
from workers.lanes import DrainThreads, LaneQueue
from workers.letters import Letters
from workers.matching import Matching
from workers.media import MEDIA_AT_ONCE, Fetcher, MediaKeeper, media_transport
from workers.media_links import MediaLinks
from workers.metrics import CountedCalls, Metrics
from workers.normalizing import Normalizer, account_details
from workers.pausing import Pauser
from workers.policy import Policy
from workers.profiling import Profiling
from workers.reconciling import Reconciler
from workers.refreshing import Refresher
from workers.repeating import Repeating, works
from workers.replaying import Replayer
from workers.resealing import Resealer
from workers.revoking import Revoker
from workers.routing import Router
from workers.scheduler import Scheduler
from workers.sending import Sender, Settler
from workers.signals import Heeding
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
CALL_SHARE: Final = 0.7
"""A call takes at most so much of a due row's lease, and the rest is for storing its outcome."""
_CHANNELS: Final = {line.connector.name: line.connector.channel for line in registry.PROVIDERS}


def call_limits(lease_s: float) -> Limits:
    """Of the calls of jobs whose due rows are leased for so long."""
    return Limits(total_s=min(Limits().total_s, lease_s * CALL_SHARE))


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
        built = registry.build(environ)
        on = self._connectors = built.connectors if connectors is None else connectors
        receiving = {name: one for name, one in on.items() if isinstance(one, Receives)}
        leases = Leases(self.database, seconds=settings.lease_seconds)
        store = DrainStore(self.database)
        known = Connections(self.database)
        ignored = self.metrics.ignored
        normalizer = Normalizer(
            self.vault,
            settings.public_url,
            lambda provider, kind: ignored.labels(provider, kind).inc(),
        )
        self.rows = DueRows(self.database, seconds=settings.lease_seconds * LANE_TIMES)
        self._activity = ActivityStore(self.database)
        self.hearing = Hearing(
            self._activity.of,
            self._activity.put,
            lambda id_: self.rows.ask(RECONCILE, id_, now_ms()),
        )
        consents = Consents(self.vault, registry.CONSENT_ITEMS)
        outbox = Outbox(self.database)
        matching = self._matching(outbox, normalizer)
        self.router = Router(known, normalizer, receiving, self.hearing, consents, matching)
        self.drainer = Drainer(store, leases, self.vault, self.router)
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
        self.gaps = GapAnnouncer(Gaps(self.database), store, known, normalizer, on, self.rows)
        self.objects = open_objects(settings)
        self.upkeep = Upkeep(settings, self._direct, leases, self.vault, self.objects)
        self.lanes = LaneQueue()
        threads = 3 if self.database.is_postgresql else 2
        self.threads = DrainThreads(self.lanes, self.drainer, _report, threads)
        errands = {
            "upkeep": self.upkeep.keep_ahead,
            "unrouted": self.stranded.route,
            "gaps": self.gaps.announce,
            "replays": self.replayer.run_queued,
        }
        rotations = Rotations(self.database)
        count = self.metrics.openings
        self.openings = Openings(
            TokenOpenings(self.database).put, lambda job: count.labels(job).inc()
        )
        rows = SealedRows(self.database)
        self.resealer = Resealer(rotations, rows, leases, self.vault, self.openings)
        self.sweeper = Sweeper(store, self.lanes, errands, {"rotations": self.resealer.run})
        self._logins = built.logins if logins is None else logins
        self.turning = Turning(normalizer, self.vault, settings.public_url, _CHANNELS)
        self._keep_fresh(store)
        self._end(store, known, normalizer)
        self._reconcile(store, known)
        self.pauser = Pauser(
            Pauses(self.database),
            known,
            self.rows,
            store,
            normalizer,
            self.turning,
            receiving,
            matching,
        )
        self.heeding = self._heeding(store, normalizer)
        self._look_up(store, known, normalizer)
        self._send(outbox, store, known, normalizer)
        jobs = {
            REFRESH: self.refresher.run,
            RECONCILE: self.reconciler.run,
            REVOKE: self.revoker.run,
            PAUSE: self.pauser.run,
            SIGNAL: self.heeding.run,
            WATCH: Watchdog(self._activity, store).run,
            LOOKUP: self.completing.run,
            PROFILE: self.profiling.run,
        }
        self.scheduler = Scheduler(self.rows, jobs, self.metrics)
        self._keep_media(store, known, normalizer)

    def _look_up(self, store: DrainStore, known: Connections, normalizer: Normalizer) -> None:
        """What asks providers about what was delivered."""
        self.profiling = Profiling(
            Profiles(self.database),
            known,
            self.rows,
            store,
            self.accounts,
            self.vault,
            normalizer,
            self._connectors,
        )
        self.completing = Completing(
            Lookups(self.database),
            known,
            self.rows,
            store,
            self.accounts,
            self.vault,
            self._connectors,
            self.metrics,
        )

    def _keep_fresh(self, store: DrainStore) -> None:
        """What keeps grants fresh, and counts who opens their tokens."""
        grants = Grants(self.database)
        self.tokens = GrantTokens(self.vault, self.openings)
        states = self._states = GrantStates(grants, self.turning)
        self.gates = SharedGates(
            GateStore(self.database), gate_names(self.vault), self.metrics.gate_closed
        )
        self.transport = Transport(
            allow=self.settings.allowed_networks,
            sandbox_url=self.settings.sandbox_url,
            observer=CountedCalls(self.metrics),
            keeper=self.gates,
            limits=call_limits(self.rows.seconds),
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
        self.accounts = Accounts(
            self.transport,
            self.refresher,
            grants,
            self._logins,
            self._connectors,
            lambda one: account_details(one, self.vault.tenant(one.tenant)).account,
        )
        self.counting = Repeating(
            "openings", OPENINGS_EVERY_S, lambda: works("openings", self.openings.flush)
        )
        self.listening = Repeating(
            "activity", FLUSH_S, lambda: works("activity", self.hearing.flush)
        )

    def _reconcile(self, store: DrainStore, known: Connections) -> None:
        """What looks after connections."""
        grants, inspections = Grants(self.database), Inspections(self.database)
        inspector = Inspector(
            grants,
            inspections,
            self.accounts,
            self.refresher,
            self.vault,
            self._logins,
            self._connectors,
        )
        self.policy = Policy(self.settings.policy_version or "", grants, inspections)
        self.reconciler = Reconciler(
            known, self._activity, self.rows, store, inspector, self.turning, self.policy
        )

    def _end(self, store: DrainStore, known: Connections, normalizer: Normalizer) -> None:
        """What carries out revocations."""
        revocations = Revocations(self.database)
        ending = Ending(
            Grants(self.database),
            self.vault,
            self.tokens,
            EscrowStore(self.database),
            self.refresher,
            self.transport,
            self._logins,
            self._connectors,
        )
        self.revoker = Revoker(
            revocations, known, store, normalizer, self.vault, ending, self.rows, _CHANNELS
        )

    def _keep_media(self, store: DrainStore, known: Connections, normalizer: Normalizer) -> None:
        """What fetches media, and deletes them."""
        settings = self.settings
        self.media_transport = media_transport(settings, CountedCalls(self.metrics), self.gates)
        fetcher = Fetcher(
            self.objects,
            self.media_transport,
            self.accounts.over(self.media_transport),
            self._connectors,
            settings.media_bytes,
        )
        rows, days = MediaRows(self.database), settings.media_days
        self.media = MediaKeeper(
            rows, store, known, fetcher, normalizer, self.vault, _CHANNELS, days=days
        )
        self.media_scheduler = Scheduler(
            self.rows, {MEDIA: self.media.run}, self.metrics, at_once=MEDIA_AT_ONCE, name="media"
        )

    def _send(
        self, outbox: Outbox, store: DrainStore, known: Connections, normalizer: Normalizer
    ) -> None:
        """What sends, and tells what became of it."""
        letters, telling = self._letters(), self._telling
        self.sender = Sender(
            outbox, self.rows, store, known, self.accounts, letters, telling, self.metrics
        )
        self.settler = Settler(outbox, self.rows, store, known, letters, telling)
        jobs = {SEND: self.sender.run, SETTLE: self.settler.run}
        self.send_scheduler = Scheduler(self.rows, jobs, self.metrics, name="sends")

    def _matching(self, outbox: Outbox, normalizer: Normalizer) -> Matching:
        """What finds our own sends in what comes in."""
        letters = self._letters()
        self._telling = Telling(normalizer, letters, self._connectors, _CHANNELS)
        return Matching(outbox, letters, normalizer, self._telling)

    def _letters(self) -> Letters:
        rows, url = MediaRows(self.database), self.settings.public_url
        return Letters(self.vault, MediaLinks(rows, self.vault, url))

    def _heeding(self, store: DrainStore, normalizer: Normalizer) -> Heeding:
        """What acts on what providers tell of consents."""
        return Heeding(
            Signals(self.database),
            Grants(self.database),
            Revocations(self.database),
            store,
            self._states,
            self.vault,
            normalizer,
            _CHANNELS,
        )

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

    @app.task(name=queue.DUE)  # type: ignore[untyped-decorator]
    def due() -> None:
        parts.scheduler.look()
        parts.media_scheduler.look()
        parts.send_scheduler.look()

    @app.task(name=queue.UPKEEP)  # type: ignore[untyped-decorator]
    def upkeep() -> None:
        parts.upkeep.run()

    return app


def _report(tally: Tally) -> None:
    if tally.items:
        log.debug("drain.done", **tally._asdict())
