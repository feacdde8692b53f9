"""Slates of an epsilon-greedy policy, and their propensities."""

from typing import Any

import numpy as np

from stream_app.bandit.kernels.random import randint, uniform
from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def epsilon_greedy_order(n: int, ranked: Any, ranks: Any, epsilon: float, seed: Any, order: Any) -> None:
    """Fill each place by the best left, or with chance `epsilon` by any that is left.

    Parameters
    ----------
    n
        Candidates.
    ranked : ndarray of int32, shape (n,)
        Rows, best first.
    ranks : ndarray of int32, shape (k,)
        Gets the rank, from 0, of each chosen.
    order : ndarray of int32, shape (k,)
        Gets the rows of the chosen.
    """
    state = np.empty(1, np.uint64)
    state[0] = seed
    selected = np.zeros(n, np.bool_)
    first = 0
    for position in range(len(order)):
        while selected[first]:
            first += 1
        rank = first
        if uniform(state) < epsilon:
            remaining = randint(state, n - position)
            rank = -1
            while remaining >= 0:
                rank += 1
                remaining -= not selected[rank]
        selected[rank] = True
        ranks[position] = rank
        order[position] = ranked[rank]


@jit(fastmath=SUMS, numpy_errors=True)
def epsilon_greedy_propensities(n: int, ranks: Any, epsilon: float, propensities: Any) -> None:
    """Write the probability that `epsilon_greedy_order` gives the candidate of each rank its place.

    What matters to a candidate is how many better ones are left, for only with none of them it is the best left.
    That number falls by one when a better one is taken; its distribution is carried from place to place.
    """
    k = len(ranks)
    probability = np.empty(k + 1)
    next_probability = np.empty(k + 1)
    for position in range(k):
        rank = ranks[position]
        # chance[gone]: that so many better ones are gone and this one is left
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
