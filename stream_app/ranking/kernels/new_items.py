"""Kernels of `stream_app.ranking.fusion.quotas` and `stream_app.ranking.fusion.new_items`."""

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Items, Matrix, Scores
from stream_app.models.kernels.jit import jit


@jit()
def best_candidates(items: Items, clicks: NDArray[np.int64], quota: int, new_quota: int, out: Items) -> int:
    """Write the first `quota` items, then the first `new_quota` further ones without interactions; return how many.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Candidates, best first.
    clicks : ndarray of int64, shape (items,)
        Interactions of each item.
    out : ndarray of int32, shape (at least quota + new_quota,)
        Receives them.
    """
    n = min(quota, len(items))
    out[:n] = items[:n]
    end = n + new_quota
    for at in range(n, len(items)):
        if n == end:
            break
        if clicks[items[at]] == 0:
            out[n] = items[at]
            n += 1
    return n


@jit()
def add_bonus(
    features: Matrix, column: int, items: Items, clicks: NDArray[np.int64], bonus: np.float32, scores: Scores
) -> None:
    """Add a bonus to the scores of the items without interactions whose feature in a column is above 0.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
    items : ndarray of int32, shape (n,)
    clicks : ndarray of int64, shape (items,)
    scores : ndarray of float32, shape (n,)
    """
    for row in range(len(items)):
        if clicks[items[row]] == 0 and features[row, column] > 0.0:
            scores[row] += bonus
