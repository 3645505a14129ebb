"""Media that are to end and were not looked at, and objects that no row names."""

import time
from itertools import islice
from typing import Final

import structlog

from contracts.errors import Unavailable
from storage.database import now_ms
from storage.media import MediaRows
from storage.objects import ObjectStore
from token_vault import Vault, objects_of

log = structlog.get_logger()

OBJECTS_EVERY_S: Final = 86_400.0
YOUNG_MS: Final = 86_400_000
"""Objects that are younger may be of a row that is written just now, or of an upload."""
_PAGE: Final = 500


class MediaSweep:
    """What upkeep does about media, each hour; once a day it lists the object store."""

    def __init__(self, rows: MediaRows, objects: ObjectStore, vault: Vault) -> None:
        self._rows, self._objects, self._vault = rows, objects, vault
        self._objects_due = 0.0

    def run(self) -> None:
        """A store that is away is told, and left to the next hour. Raises `StoreUnavailable`."""
        if hurried := self._rows.hurry_ending():
            log.info("upkeep.media_ending", rows=hurried)
        if time.monotonic() < self._objects_due:
            return
        try:
            removed = self.remove_orphans()
        except Unavailable as error:
            log.warning("upkeep.objects_not_swept", reason=error.reason, detail=str(error))
            return
        self._objects_due = time.monotonic() + OBJECTS_EVERY_S
        if removed:
            log.warning("upkeep.orphaned_objects_removed", objects=removed)

    def remove_orphans(self) -> int:
        """Delete objects of ours that no row has, older than a day: of a database that was restored
        from a backup, or of a writer that lost its row. What others keep there is not looked at:
        names say whose they are. How many they were.
        """
        removed = 0
        ours = self._objects.names(objects_of(self._vault.deployment()))
        old = (one.name for one in ours if one.at_ms < now_ms() - YOUNG_MS)
        while names := list(islice(old, _PAGE)):
            known = self._rows.known(names)
            for name in names:
                if name not in known:
                    self._objects.delete(name)
                    removed += 1
        return removed
