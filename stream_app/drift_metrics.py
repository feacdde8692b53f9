"""The metrics of drift, a group of `stream_app.metrics.Metrics`."""

from prometheus_client import CollectorRegistry

from stream_app.metric_group import MetricGroup


class DriftMetrics(MetricGroup):
    """Changes of the streams that a worker watches."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.drifts = self._counter(
            "headrace_drifts_total",
            "Changes of a stream (hit_rate, click_rate:POLICY, log_price) among this worker's users, by detector "
            "(adwin, page_hinkley; both for a change that both found, which is sure) and direction.",
            "stream",
            "detector",
            "direction",
        )
        self.last_drift = self._gauge(
            "headrace_last_drift_timestamp_seconds",
            "Time of the last change that was found in a stream, seconds since the epoch by the broker's clock.",
            "stream",
        )
        self.decay_rate = self._gauge(
            "headrace_decay_rate",
            "How many times as fast as by the half-lives of the settings counts lose weight; 1 except after a drift.",
        )
        self.decay_rate.set(1.0)
