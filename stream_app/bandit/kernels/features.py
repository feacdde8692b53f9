"""Features that are finite and bounded."""

import math
from typing import Any

from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def clip_feature(value: Any, max_abs: float) -> float:
    """A feature within `max_abs` of 0, and 0 if it is no number."""
    if math.isnan(value):
        return 0.0
    return float(min(max(value, -max_abs), max_abs))


@jit(fastmath=SUMS, numpy_errors=True)
def clip_features(features: Any, max_abs: float, out: Any) -> None:
    """Write features that are within `max_abs` of 0, and 0 where they are no number."""
    for row in range(len(features)):
        for j in range(features.shape[1]):
            value = features[row, j]
            out[row, j] = 0.0 if math.isnan(value) else min(max(value, -max_abs), max_abs)
