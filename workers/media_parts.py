"""What fetches media, and deletes them: with a transport and threads of their own."""

from storage.media import MEDIA, MediaRows
from storage.objects import ObjectStore
from workers.foundation import Foundation
from workers.media import MEDIA_AT_ONCE, Fetcher, MediaKeeper, media_transport
from workers.metrics import CountedCalls
from workers.provider_calls import ProviderCalls
from workers.scheduler import Scheduler


class MediaParts:
    """A part of the composition root: it builds, and does nothing."""

    def __init__(self, base: Foundation, calls: ProviderCalls, objects: ObjectStore) -> None:
        settings, metrics = base.settings, base.metrics
        self.transport = media_transport(settings, CountedCalls(metrics), calls.gates)
        accounts = calls.accounts.over(self.transport)
        fetcher = Fetcher(objects, self.transport, accounts, base.connectors, settings.media_bytes)
        self.keeper = MediaKeeper(
            MediaRows(base.database),
            base.store,
            base.known,
            fetcher,
            base.normalizer,
            base.vault,
            base.channels,
            days=settings.media_days,
        )
        jobs = {MEDIA: self.keeper.run}
        self.scheduler = Scheduler(base.rows, jobs, metrics, at_once=MEDIA_AT_ONCE, name="media")
