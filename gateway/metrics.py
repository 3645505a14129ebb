"""What the edge counts; labels are names of ours and of providers, never content or ids."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from contracts.gates import Gate

_BATCH: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0)


class Metrics:
    """The metrics of one edge, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"gateway_{name}", text, labels, registry=registry)

        self.deliveries = counter(
            "ingest_deliveries",
            "Deliveries by endpoint and what became of them",
            "endpoint",
            "result",
        )
        self.items = counter("ingest_items", "Items stored, by provider", "provider")
        self.batches = Histogram(
            "gateway_inbox_batch_items",
            "Items that shared one durable write",
            buckets=_BATCH,
            registry=registry,
        )
        self.commits = Histogram(
            "gateway_inbox_commit_seconds",
            "Duration of one durable write",
            buckets=_SECONDS,
            registry=registry,
        )
        self.nudges = counter("nudges", "Nudges to the workers, by result", "result")
        self.pulled = counter("pull_messages", "Messages handed to readers")
        self.unreadable = counter(
            "pull_unreadable", "Messages left out because they do not open, by reason", "reason"
        )
        self.refused_auth = counter("auth_refused", "Calls refused, by reason", "reason")
        self.signals = counter(
            "signals",
            "What providers told of consents, by login, kind, and whether it was new",
            "login",
            "kind",
            "result",
        )
        self.signals_refused = counter(
            "signals_refused", "Signals refused, by login and reason", "login", "reason"
        )
        self._gates = counter(
            "gates_closed",
            "Rests begun for a rate limit, of the app or of an account, and why",
            "provider",
            "of",
            "why",
        )
        self.calls = counter("http_calls", "Calls by operation and status", "operation", "status")

    def gate_closed(self, gate: Gate, why: str) -> None:
        """This process closed a gate; an account's id is no label."""
        self._gates.labels(gate.provider, "account" if gate.asset else "app", why).inc()

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge `gateway_{name}` that asks `read` when it is scraped."""
        Gauge(f"gateway_{name}", text, registry=self.registry).set_function(read)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format 0.0.4."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)
