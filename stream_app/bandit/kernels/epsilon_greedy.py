"""Slates of an epsilon-greedy policy, and their propensities."""

import numpy as np

from stream_app.bandit.kernels.random import randint, seeded, uniform
from stream_app.models.array_types import Floats, Rows
from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def epsilon_greedy_order(
    n: int, ranked: Rows, ranks: Rows, epsilon: float, seed: np.uint64, order: Rows
) -> None:
    """Fill each position by the best remaining candidate, or with probability `epsilon` by a random one.

    Parameters
    ----------
    ranked : ndarray of int32, shape (n,)
        Rows of the candidates, best first.
    ranks : ndarray of int32, shape (k,)
        Output: index in `ranked` of the candidate at each position.
    order : ndarray of int32, shape (k,)
        Output: row of the candidate at each position.
    """
    random = seeded(seed)
    selected = np.zeros(n, np.bool_)
    first = 0
    for position in range(len(order)):
        while selected[first]:
            first += 1
        rank = first
        if uniform(random) < epsilon:
            remaining = randint(random, n - position)
            rank = -1
            while remaining >= 0:
                rank += 1
                remaining -= not selected[rank]
        selected[rank] = True
        ranks[position] = rank
        order[position] = ranked[rank]


@jit(fastmath=SUMS, numpy_errors=True)
def epsilon_greedy_propensities(n: int, ranks: Rows, epsilon: float, propensities: Floats) -> None:
    """Compute the probability that `epsilon_greedy_order` puts the chosen candidates where they are.

    A candidate is the best remaining one if all better ones are gone. The distribution of the number of better
    candidates that are gone is updated from position to position.

    Parameters
    ----------
    ranks : ndarray of int32, shape (k,)
        Output of `epsilon_greedy_order`.
    propensities : ndarray of float64, shape (k,)
    """
    k = len(ranks)
    probability = np.empty(k + 1)
    next_probability = np.empty(k + 1)
    for position in range(k):
        rank = ranks[position]
        # probability[j]: j better candidates are gone and this one remains
        probability[:] = 0.0
        probability[0] = 1.0
        for previous_position in range(position):
            remaining = n - previous_position
            next_probability[:] = 0.0
            for n_removed in range(min(previous_position, rank) + 1):
                current = probability[n_removed]
                n_better = rank - n_removed
                if n_better > 0:
                    next_probability[n_removed + 1] += current * (
                        1.0 - epsilon + epsilon * n_better / remaining
                    )
                next_probability[n_removed] += current * epsilon * (remaining - n_better - 1) / remaining
            probability, next_probability = next_probability, probability
        total = 0.0
        for n_removed in range(min(position, rank) + 1):
            total += probability[n_removed] * epsilon / (n - position)
        if rank <= position:
            total += probability[rank] * (1.0 - epsilon)
        propensities[position] = total
