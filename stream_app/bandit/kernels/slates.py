"""Slates from scores."""

from typing import Any

import numpy as np

from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def top_k(scores: Any, order: Any) -> None:
    """Write the rows of the best scores, best first; of equals the first row first."""
    k = len(order)
    size = 0
    if k == 0:
        return
    for row in range(len(scores)):
        score = scores[row]
        if size == k:
            if not score > scores[order[k - 1]]:
                continue
            index = k - 1
        else:
            index = size
            size += 1
        while index > 0 and score > scores[order[index - 1]]:
            order[index] = order[index - 1]
            index -= 1
        order[index] = row


@jit(fastmath=SUMS, numpy_errors=True)
def ensemble_slate(scores: Any, member: int, order: Any, propensities: Any) -> None:
    """Order the candidates by one of several scorings, and count how many of these agree with each place.

    Parameters
    ----------
    scores : ndarray of float32, shape (n, draws)
        Of each candidate by each scoring.
    member
        The scoring that is followed.
    order : ndarray of int32, shape (k,)
        Gets the rows, best first.
    propensities : ndarray of float64, shape (k,)
        Gets the share of the scorings that put that row in that place.
    """
    n, draws = scores.shape
    top_k(scores[:, member].copy(), order)
    n_above = np.empty(draws, np.int32)
    for position in range(len(order)):
        chosen = order[position]
        chosen_scores = scores[chosen]
        n_above[:] = 0
        # not the whole order of each scoring, but how many are before this one: no branches
        for row in range(chosen):
            row_scores = scores[row]
            for draw in range(draws):
                n_above[draw] += np.int32(row_scores[draw] >= chosen_scores[draw])
        for row in range(chosen + 1, n):
            row_scores = scores[row]
            for draw in range(draws):
                n_above[draw] += np.int32(row_scores[draw] > chosen_scores[draw])
        n_agree = 0
        for draw in range(draws):
            n_agree += n_above[draw] == position
        propensities[position] = n_agree / draws
