"""Latency of single predictions."""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray


class LatencyStats(msgspec.Struct, frozen=True):
    """Wall time of one prediction in milliseconds; NaN without predictions."""

    mean: float
    p50: float
    p99: float


def latency_stats(nanoseconds: NDArray[np.int64]) -> LatencyStats:
    """Mean, median and 99th percentile of times in nanoseconds, as milliseconds.

    Examples
    --------
    >>> latency_stats(np.array([1_000_000, 2_000_000, 6_000_000]))
    LatencyStats(mean=3.0, p50=2.0, p99=5.92)
    """
    if not len(nanoseconds):
        return LatencyStats(math.nan, math.nan, math.nan)
    quantiles = np.quantile(nanoseconds, (0.5, 0.99))
    return LatencyStats(*(round(float(value) / 1e6, 6) for value in (nanoseconds.mean(), *quantiles)))
