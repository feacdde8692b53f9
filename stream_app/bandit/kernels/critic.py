"""The sums of the critic of `session_value`."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.bandit.kernels.features import clip_feature
from stream_app.models.array_types import Floats, Matrix
from stream_app.models.kernels.jit import SUMS, jit


class CriticSums(NamedTuple):
    """Weighted sums over the steps of sessions; the last of the d features is the constant 1."""

    lstd_matrix: NDArray[np.float64]  # shape (d, d): trace times (features less the discounted next ones)
    lstd_vector: NDArray[np.float64]  # shape (d,): trace times value
    choice_products: NDArray[np.float64]  # shape (d, d): outer products of the features of first choices
    dislikes: NDArray[np.float64]  # shape (d,): features of disliked items, times the (negative) value


@jit(fastmath=SUMS, numpy_errors=True)
def fold_lstd_step(
    features: Matrix,
    value: float,
    first: bool,
    weight: float,
    discount: float,
    trace_factor: float,
    trace: Floats,
    sums: CriticSums,
) -> None:
    """Fold one step of a session.

    Parameters
    ----------
    features : ndarray of float32, shape (d - 1,)
        Of the chosen item.
    value
        Value of the reward. Below 0 it is a dislike: no choice, and no step of the session.
    first
        Whether it is the first reaction to this item on this list.
    discount, trace_factor
        Discount of a reward one choice later, and decay of the trace from choice to choice.
    trace : ndarray of float64, shape (d,)
        Input: the trace before this step, zeros at the start of a session. Output: the trace after it.
    """
    d = len(trace)
    x = np.empty(d)
    x[d - 1] = 1.0
    for i in range(d - 1):
        x[i] = clip_feature(features[i])
    if value < 0.0:
        for i in range(d):
            sums.dislikes[i] += weight * value * x[i]
        return
    for i in range(d):
        previous = trace[i]
        trace[i] = trace_factor * previous + x[i]
        step = weight * (trace[i] - discount * previous)
        for j in range(d):
            sums.lstd_matrix[i, j] += step * x[j]
        sums.lstd_vector[i] += weight * value * trace[i]
        if first:
            for j in range(d):
                sums.choice_products[i, j] += weight * x[i] * x[j]
