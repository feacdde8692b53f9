"""Metrics of the removal of erased users from the logs."""

from prometheus_client import CollectorRegistry

from stream_app.metric_group import MetricGroup


class ErasureMetrics(MetricGroup):
    """Erasures whose records are still on Headrace's logs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.unswept_erasures = self._gauge(
            "headrace_unswept_erasures",
            "Erased users of this worker's partitions whose records on the logs have no tombstones yet.",
        )
        self.oldest_unswept_erasure = self._gauge(
            "headrace_oldest_unswept_erasure_seconds",
            "Age of the oldest of these erasures; 0 if there is none.",
        )
        self.erasures_swept = self._counter(
            "headrace_erasures_swept_total",
            "Erased users whose records got tombstones, and who have a receipt.",
        )
