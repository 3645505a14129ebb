"""A fair queue for SQLite's single writer, across processes.

SQLite's own busy handler sleeps and retries (1 to 100 ms), so a busy edge starves the drain. Two
`flock`s make a turnstile: whoever waits holds the first, so the last writer cannot overtake it.
The kernel releases both when a process dies.
"""

import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType


class Turn:
    """Context manager: inside it this thread is the only writer. Not reentrant."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = threading.local()

    def __enter__(self) -> None:
        gate = os.open(f"{self._path}.gate", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(gate, fcntl.LOCK_EX)
            turn = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(turn, fcntl.LOCK_EX)
            except BaseException:
                os.close(turn)
                raise
            self._held.fd = turn
        finally:
            os.close(gate)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._held.fd)
