"""Compiled runs: the kernels of the policies in a loop that samples the rewards, too.

They measure the cost of a step without calls from Python, as in a simulator that runs millions of steps. The loops
allocate nothing. With `with_policy` false the arms are pulled in turn and nothing is learned: the remaining time is
that of the environment.
"""

import math
from typing import Any

import numpy as np

from stream_app.bandit.kernels.item_posteriors import ItemPrior, item_posterior
from stream_app.bandit.kernels.linear_algebra import cholesky_rank_one_update, solve_transposed
from stream_app.bandit.kernels.random import RandomState, beta, beta_constants, normal, seeded, uniform
from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def _update_shape(arm: int, sums: Any, prior: ItemPrior, shapes: Any) -> None:
    """Write the parameters of the samples of an arm: mean and standard deviation, or those of `beta`."""
    trials, reward_sum = item_posterior(1.0, arm, sums, 1.0, prior)
    if prior.gaussian:
        shapes[arm, 0] = reward_sum / trials
        shapes[arm, 1] = prior.noise / math.sqrt(trials)
    else:
        shapes[arm, 0] = reward_sum
        shapes[arm, 1] = trials - reward_sum
        shapes[arm, 2], shapes[arm, 3] = beta_constants(reward_sum, trials - reward_sum)


@jit(fastmath=SUMS, numpy_errors=True)
def play_arms(
    means: Any,
    decay: float,
    prior: ItemPrior,
    steps: int,
    seed: int,
    with_policy: bool,
) -> float:
    """Run `item_thompson` on arms whose means are multiplied by `decay` per pull; return the regret.

    Parameters
    ----------
    means : ndarray of float64, shape (arms,)
        Mean rewards at the start.
    decay
        Factor of the mean of an arm per pull.
    prior
        Prior of each arm; `noise` is the standard deviation of Gaussian rewards, too.
    steps, seed
        Number of steps; seed of samples and rewards.
    with_policy
        Whether the policy chooses and learns.
    """
    random = seeded(np.uint64(seed))
    best = means.copy()
    means = means.copy()
    sums = np.zeros((len(means), 2))
    shapes = np.zeros((len(means), 4))
    for arm in range(len(means)):
        _update_shape(arm, sums, prior, shapes)
    regret = 0.0
    for step in range(steps):
        arm = step % len(means)
        if with_policy:
            best_value = -np.inf
            for each in range(len(means)):
                if prior.gaussian:
                    value = shapes[each, 0] + shapes[each, 1] * normal(random)
                else:
                    value = beta(random, shapes[each, 0], shapes[each, 1], shapes[each, 2], shapes[each, 3])
                if value > best_value:
                    best_value = value
                    arm = each
        best_arm = best.argmax()
        regret += best[best_arm] - means[arm]
        best[best_arm] *= decay
        if prior.gaussian:
            reward = means[arm] + prior.noise * normal(random)
        else:
            reward = 1.0 if uniform(random) < means[arm] else 0.0
        means[arm] *= decay
        if with_policy:
            sums[arm, 0] += 1.0
            sums[arm, 1] += reward
            _update_shape(arm, sums, prior, shapes)
    return regret


@jit(fastmath=SUMS, numpy_errors=True)
def _decide(
    features: Any, lower: Any, whitened_mean: Any, noise: float, random: RandomState, sampled: Any
) -> int:
    """The best arm by a weight vector sampled from the posterior."""
    for i in range(len(whitened_mean)):
        sampled[i] = whitened_mean[i] + noise * normal(random)
    solve_transposed(lower, sampled)
    arm = 0
    best_value = -np.inf
    for each in range(len(features)):
        value = 0.0
        for i in range(features.shape[1]):
            value += features[each, i] * sampled[i]
        if value > best_value:
            best_value = value
            arm = each
    return arm


@jit(fastmath=SUMS, numpy_errors=True)
def play_linear(weights: Any, items: Any, noise: float, steps: int, seed: int, with_policy: bool) -> float:
    """Run `thompson` on the linear environment; return the regret.

    Each impression has its reward at once and nothing decays, so the posterior is updated by
    `cholesky_rank_one_update` in place of a factorization of the sums.

    Parameters
    ----------
    weights : ndarray of float64, shape (d,)
        True weights.
    items : ndarray of float64, shape (arms, d)
        Features of the arms.
    noise
        Standard deviation of the rewards.
    steps, seed
        Number of steps; seed of users, samples and rewards.
    with_policy
        Whether the policy chooses and learns.
    """
    arms, d = items.shape
    random = seeded(np.uint64(seed))
    lower = np.eye(d + 1)
    whitened_mean = np.zeros(d + 1)
    sampled = np.empty(d + 1)
    x = np.empty(d + 1)
    features = np.empty((arms, d), np.float32)
    means_by_arm = np.empty(arms)
    user = np.empty(d)
    regret = 0.0
    for step in range(steps):
        for i in range(d):
            user[i] = normal(random)
        for arm in range(arms):
            means_by_arm[arm] = 0.0
            for i in range(d):
                features[arm, i] = user[i] * items[arm, i]
                means_by_arm[arm] += features[arm, i] * weights[i]
        arm = step % arms
        if with_policy:
            arm = _decide(features, lower, whitened_mean, noise, random, sampled)
        regret += means_by_arm.max() - means_by_arm[arm]
        reward = means_by_arm[arm] + noise * normal(random)
        if with_policy:
            for i in range(d):
                x[i] = features[arm, i]
            x[d] = 1.0
            cholesky_rank_one_update(lower, whitened_mean, x, reward)
    return regret
