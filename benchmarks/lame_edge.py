"""`python -m benchmarks.lame_edge WITHOUT… PORT`: an edge without `nudges` or `store`, so that the
difference tells what these cost.
"""

import sys
from collections.abc import Sequence

from connectors.registry import build
from contracts.settings import Settings, environment, load
from gateway import parts
from gateway.app import Edge
from gateway.serve import Server, server_config
from storage.inbox import NewItem, RunKey
from token_vault import open_vault
from workers.queue import Queue


class NoNudges:
    """Jobs that nobody is told of."""

    def nudge(self, lanes: Sequence[int]) -> None:
        """Nothing."""

    def replay(self, replay: str) -> None:
        """Nothing."""

    def due(self) -> None:
        """Nothing."""


class NoStore:
    """An inbox writer that is done at once."""

    async def write(self, key: RunKey, items: Sequence[NewItem]) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""


def main(without: Sequence[str], port: int) -> None:
    """Serve."""
    environ = environment()
    settings = load(Settings, environ)
    if "store" in without:
        vars(parts)["inbox_writer"] = lambda url: NoStore()
    jobs = NoNudges() if "nudges" in without else Queue(settings.broker)
    edge = Edge(parts.Parts(settings, build(environ), open_vault(settings), jobs))
    Server(server_config(edge, "127.0.0.1", port), edge).run()


if __name__ == "__main__":
    main(sys.argv[1:-1], int(sys.argv[-1]))
