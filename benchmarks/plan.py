"""What every benchmark is told, and the services that it may use."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.figures import Progress
from tests.processes import program
from tests.servers import PrivateRedis


class Plan(NamedTuple):
    """How much to measure. `scale` shortens times and amounts, for a quick look."""

    databases: Sequence[str]
    rounds: int
    scale: float
    rows: int
    progress: Progress

    def seconds(self, full: float) -> float:
        return max(1.0, full * self.scale)

    def amount(self, full: int) -> int:
        return max(2_000, int(full * self.scale))

    def on(self, what: str) -> Progress:
        """Progress that says on what."""
        return lambda text: self.progress(f"{what}, {text}")


@contextlib.contextmanager
def broker(kind: str) -> Iterator[str | None]:
    """PostgreSQL goes with a Redis of its own, SQLite with the embedded default (None)."""
    if kind != "postgresql" or program("redis-server") is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        server = PrivateRedis(Path(folder))
        server.start()
        try:
            yield server.url
        finally:
            server.stop()
