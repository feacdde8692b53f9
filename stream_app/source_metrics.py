"""The metrics of candidate sources, a group of `stream_app.metrics.Metrics`."""

from prometheus_client import CollectorRegistry

from stream_app.metric_group import MetricGroup


class SourceMetrics(MetricGroup):
    """What each candidate source brings to the learned fusion."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.source_active = self._gauge(
            "headrace_source_active",
            "1 while lists use the candidates of a source (a model); 0 while it is paused, since it brings nothing.",
            "source",
        )
        self.source_gain = self._gauge(
            "headrace_source_gain",
            "Gain of a source in the choices that were measured: value of the chosen item's rank, 1 at the first, "
            "less its value without the source.",
            "source",
        )
        self.source_measures = self._gauge(
            "headrace_source_measures",
            "Choices measured since a source was paused or resumed.",
            "source",
        )
