"""Metrics of the last seconds."""

import pytest

from stream_app.tools.environment.metrics_history import MetricsHistory
from stream_app.tools.environment.worker_metrics import ScrapedMetrics


def test_recent_metrics_cover_the_window_only() -> None:
    metrics_history = MetricsHistory()
    for step in range(101):
        seconds = step * 0.25
        metrics_history.add(seconds, ScrapedMetrics(accepted=100.0 * min(seconds, 20.0)))

    assert metrics_history.rate == pytest.approx(0.0), "nothing happened for the last five seconds"
    metrics_history.add(25.25, ScrapedMetrics(accepted=2_500.0))
    assert metrics_history.recent_metrics.accepted == 500.0
