"""Upkeep: keys and partitions ahead, old days destroyed, old keys pruned. Each run does what is
due.
"""

import time
from collections import Counter
from datetime import date, timedelta
from typing import Any, Final

import structlog

from contracts.settings import Settings
from storage import expiry, partitions, retention
from storage.database import Database, now_ms
from storage.escrow import EscrowStore
from storage.leases import Leases
from storage.media import MediaRows
from storage.objects import ObjectStore
from storage.openings import TokenOpenings
from storage.outbox import Outbox
from token_vault import Vault
from workers.sweeping_media import MediaSweep

log = structlog.get_logger()

LEASE: Final = "upkeep"
EVERY_S: Final = 3600
OPENINGS_DAYS: Final = 365
"""How long it is kept who opened tokens: as security logs are."""
SENDS_DAYS: Final = 30
"""How long a send can be asked for, and its idempotency key is known."""
_EPOCH: Final = date(1970, 1, 1)
_MOST_TOLD: Final = 20
"""Accounts that a warning names each; the others are summed up."""


class Upkeep:
    """The housekeeping of one deployment; several schedulers may ask for it."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        leases: Leases,
        vault: Vault,
        objects: ObjectStore,
    ) -> None:
        self._settings = settings
        self._database = database
        self._leases = leases
        self._vault = vault
        self._escrow = EscrowStore(database)
        self._media = MediaSweep(MediaRows(database), objects, vault)
        self._days_due = 0.0

    def run(self) -> None:
        """Do all that is due; does nothing while another worker is at it. Raises `Unavailable`."""
        lease = self._leases.take_new(LEASE, "all")
        if lease is None:
            return
        try:
            self.prepare()
            self._destroy_old_days()
            self._end_escrow()
            self._prune()
            self._media.run()
        finally:
            self._leases.remove(lease)

    def prepare(self) -> None:
        """Key pairs and partitions for the coming week."""
        today = _EPOCH + timedelta(days=partitions.today())
        self._vault.ensure_days(today, partitions.AHEAD_DAYS + 1)
        partitions.ensure_partitions(self._database)

    def keep_ahead(self) -> None:
        """Room for what comes: message ranges now, the week's days every hour. Every worker does it
        by itself, since a broker that is away must not stop the drains. Raises `Unavailable`.
        """
        partitions.ensure_message_ranges(self._database)
        if time.monotonic() >= self._days_due:
            self.prepare()
            self._days_due = time.monotonic() + EVERY_S

    def _destroy_old_days(self) -> None:
        """Raw items older than kept: their rows, then the key that opens their backups too. A day
        whose rows are still there, because of waiting items or of somebody who reads, keeps both.
        """
        first_kept = partitions.today() - self._settings.raw_days
        removed = expiry.drop_inbox_days(self._database, first_kept)
        for day, destroyed in self._vault.days():
            number = (day - _EPOCH).days
            if not destroyed and number < first_kept and number not in removed.left:
                self._vault.destroy_day(day)
                log.info("upkeep.day_destroyed", day=day.isoformat())
        if removed.days:
            log.info("upkeep.raw_days_removed", days=len(removed.days))
        if removed.left:
            log.warning("upkeep.raw_days_left", days=len(removed.left), oldest=min(removed.left))
        for (provider, route), items in removed.unrouted.most_common(_MOST_TOLD):
            log.warning(
                "upkeep.unrouted_expired", provider=provider, route=route.hex(), items=items
            )
        _tell_rest("upkeep.unrouted_expired", removed.unrouted)

    def _end_escrow(self) -> None:
        """Tokens whose time is over: the keys that open them, in backups too, then their rows."""
        for day in self._vault.escrow.destroy_over(_EPOCH + timedelta(days=partitions.today())):
            log.info("upkeep.escrow_day_destroyed", day=day.isoformat())
        ended = self._escrow.drop_over(now_ms())
        if ended:
            log.warning("upkeep.escrow_expired", tokens=ended)

    def _prune(self) -> None:
        """Deduplication keys outlive every parked item, since its replay needs them."""
        first_kept = partitions.today() - self._settings.dedup_days
        parked = expiry.drop_parked(self._database, (first_kept + 1) * partitions.DAY_MS)
        for (tenant, connection), items in parked.most_common(_MOST_TOLD):
            log.warning("upkeep.parked_expired", tenant=tenant, connection=connection, items=items)
        _tell_rest("upkeep.parked_expired", parked)
        keys = expiry.drop_dedupe(self._database, first_kept)
        before_ms = now_ms() - OPENINGS_DAYS * partitions.DAY_MS
        openings = TokenOpenings(self._database).prune(before_ms)
        sends = Outbox(self._database).prune(now_ms() - SENDS_DAYS * partitions.DAY_MS)
        rest = retention.prune(self._database, now_ms()) | ({"sends": sends} if sends else {})
        if keys or openings or rest:
            log.info("upkeep.pruned", dedupe=keys, openings=openings, **rest)


def _tell_rest(event: str, counts: Counter[Any]) -> None:
    """How many more were lost than were told one by one."""
    if len(counts) > _MOST_TOLD:
        told = sum(items for _, items in counts.most_common(_MOST_TOLD))
        rest = len(counts) - _MOST_TOLD
        log.warning(event, others=rest, items=counts.total() - told)
