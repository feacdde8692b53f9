"""One posterior per item, and samples from all of them."""

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.bandit.kernels.examination import RankSum
from stream_app.bandit.kernels.random import RandomState, beta, beta_constants, normal, seeded
from stream_app.models.array_types import Floats, Integers, Matrix, Rows, Scores
from stream_app.models.kernels.jit import SUMS, jit

_MAX_ABS_SCORE = 1e3


class ItemSum(IntEnum):
    """Columns of the sums of each item."""

    TRIALS = 0
    REWARDS = 1


class ItemPrior(NamedTuple):
    """The prior of each item, and the distribution of rewards."""

    strength: float  # trials that the prior counts for
    rate: float  # reward of a trial of an item with a fused score of 1
    # whether rewards may have any value; otherwise they are from 0 to 1, and the posterior is a Beta
    # distribution
    gaussian: bool
    # standard deviation of a Gaussian reward, or multiplier of the standard deviation of the Beta posterior
    # (its square divides the counts)
    noise: float


class ItemSums(NamedTuple):
    """Weighted sums over impressions and rewards."""

    items: NDArray[np.float64]  # shape (items, len(ItemSum))
    ranks: NDArray[np.float64]  # shape (positions, len(RankSum))
    # shape (positions,): reward expected of the items displayed at each position
    expected_rewards: NDArray[np.float64]


@jit(fastmath=SUMS, numpy_errors=True)
def item_posterior(
    score: float, row: int, sums: Floats, decay_factor: float, prior: ItemPrior
) -> tuple[float, float]:
    """Compute the trials and the reward sum of an item, those of the prior included.

    Parameters
    ----------
    score
        Fused score of the item.
    row
        Row of the item in `sums`; -1 for an unknown item.
    sums : ndarray of float64, shape (items, len(ItemSum))
    """
    if math.isnan(score):
        score = 0.0
    prior_rate = prior.rate * min(max(score, -_MAX_ABS_SCORE), _MAX_ABS_SCORE)
    if not prior.gaussian:
        prior_rate = min(max(prior_rate, 1e-3), 0.999)
    trials = prior.strength
    reward_sum = prior.strength * prior_rate
    if row >= 0:
        trials += decay_factor * sums[row, ItemSum.TRIALS]
        reward_sum += decay_factor * sums[row, ItemSum.REWARDS]
    if not prior.gaussian:
        # trials are weighted by the examination probability, so rewards may exceed them
        trials = max(trials, reward_sum)
    return trials, reward_sum


@jit(fastmath=SUMS, numpy_errors=True)
def fold_item_impressions(
    scores: Scores,
    rows: Integers,
    positions: Rows,
    weight: float,
    decay_factor: float,
    prior: ItemPrior,
    examination: Floats,
    sums: ItemSums,
) -> None:
    """Count impressions: a trial weighted by the examination probability, and the reward expected of the item.

    Parameters
    ----------
    scores : ndarray of float32, shape (m,)
        Fused scores of the items.
    rows : ndarray of int64, shape (m,)
        Rows of the items in `sums.items`.
    positions : ndarray of int32, shape (m,)
        Clipped to the positions there are.
    examination : ndarray of float64, shape (positions,)
        Examination probabilities.
    """
    for index in range(len(rows)):
        position = min(max(positions[index], 0), len(sums.ranks) - 1)
        trials, reward_sum = item_posterior(scores[index], rows[index], sums.items, decay_factor, prior)
        sums.expected_rewards[position] += weight * reward_sum / trials
        sums.ranks[position, RankSum.IMPRESSIONS] += weight
        sums.items[rows[index], ItemSum.TRIALS] += weight * examination[position]


@jit(fastmath=SUMS, numpy_errors=True)
def sample_item(trials: float, reward_sum: float, prior: ItemPrior, random: RandomState, out: Scores) -> None:
    """Sample values of an item from its posterior, Gaussian or Beta, into `out` (ndarray of float32).

    Parameters
    ----------
    trials, reward_sum
        Of the item, those of the prior included; see `item_posterior`.
    out : ndarray of float32, shape (draws,)
    """
    if prior.gaussian:
        mean = reward_sum / trials
        deviation = prior.noise / math.sqrt(trials)
        for draw in range(len(out)):
            out[draw] = mean + deviation * normal(random)
    else:
        concentration = 1.0 / (prior.noise * prior.noise)
        hits = reward_sum * concentration
        misses = max(trials - reward_sum, 1e-3) * concentration
        slope, middle = beta_constants(hits, misses)
        for draw in range(len(out)):
            out[draw] = beta(random, hits, misses, slope, middle)


@jit(fastmath=SUMS, numpy_errors=True)
def sample_items(
    scores: Scores,
    rows: Integers,
    sums: Floats,
    decay_factor: float,
    prior: ItemPrior,
    seed: np.uint64,
    sampled: Matrix,
) -> None:
    """Sample values of several items.

    Parameters
    ----------
    scores : ndarray of float32, shape (n,)
        Fused scores of the items.
    rows : ndarray of int64, shape (n,)
        Rows of the items in `sums`; -1 for unknown items.
    sums : ndarray of float64, shape (items, len(ItemSum))
    sampled : ndarray of float32, shape (n, draws)
    """
    random = seeded(seed)
    for index in range(len(rows)):
        trials, reward_sum = item_posterior(scores[index], rows[index], sums, decay_factor, prior)
        sample_item(trials, reward_sum, prior, random, sampled[index])
