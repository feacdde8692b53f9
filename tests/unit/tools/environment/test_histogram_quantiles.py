"""Quantiles of histogram buckets."""

import math

import pytest

from stream_app.tools.environment.histogram_quantiles import HistogramBuckets

# 10 observations up to 10 ms, 80 between 10 and 20, 9 between 20 and 50, 1 above 50.
LATENCY_BUCKETS = HistogramBuckets((0.01, 0.02, 0.05, math.inf), (10.0, 90.0, 99.0, 100.0))


@pytest.mark.parametrize(
    ("q", "seconds"),
    [
        (0.05, 0.005),  # the 5th of 10 within 0 to 10 ms
        (0.1, 0.01),
        (0.5, 0.015),  # the 40th of 80 within 10 to 20 ms
        (0.9, 0.02),
        (0.93, 0.03),  # the 3rd of 9 within 20 to 50 ms
        (0.99, 0.05),
        (0.999, 0.05),  # above the last finite bound
    ],
)
def test_quantiles_are_interpolated_within_their_bucket(q: float, seconds: float) -> None:
    assert LATENCY_BUCKETS.quantile(q) == pytest.approx(seconds)


def test_an_empty_histogram_has_no_quantile() -> None:
    assert HistogramBuckets().quantile(0.5) is None
    assert (LATENCY_BUCKETS - LATENCY_BUCKETS).quantile(0.5) is None


def test_histograms_with_different_bounds_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="different bounds"):
        LATENCY_BUCKETS + HistogramBuckets((1.0,), (1.0,))
