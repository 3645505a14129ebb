"""What a worker counts; labels are names of ours and of providers, never content or ids."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from connectors.kit.transport.observing import Call
from connectors.kit.transport.usage import APP, Usage
from contracts.errors import Misconfigured
from contracts.gates import Gate

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
        self.calls = Histogram(
            "gateway_provider_call_seconds",
            "Calls to providers, by whose host it is and how they ended",
            ["provider", "host", "outcome"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.usage = Gauge(
            "gateway_provider_app_usage_percent",
            "How much of our app's own limit the provider said is used up",
            ["provider"],
            registry=registry,
        )
        self._gates = Counter(
            "gateway_gates_closed",
            "Rests begun for a rate limit, of the app or of an account, and why",
            ["provider", "of", "why"],
            registry=registry,
        )
        self.lookups = Counter(
            "gateway_lookups",
            "Messages that were to be completed by a call, by type and what became of that",
            ["type", "result"],
            registry=registry,
        )
        self.ignored = Counter(
            "gateway_happenings_ignored",
            "Happenings of kinds that are passed over on purpose, by provider and kind",
            ["provider", "kind"],
            registry=registry,
        )
        self.lag = Histogram(
            "gateway_due_lag_seconds",
            "From when a row was due until its job began, by kind",
            ["kind"],
            buckets=_SECONDS,
            registry=registry,
        )

        self.crashes = Counter(
            "gateway_due_crashes",
            "Jobs begun again because their worker crashed or was too slow, by kind",
            ["kind"],
            registry=registry,
        )

        self.sends = Counter(
            "gateway_sends",
            "What became of sends, by state and reason",
            ["state", "reason"],
            registry=registry,
        )

    def gate_closed(self, gate: Gate, why: str) -> None:
        """This process closed a gate; an account's id is no label."""
        self._gates.labels(gate.provider, "account" if gate.asset else "app", why).inc()

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


class CountedCalls:
    """Hears of every call to a provider (`Observer`).

    An asset's usage has no place in a metric: its id would be a label.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def called(self, call: Call) -> None:
        """A call is over, well or not."""
        labels = self._metrics.calls.labels(call.provider, call.host, call.outcome)
        labels.observe(call.seconds)

    def used(self, provider: str, usage: Usage) -> None:
        """The provider said how much of a limit is used up."""
        if usage.subject == APP:
            self._metrics.usage.labels(provider).set(usage.percent)
