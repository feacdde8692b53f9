"""Whole runs in machine code: the policies' own kernels, called in a loop that draws the rewards too.

What a step costs without the calls from Python, as where a simulator or a sweep plays millions of them. Not cached on
disk: the kernels come from other files, whose changes the cache would not notice.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

from stream_app.ranker.bandit.decision_kernels import (
    beta,
    beta_constants,
    decide_sampled,
    drawn,
    item_posterior,
    normal,
    sampled_weights,
    uniform,
)
from stream_app.ranker.bandit.posterior_kernels import fold_reward, fold_seen, posterior

F = TypeVar("F", bound=Callable[..., Any])


def _compiled(function: F) -> F:
    return cast("F", njit(function))


@_compiled
def play_arms(
    means: Any,
    decay: float,
    gaussian: bool,
    strength: float,
    rate: float,
    noise: float,
    steps: int,
    seed: int,
) -> float:
    """Play `item_thompson` on arms whose means fall by `decay` a pull; return the regret.

    What the Beta draws need of an arm is made anew for the arm that was pulled only.
    """
    state = np.empty(1, np.uint64)
    state[0] = np.uint64(seed)
    spare = np.zeros(2)
    best = means.copy()
    means = means.copy()
    sums = np.zeros((len(means), 2))
    slopes = np.zeros(len(means))
    middles = np.zeros(len(means))
    for arm in range(len(means)):
        tried, got = item_posterior(1.0, arm, sums, 1.0, strength, rate, gaussian)
        slopes[arm], middles[arm] = beta_constants(got, tried - got)
    regret = 0.0
    for _ in range(steps):
        arm = 0
        top = -np.inf
        for each in range(len(means)):
            tried, got = item_posterior(1.0, each, sums, 1.0, strength, rate, gaussian)
            if gaussian:
                worth = got / tried + noise / math.sqrt(tried) * normal(state, spare)
            else:
                worth = beta(state, spare, got, tried - got, slopes[each], middles[each])
            if worth > top:
                top = worth
                arm = each
        finest = best.argmax()
        regret += best[finest] - means[arm]
        best[finest] *= decay
        if gaussian:
            reward = means[arm] + noise * normal(state, spare)
        else:
            reward = 1.0 if uniform(state) < means[arm] else 0.0
        means[arm] *= decay
        sums[arm, 0] += 1.0
        sums[arm, 1] += reward
        if not gaussian:
            tried, got = item_posterior(1.0, arm, sums, 1.0, strength, rate, gaussian)
            slopes[arm], middles[arm] = beta_constants(got, tried - got)
    return regret


@_compiled
def play_linear(weights: Any, items: Any, noise: float, steps: int, seed: int) -> float:
    """Play `thompson` on the linear problem; return the regret."""
    arms, d = items.shape
    state = np.empty(1, np.uint64)
    state[0] = np.uint64(seed)
    spare = np.zeros(2)
    outer = np.zeros((1, d + 1, d + 1))
    sums = np.zeros((1, d + 1))
    rewarded = np.zeros(d + 1)
    places = np.zeros((1, 5))
    prior_mean = np.zeros(d + 1)
    strengths = np.ones(d + 1)
    one = np.ones(1)
    chances = np.ones(1)
    mean = np.zeros(d + 1)
    lower = np.zeros((d + 1, d + 1))
    sampled = np.empty((d + 1, 1), np.float32)
    features = np.empty((arms, d), np.float32)
    worths = np.empty(arms)
    first = np.zeros(1, np.int32)
    order = np.empty(1, np.int32)
    propensities = np.empty(1)
    shopper = np.empty(d)
    regret = 0.0
    for _ in range(steps):
        for i in range(d):
            shopper[i] = normal(state, spare)
        for arm in range(arms):
            worths[arm] = 0.0
            for i in range(d):
                features[arm, i] = shopper[i] * items[arm, i]
                worths[arm] += features[arm, i] * weights[i]
        posterior(
            outer,
            sums,
            rewarded,
            places,
            1.0,
            prior_mean,
            strengths,
            1.0,
            2,
            one,
            1.0,
            1.0,
            0,
            mean,
            lower,
            chances,
        )
        sampled_weights(mean, lower, noise, drawn(state), sampled)
        decide_sampled(features, sampled, drawn(state), 1e3, order, propensities)
        arm = order[0]
        regret += worths.max() - worths[arm]
        reward = worths[arm] + noise * normal(state, spare)
        fold_seen(features[arm : arm + 1], first, 1.0, 1e3, outer, sums, places)
        fold_reward(features[arm], 0, reward, True, 1.0, 1e3, rewarded, places)
    return regret
