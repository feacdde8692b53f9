"""Clipping of features."""

import math
from typing import Final

from stream_app.models.kernels.jit import SUMS, jit

MAX_ABS_FEATURE: Final = 1e3
"""Largest absolute value of a feature; larger ones are clipped."""


@jit(fastmath=SUMS, numpy_errors=True)
def clip_feature(value: float) -> float:
    """Clip a feature to `MAX_ABS_FEATURE`; NaN becomes 0."""
    if math.isnan(value):
        return 0.0
    return float(min(max(value, -MAX_ABS_FEATURE), MAX_ABS_FEATURE))
