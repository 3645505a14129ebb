"""Builds what serves media of an edge."""

from gateway.media.calls import MediaCalls
from gateway.media.serving import Serving
from gateway.media.uploading import Uploading
from gateway.parts import Parts
from gateway.threads import Threads
from storage.media import MediaRows
from storage.objects import open_objects

THREADS = 4
"""Object stores may be slow, and senders: they hold up nothing else."""


class Media:
    """Media of one edge. Raises `Misconfigured`."""

    def __init__(self, parts: Parts) -> None:
        settings = parts.settings
        self._threads = Threads(THREADS)
        rows, objects = MediaRows(parts.database), open_objects(settings)
        self.calls = MediaCalls(
            rows,
            Serving(objects, parts.vault, self._threads),
            Uploading(
                rows,
                objects,
                parts.vault,
                self._threads,
                settings.media_bytes,
                days=settings.media_days,
            ),
            parts.vault,
            parts.threads,
        )

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.close()
