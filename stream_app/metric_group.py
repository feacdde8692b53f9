"""The base of the metric groups of `stream_app.metrics`."""

from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class MetricGroup:
    """Metrics of one subject.

    Parameters
    ----------
    registry
        The registry that the metrics are added to.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry: Final = registry

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(name, description, labels, registry=self.registry)

    def _gauge(self, name: str, description: str, *labels: str) -> Gauge:
        return Gauge(name, description, labels, registry=self.registry)

    def _histogram(
        self, name: str, description: str, *labels: str, buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS
    ) -> Histogram:
        return Histogram(name, description, labels, buckets=buckets, registry=self.registry)
