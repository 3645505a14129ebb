"""Builds what serves media of an edge."""

from typing import Final

from gateway.media.calls import MediaCalls
from gateway.media.serving import Serving
from gateway.media.uploading import Uploading
from gateway.parts import Parts
from gateway.threads import Threads
from storage.media import MediaRows
from storage.objects import open_objects

THREADS: Final = 4
"""Object stores may be slow: they hold up nothing else."""
UPLOADS: Final = 8
"""How many may come at once, each in a thread that waits for its sender; others are told 503."""


class Media:
    """Media of one edge. Raises `Misconfigured`."""

    def __init__(self, parts: Parts) -> None:
        settings = parts.settings
        self._threads, self._uploads = Threads(THREADS), Threads(UPLOADS, most=UPLOADS)
        rows, objects = MediaRows(parts.database), open_objects(settings)
        self.calls = MediaCalls(
            rows,
            Serving(objects, parts.vault, self._threads),
            Uploading(
                rows,
                objects,
                parts.vault,
                self._uploads,
                settings.media_bytes,
                days=settings.media_days,
            ),
            parts.vault,
            parts.threads,
        )

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.close()
        self._uploads.close()
