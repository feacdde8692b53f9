"""Learning steps of Bayesian personalized ranking."""

import math
from typing import NamedTuple

import numpy as np

from stream_app.models.array_types import Floats, Items
from stream_app.models.kernels.factors import Factors, add_context
from stream_app.models.kernels.jit import jit
from stream_app.models.kernels.random import GOLDEN_GAMMA, mix64

TRIES = 4
"""Draws for a negative that is not among the user's last items."""


class PairSettings(NamedTuple):
    """Hyperparameters of a step; see `stream_app.models.bpr.BPR`."""

    negatives: int  # pairs per interaction
    depth: int  # last items of the user that take part in a step
    context_decay: float  # factor from a context item to the next older one
    # learning_rate, l2: step size, and strength of the pull to 0
    learning_rate: float
    l2: float
    clip: float  # largest absolute value of a component


@jit(inline=True)
def _draw_negative(counter: int, pool: Items, item: int, previous: Items, first: int) -> int:
    """Draw an item of the pool that is neither `item` nor in `previous` from `first` on; -1 after `TRIES` draws."""
    state = np.uint64(counter) * GOLDEN_GAMMA
    for _ in range(TRIES):
        state += GOLDEN_GAMMA
        candidate = pool[np.int64(mix64(state) % np.uint64(len(pool)))]
        is_recent = candidate == item
        for at in range(first, len(previous)):
            is_recent |= previous[at] == candidate
        if not is_recent:
            return int(candidate)
    return -1


@jit(inline=True)
def _updated(value: float, step: float, shrink: float, clip: float) -> float:
    return min(max(shrink * value + step, -clip), clip)


@jit(inline=True)
def _step(
    user: int,
    positive: int,
    negative: int,
    weight: float,
    previous: Items,
    settings: PairSettings,
    factors: Factors,
    vector: Floats,
) -> None:
    """Take one step of gradient ascent on the log-likelihood that `positive` ranks above `negative`."""
    user_latents, item_latents, biases, has_vector = factors
    n_factors = len(vector)
    first = max(0, len(previous) - settings.depth)
    for at in range(n_factors):
        vector[at] = user_latents[user, at]
    add_context(previous, first, settings.context_decay, factors, vector)
    margin = biases[positive] - biases[negative]
    for at in range(n_factors):
        margin += vector[at] * (item_latents[positive, at] - item_latents[negative, at])
    step = settings.learning_rate * weight / (1.0 + math.exp(min(margin, 500.0)))
    shrink = 1.0 - settings.learning_rate * settings.l2
    clip = settings.clip
    biases[positive] = shrink * biases[positive] + step
    biases[negative] = shrink * biases[negative] - step
    factor = 1.0
    for back in range(len(previous) - 1, first - 1, -1):
        earlier = previous[back]
        if earlier < len(has_vector) and has_vector[earlier]:
            for at in range(n_factors):
                difference = item_latents[positive, at] - item_latents[negative, at]
                item_latents[earlier, at] = _updated(
                    item_latents[earlier, at], step * factor * difference, shrink, clip
                )
            factor *= settings.context_decay
    for at in range(n_factors):
        difference = item_latents[positive, at] - item_latents[negative, at]
        user_latents[user, at] = _updated(user_latents[user, at], step * difference, shrink, clip)
        item_latents[positive, at] = _updated(item_latents[positive, at], step * vector[at], shrink, clip)
        item_latents[negative, at] = _updated(item_latents[negative, at], -step * vector[at], shrink, clip)


@jit()
def learn_pairs(
    user: int,
    item: int,
    strength: float,
    previous: Items,
    pool: Items,
    counter: int,
    settings: PairSettings,
    factors: Factors,
) -> None:
    """Move an item above sampled items for one user, or below them.

    The user is represented by the sum of their vector and the decayed vectors of their last items; the gradient
    goes to all of these.

    Parameters
    ----------
    strength
        Weight of the step; below 0 if the item should rank below the samples.
    previous : ndarray of int32, shape (n,)
        Earlier items of the user, oldest first.
    pool : ndarray of int32, shape (m,)
        Items that negatives are sampled from.
    counter
        Counter of the first sample (SplitMix64).
    """
    settings = PairSettings(*settings)
    factors = Factors(*factors)
    vector = np.empty(factors.user_latents.shape[1], np.float64)
    first = max(0, len(previous) - settings.depth)
    for sample in range(settings.negatives):
        other = _draw_negative(counter + sample, pool, item, previous, first)
        if other < 0:
            continue
        if strength > 0:
            _step(user, item, other, strength, previous, settings, factors, vector)
        else:
            _step(user, other, item, -strength, previous, settings, factors, vector)
