"""The compiled inner loop of the critic of `session_value`; see `stream_app.models.kernels.shared` for the rules."""

import math
from typing import Any

import numpy as np

from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def fold_lstd_step(
    features: Any,
    value: float,
    first: bool,
    weight: float,
    max_abs: float,
    discount: float,
    trace_factor: float,
    previous_trace: Any,
    trace: Any,
    lstd_matrix: Any,
    lstd_vector: Any,
    choice_products: Any,
    dislike_sums: Any,
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
    discount, trace_factor
        What the next choice is worth, and what is left of the trace then.
    previous_trace : ndarray of float64, shape (features + 1,)
        The trace until here; zeros where a visit begins.
    trace : ndarray of float64, shape (features + 1,)
        Gets the trace from here on.
    lstd_matrix : ndarray of float64, shape (features + 1, features + 1)
        Sum of trace times (features less the discounted next ones).
    lstd_vector : ndarray of float64, shape (features + 1,)
        Sum of trace times value.
    choice_products : ndarray of float64, shape (features + 1, features + 1)
        Sum of outer products of what was first chosen.
    dislike_sums : ndarray of float64, shape (features + 1,)
        Sum of features times value of what was disliked.
    """
    d = len(trace)
    x = np.empty(d)
    x[d - 1] = 1.0
    for i in range(d - 1):
        x[i] = 0.0 if math.isnan(features[i]) else min(max(features[i], -max_abs), max_abs)
    if value < 0.0:
        for i in range(d):
            dislike_sums[i] += weight * value * x[i]
        return
    for i in range(d):
        trace[i] = trace_factor * previous_trace[i] + x[i]
        step = weight * (trace[i] - discount * previous_trace[i])
        for j in range(d):
            lstd_matrix[i, j] += step * x[j]
        lstd_vector[i] += weight * value * trace[i]
        if first:
            for j in range(d):
                choice_products[i, j] += weight * x[i] * x[j]
