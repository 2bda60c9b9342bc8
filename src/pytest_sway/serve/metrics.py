"""What a Prometheus server reads of the daemon."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pytest_sway.serve.supervisor import Supervisor


class _SupervisorMetrics(Collector):
    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def collect(self) -> Iterator[Metric]:
        found = self._supervisor
        yield CounterMetricFamily("sway_runs", "Finished runs", value=found.run_count)
        yield CounterMetricFamily("sway_run_seconds", "Duration of runs in seconds", value=found.run_seconds)
        yield CounterMetricFamily("sway_worker_starts", "Started workers", value=found.restarts)
        yield GaugeMetricFamily("sway_runs_waiting", "Runs in the queue", value=found.waiting)
        yield GaugeMetricFamily("sway_models_loaded", "Models in memory", value=len(found.models))
        size = sum(model.size for model in found.models)
        yield GaugeMetricFamily("sway_models_bytes", "Size of the models in memory in bytes", value=size)


def metrics_text(supervisor: Supervisor) -> bytes:
    """The metrics in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(_SupervisorMetrics(supervisor))
    return generate_latest(registry)
