"""Calls to providers become metrics, in names that are no customer's."""

from prometheus_client import generate_latest

from connectors.kit.transport.observing import Call
from connectors.kit.transport.usage import APP, Usage
from workers.metrics import CountedCalls, Metrics


def test_a_call_is_counted_by_host_and_outcome() -> None:
    metrics = Metrics()
    CountedCalls(metrics).called(Call("meta", "graph.facebook.com", "2xx", 0.25))
    labels = {"provider": "meta", "host": "graph.facebook.com", "outcome": "2xx"}
    name = "gateway_provider_call_seconds"
    assert metrics.registry.get_sample_value(f"{name}_count", labels) == 1
    assert metrics.registry.get_sample_value(f"{name}_sum", labels) == 0.25


def test_the_apps_usage_is_measured_and_an_assets_id_is_no_label() -> None:
    metrics = Metrics()
    counted = CountedCalls(metrics)
    counted.used("meta", Usage(subject=APP, percent=41))
    counted.used("meta", Usage(subject="9988776655", percent=100, kind="messenger"))
    name, labels = "gateway_provider_app_usage_percent", {"provider": "meta"}
    assert metrics.registry.get_sample_value(name, labels) == 41
    assert b"9988776655" not in generate_latest(metrics.registry)
