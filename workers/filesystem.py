"""kombu's filesystem transport for the embedded default, with whole messages only.

The original writes messages in place, so that a reader can take a half-written file and end its
worker; this one writes aside and renames, and claims by renaming too.
"""

import time
import uuid
from collections import deque
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from queue import Empty
from typing import Any, Final

from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

LEFT_BEHIND_S: Final = 60
"""A file that was being written or read for so long belongs to a process that died."""


class Channel(filesystem.Channel):
    """A channel whose queues are folders' files named `<time>_<uuid>.<queue>.msg`."""

    def _put(self, queue: str, payload: dict[str, Any], **_: Any) -> None:  # type: ignore[override]  # kombu's bases differ
        folder = Path(self.data_folder_out)
        name = f"{time.time_ns():020d}_{uuid.uuid4().hex}"
        aside = folder / f"{name}.aside"
        aside.write_text(dumps(payload), encoding="utf-8")
        aside.rename(folder / f"{name}.{queue}.msg")

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        """Oldest first. The folder is listed anew only when the last listing is used up: a backlog
        would cost its square otherwise.
        """
        listed = self._listed.setdefault(queue, deque())
        if not listed:
            listed.extend(self._list(queue))
        while listed:
            path = listed.popleft()
            claimed = path.with_name(f"{path.name}.{uuid.uuid4().hex}.claimed")
            try:
                path.rename(claimed)
            except FileNotFoundError:
                continue  # another worker was quicker
            text = claimed.read_text(encoding="utf-8")
            claimed.unlink()
            payload: dict[str, Any] = loads(text)
            return payload
        raise Empty

    @cached_property
    def _listed(self) -> dict[str, deque[Path]]:
        """What is left of each queue's listing. Made with the channel, which also removes what
        crashes left behind.
        """
        old = time.time() - LEFT_BEHIND_S
        for pattern in ("*.aside", "*.claimed"):
            for path in Path(self.data_folder_in).glob(pattern):
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime < old:
                        path.unlink()
        return {}

    def _list(self, queue: str) -> list[Path]:
        return sorted(Path(self.data_folder_in).glob(f"*.{queue}.msg"))


class Transport(filesystem.Transport):
    """Named by `workers.queue` in the broker's URL."""

    Channel = Channel
