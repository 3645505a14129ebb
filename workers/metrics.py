"""What a worker counts; labels are names of ours and of providers, never content or ids."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from contracts.errors import Misconfigured

_SECONDS: Final = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200)


class Metrics:
    """The metrics of one worker, in a registry of their own; nobody sees them unless `serve`d."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.openings = Counter(
            "gateway_token_openings",
            "Openings of a grant's tokens, by job",
            ["job"],
            registry=registry,
        )
        self.refreshes = Counter(
            "gateway_refreshes",
            "Refreshes and checks of tokens, by login and what became of them",
            ["login", "result"],
            registry=registry,
        )
        self.lag = Histogram(
            "gateway_due_lag_seconds",
            "From when a row was due until its job began, by kind",
            ["kind"],
            buckets=_SECONDS,
            registry=registry,
        )

    def serve(self, address: str) -> Callable[[], None]:
        """Serve them at `host:port`, to everybody who reaches it; returns what ends that.

        Raises `Misconfigured` when the address cannot be had.
        """
        host, _, port = address.rpartition(":")
        try:
            server, thread = start_http_server(int(port), host, self.registry)
        except (OSError, OverflowError) as error:
            raise Misconfigured(f"GATEWAY_WORKER_METRICS: {address}: {error}") from None

        def close() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return close
