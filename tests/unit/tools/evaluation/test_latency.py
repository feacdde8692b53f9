"""Latency statistics."""

import numpy as np

from stream_app.tools.evaluation.latency import latency_stats


def test_latency_stats_are_nan_without_predictions() -> None:
    stats = latency_stats(np.zeros(0, np.int64))
    assert np.isnan([stats.mean, stats.p50, stats.p99]).all()
