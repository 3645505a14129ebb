"""Everything the edge is made of, built once and passed on."""

import time
from collections.abc import Sequence

from connectors.registry import Registry
from contracts.settings import Settings
from gateway.auth import Auth
from gateway.fit import Fit
from gateway.jobs import Jobs
from gateway.metrics import Metrics
from gateway.nudges import Nudges
from gateway.reading import Reader
from gateway.refused import Refused
from gateway.run_keys import RunKeys
from gateway.spans import HashedSpans, SpanFile
from gateway.threads import Threads
from gateway.wake import Wake, source
from gateway.webhooks import Webhooks
from storage.api_keys import ApiKeys
from storage.connections import Connections
from storage.database import now_ms
from storage.gaps import Gaps
from storage.inbox import Inbox, InboxWriter, NewItem, RunKey
from storage.inbox_writers import inbox_writer
from storage.log import MessageLog
from storage.pooler import direct_database, open_database
from token_vault import Vault


class Parts:
    """The parts of one edge; connects to nothing until they are started."""

    def __init__(self, settings: Settings, registry: Registry, vault: Vault, jobs: Jobs) -> None:
        self.settings, self.registry, self.vault, self.jobs = settings, registry, vault, jobs
        self.metrics = Metrics()
        self.threads = Threads()
        self.database = open_database(settings)
        self.direct = direct_database(settings, self.database)
        self.log = MessageLog(self.database)
        self.keys = ApiKeys(self.database)
        self.auth = Auth(self.keys, self.threads, self.metrics)
        self.wake = Wake()
        self.source = source(settings.direct_database, self.wake)
        fit = Fit(vault, Connections(self.database).tenants)
        self.reader = Reader(self.log, vault, fit, self.wake, self.threads, self.metrics)
        self.run_keys = RunKeys(vault.run_sealer)
        self.nudges = Nudges(jobs.nudge, self.metrics)
        writer = Measured(inbox_writer(settings.direct_database), self.metrics)
        self.inbox = Inbox(writer, self.nudges.committed)
        spans = HashedSpans(vault, Gaps(self.database))
        self.span_file = SpanFile(settings.data_dir / "refused", spans)
        self.refused = Refused(spans.add, now_ms, self.span_file)
        self.webhooks = Webhooks(
            registry.endpoints, self.inbox, self.run_keys, self.refused, self.metrics
        )
        self.metrics.watch("pull_waiters", "Readers that wait", lambda: self.wake.waiting)
        self.metrics.watch("refused_routes", "Routes refused, untold", lambda: len(self.refused))

    def close(self) -> None:
        """Let go of threads, connections and keys."""
        self.threads.close()
        self.database.close()
        self.direct.close()
        self.vault.close()
        self.span_file.close()


class Measured:
    """An inbox writer whose batches are counted."""

    def __init__(self, writer: InboxWriter, metrics: Metrics) -> None:
        self._writer = writer
        self._batches, self._commits = metrics.batches, metrics.commits

    async def write(self, key: RunKey, items: Sequence[NewItem]) -> None:
        """As the writer's own."""
        began = time.perf_counter()
        await self._writer.write(key, items)
        self._commits.observe(time.perf_counter() - began)
        self._batches.observe(len(items))

    async def close(self) -> None:
        """As the writer's own."""
        await self._writer.close()
