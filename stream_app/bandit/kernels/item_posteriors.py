"""A posterior for each item, and slates by draws of all of them."""

import math
from typing import Any

import numpy as np

from stream_app.bandit.kernels.random import beta, beta_constants, normal, randint
from stream_app.bandit.kernels.slates import ensemble_slate
from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def item_posterior(
    score: Any, row: int, sums: Any, factor: float, prior_strength: float, prior_rate: float, gaussian: bool
) -> tuple[float, float]:
    """Trials and rewards of an item, the prior's among them.

    Parameters
    ----------
    score
        Its fused score.
    row
        Of the item in `sums`; -1 if nothing is known of it.
    sums : ndarray of float64, shape (items, 2)
        Trials and rewards.
    factor
        What turns the sums into sums decayed until now.
    prior_strength, prior_rate
        Trials of the prior, and its rate for a score of 1.
    gaussian
        Whether rewards may have any value; else they are chances.
    """
    if math.isnan(score):
        score = 0.0
    prior_rate *= min(max(score, -1e3), 1e3)
    if not gaussian:
        prior_rate = min(max(prior_rate, 1e-3), 0.999)
    trials = prior_strength
    reward_sum = prior_strength * prior_rate
    if row >= 0:
        trials += factor * sums[row, 0]
        reward_sum += factor * sums[row, 1]
    if not gaussian:
        # what was thought to be overlooked may bring more than its trials
        trials = max(trials, reward_sum)
    return trials, reward_sum


@jit(fastmath=SUMS, numpy_errors=True)
def fold_item_impressions(
    scores: Any,
    rows: Any,
    positions: Any,
    weight: float,
    factor: float,
    prior_strength: float,
    prior_rate: float,
    gaussian: bool,
    examination: Any,
    sums: Any,
    rank_sums: Any,
    expected_rewards: Any,
) -> None:
    """Count showings: a trial as far as the place is looked at, and to the place what was expected of the item."""
    for index in range(len(rows)):
        position = min(max(positions[index], 0), len(rank_sums) - 1)
        trials, reward_sum = item_posterior(
            scores[index], rows[index], sums, factor, prior_strength, prior_rate, gaussian
        )
        expected_rewards[position] += weight * reward_sum / trials
        rank_sums[position, 0] += weight
        sums[rows[index], 0] += weight * examination[position]


@jit(fastmath=SUMS, numpy_errors=True)
def sample_item(
    trials: float, reward_sum: float, gaussian: bool, noise: float, state: Any, spare: Any, out: Any
) -> None:
    """Draw worths of an item with so many trials and rewards: normal, or of a Beta posterior.

    `noise` is the deviation of a reward, or how wide is sampled against the Beta posterior (its square divides the
    counts).
    """
    if gaussian:
        mean = reward_sum / trials
        deviation = noise / math.sqrt(trials)
        for draw in range(len(out)):
            out[draw] = mean + deviation * normal(state, spare)
    else:
        concentration = 1.0 / (noise * noise)
        hits = reward_sum * concentration
        misses = max(trials - reward_sum, 1e-3) * concentration
        slope, middle = beta_constants(hits, misses)
        for draw in range(len(out)):
            out[draw] = beta(state, spare, hits, misses, slope, middle)


@jit(fastmath=SUMS, numpy_errors=True)
def item_thompson_slate(
    scores: Any,
    rows: Any,
    sums: Any,
    factor: float,
    prior_strength: float,
    prior_rate: float,
    gaussian: bool,
    noise: float,
    draw_seed: Any,
    seed: Any,
    draws: int,
    order: Any,
    propensities: Any,
) -> None:
    """Choose a slate by one of `draws` draws of all worths (drawn from `draw_seed`), each equally likely."""
    state = np.empty(1, np.uint64)
    state[0] = draw_seed
    spare = np.zeros(2)
    sampled_values = np.empty((len(rows), draws), np.float32)
    for index in range(len(rows)):
        trials, reward_sum = item_posterior(
            scores[index], rows[index], sums, factor, prior_strength, prior_rate, gaussian
        )
        sample_item(trials, reward_sum, gaussian, noise, state, spare, sampled_values[index])
    state[0] = seed
    ensemble_slate(sampled_values, randint(state, draws), order, propensities)
