"""The compiled inner loop of the critic of `session_value`; see `stream_app.models.kernels.shared` for the rules."""

import math
from typing import Any

import numpy as np

from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def fold_choice(
    features: Any,
    value: float,
    first: bool,
    weight: float,
    largest: float,
    discount: float,
    fading: float,
    before: Any,
    trace: Any,
    differences: Any,
    returns: Any,
    chosen: Any,
    disliked: Any,
) -> None:
    """Fold one step of a visit; a 1 follows the features.

    Parameters
    ----------
    features : ndarray of float32, shape (features,)
        Of what was chosen now.
    value
        What it brought. Below 0 it is a dislike: no choice, nothing follows from it.
    first
        Whether it is the first reaction to that showing.
    discount, fading
        What the next choice is worth, and what is left of the trace then.
    before : ndarray of float64, shape (features + 1,)
        The trace until here; zeros where a visit begins.
    trace : ndarray of float64, shape (features + 1,)
        Gets the trace from here on.
    differences : ndarray of float64, shape (features + 1, features + 1)
        Sum of trace times (features less the discounted next ones).
    returns : ndarray of float64, shape (features + 1,)
        Sum of trace times value.
    chosen : ndarray of float64, shape (features + 1, features + 1)
        Sum of outer products of what was first chosen.
    disliked : ndarray of float64, shape (features + 1,)
        Sum of features times value of what was disliked.
    """
    d = len(trace)
    x = np.empty(d)
    x[d - 1] = 1.0
    for i in range(d - 1):
        x[i] = 0.0 if math.isnan(features[i]) else min(max(features[i], -largest), largest)
    if value < 0.0:
        for i in range(d):
            disliked[i] += weight * value * x[i]
        return
    for i in range(d):
        trace[i] = fading * before[i] + x[i]
        step = weight * (trace[i] - discount * before[i])
        for j in range(d):
            differences[i, j] += step * x[j]
        returns[i] += weight * value * trace[i]
        if first:
            for j in range(d):
                chosen[i, j] += weight * x[i] * x[j]
