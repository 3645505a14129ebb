"""Upkeep: keys and partitions ahead, old days destroyed, old keys pruned. Each run does what is
due.
"""

from datetime import date, timedelta
from typing import Final

import structlog

from contracts.settings import Settings
from storage import partitions
from storage.database import Database
from storage.leases import Leases
from storage.parked import drop_parked
from token_vault import Vault

log = structlog.get_logger()

LEASE: Final = "upkeep"
EVERY_S: Final = 3600
_EPOCH: Final = date(1970, 1, 1)


class Upkeep:
    """The housekeeping of one deployment; several schedulers may ask for it."""

    def __init__(
        self, settings: Settings, database: Database, leases: Leases, vault: Vault
    ) -> None:
        self._settings = settings
        self._database = database
        self._leases = leases
        self._vault = vault

    def run(self) -> None:
        """Do all that is due; does nothing while another worker is at it. Raises `Unavailable`."""
        if not self._leases.take_new(LEASE, "all"):
            return
        try:
            self.prepare()
            self._destroy_old_days()
            self._prune()
        finally:
            self._leases.remove(LEASE, "all")

    def prepare(self) -> None:
        """Key pairs and partitions for the coming week."""
        today = _EPOCH + timedelta(days=partitions.today())
        self._vault.ensure_days(today, partitions.AHEAD_DAYS + 1)
        partitions.ensure_partitions(self._database)

    def _destroy_old_days(self) -> None:
        """Raw items older than kept: their rows, then the key that opens their backups too. A day
        with waiting items keeps both.
        """
        first_kept = partitions.today() - self._settings.raw_days
        removed = partitions.drop_inbox_days(self._database, first_kept)
        waiting = partitions.oldest_inbox_day(self._database)
        for day, destroyed in self._vault.days():
            number = (day - _EPOCH).days
            if not destroyed and number < first_kept and (waiting is None or number < waiting):
                self._vault.destroy_day(day)
                log.info("upkeep.day_destroyed", day=day.isoformat())
        if removed:
            log.info("upkeep.raw_days_removed", days=removed)

    def _prune(self) -> None:
        """Deduplication keys outlive every parked item, since its replay needs them."""
        first_kept = partitions.today() - self._settings.dedup_days
        parked = drop_parked(self._database, (first_kept + 1) * partitions.DAY_MS)
        keys = partitions.drop_dedupe(self._database, first_kept)
        if parked or keys:
            log.info("upkeep.pruned", parked=parked, dedupe=keys)
