"""Slates from scores."""

import numpy as np

from stream_app.bandit.kernels.random import randint, seeded
from stream_app.models.array_types import Floats, Matrix, Rows, Scores
from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def top_k(scores: Scores | Floats, order: Rows) -> None:
    """Write the rows of the largest scores, in descending order; ties keep the order of the rows.

    Parameters
    ----------
    scores : ndarray of float32 or float64, shape (n,)
    order : ndarray of int32, shape (k,)
        Output; k is at most n.
    """
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
def ensemble_slate(scores: Matrix, member: int, order: Rows, propensities: Floats) -> None:
    """Order the candidates by one member of an ensemble, and count the members that agree at each rank.

    Parameters
    ----------
    scores : ndarray of float32, shape (n, draws)
        Score of each candidate by each member.
    order : ndarray of int32, shape (k,)
        Output: rows, best first.
    propensities : ndarray of float64, shape (k,)
        Output: share of the members that have this row at this rank.
    """
    n, draws = scores.shape
    top_k(scores[:, member].copy(), order)
    n_above = np.empty(draws, np.int32)
    for position in range(len(order)):
        chosen = order[position]
        chosen_scores = scores[chosen]
        n_above[:] = 0
        # counts the rows above this one instead of sorting for each member: no branches
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


@jit(fastmath=SUMS, numpy_errors=True)
def seeded_ensemble_slate(scores: Matrix, seed: np.uint64, order: Rows, propensities: Floats) -> None:
    """Follow a random member of the ensemble, each equally likely; arguments as for `ensemble_slate`."""
    ensemble_slate(scores, randint(seeded(seed), scores.shape[1]), order, propensities)
