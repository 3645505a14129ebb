"""kombu's filesystem transport for the embedded default, with whole messages only.

The original writes messages in place, so that a reader can take a half-written file and end its
worker; this one writes aside and renames, and claims by renaming too.
"""

import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps, loads


class Channel(filesystem.Channel):
    """A channel whose queues are folders' files named `<time>_<uuid>.<queue>.msg`."""

    def _put(self, queue: str, payload: dict[str, Any], **_: Any) -> None:  # type: ignore[override]  # kombu's bases differ
        folder = Path(self.data_folder_out)
        name = f"{time.time_ns():020d}_{uuid.uuid4().hex}"
        aside = folder / f"{name}.aside"
        aside.write_text(dumps(payload), encoding="utf-8")
        aside.rename(folder / f"{name}.{queue}.msg")

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        folder = Path(self.data_folder_in)
        suffix = f".{queue}.msg"
        for name in sorted(file.name for file in folder.glob(f"*{suffix}")):
            claimed = folder / f"{name}.{uuid.uuid4().hex}.claimed"
            try:
                (folder / name).rename(claimed)
            except FileNotFoundError:
                continue  # another worker was quicker
            text = claimed.read_text(encoding="utf-8")
            claimed.unlink()
            payload: dict[str, Any] = loads(text)
            return payload
        raise Empty


class Transport(filesystem.Transport):
    """Named by `workers.queue` in the broker's URL."""

    Channel = Channel
