"""Whole runs in machine code: what the policies do at a step, in a loop that draws the rewards too.

What a step costs without the calls from Python, as where a simulator or a sweep plays millions of them. Nothing is
allocated within the loops. Not cached on disk: the kernels come from other files, whose changes the cache would not
notice.

With `playing` false the arms are pulled in turn and nothing is learned: the time that is left is the problem's.
"""

import math
from typing import Any

import numpy as np

from stream_app.bandit.kernels.decision import beta, beta_constants, item_posterior, normal, uniform
from stream_app.bandit.kernels.posterior import absorb, solve_transposed
from stream_app.models.kernels.jit import SUMS, jit


@jit(fastmath=SUMS, numpy_errors=True)
def _shape(
    arm: int, sums: Any, strength: float, rate: float, gaussian: bool, noise: float, shapes: Any
) -> None:
    """Write what the draws of an arm need: its mean and deviation, or what `beta` takes."""
    tried, got = item_posterior(1.0, arm, sums, 1.0, strength, rate, gaussian)
    if gaussian:
        shapes[arm, 0] = got / tried
        shapes[arm, 1] = noise / math.sqrt(tried)
    else:
        shapes[arm, 0] = got
        shapes[arm, 1] = tried - got
        shapes[arm, 2], shapes[arm, 3] = beta_constants(got, tried - got)


@jit(fastmath=SUMS, numpy_errors=True)
def play_arms(
    means: Any,
    decay: float,
    gaussian: bool,
    strength: float,
    rate: float,
    noise: float,
    steps: int,
    seed: int,
    playing: bool,
) -> float:
    """Play `item_thompson` on arms whose means fall by `decay` a pull; return the regret.

    What the draws need of an arm is made anew for the arm that was pulled only.
    """
    state = np.empty(1, np.uint64)
    state[0] = np.uint64(seed)
    spare = np.zeros(2)
    best = means.copy()
    means = means.copy()
    sums = np.zeros((len(means), 2))
    shapes = np.zeros((len(means), 4))
    for arm in range(len(means)):
        _shape(arm, sums, strength, rate, gaussian, noise, shapes)
    regret = 0.0
    for step in range(steps):
        arm = step % len(means)
        if playing:
            top = -np.inf
            for each in range(len(means)):
                if gaussian:
                    worth = shapes[each, 0] + shapes[each, 1] * normal(state, spare)
                else:
                    worth = beta(
                        state, spare, shapes[each, 0], shapes[each, 1], shapes[each, 2], shapes[each, 3]
                    )
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
        if playing:
            sums[arm, 0] += 1.0
            sums[arm, 1] += reward
            _shape(arm, sums, strength, rate, gaussian, noise, shapes)
    return regret


@jit(fastmath=SUMS, numpy_errors=True)
def _decide(features: Any, lower: Any, root: Any, noise: float, state: Any, spare: Any, drawn: Any) -> int:
    """The best arm by one weighting drawn from the posterior."""
    for i in range(len(root)):
        drawn[i] = root[i] + noise * normal(state, spare)
    solve_transposed(lower, drawn)
    arm = 0
    top = -np.inf
    for each in range(len(features)):
        worth = 0.0
        for i in range(features.shape[1]):
            worth += features[each, i] * drawn[i]
        if worth > top:
            top = worth
            arm = each
    return arm


@jit(fastmath=SUMS, numpy_errors=True)
def play_linear(weights: Any, items: Any, noise: float, steps: int, seed: int, playing: bool) -> float:
    """Play `thompson` on the linear problem; return the regret.

    Each showing has its reward at once and nothing decays, so the posterior is kept by `absorb` and not made anew
    from the sums.
    """
    arms, d = items.shape
    state = np.empty(1, np.uint64)
    state[0] = np.uint64(seed)
    spare = np.zeros(2)
    lower = np.eye(d + 1)
    root = np.zeros(d + 1)
    drawn = np.empty(d + 1)
    x = np.empty(d + 1)
    features = np.empty((arms, d), np.float32)
    worths = np.empty(arms)
    shopper = np.empty(d)
    regret = 0.0
    for step in range(steps):
        for i in range(d):
            shopper[i] = normal(state, spare)
        for arm in range(arms):
            worths[arm] = 0.0
            for i in range(d):
                features[arm, i] = shopper[i] * items[arm, i]
                worths[arm] += features[arm, i] * weights[i]
        arm = step % arms
        if playing:
            arm = _decide(features, lower, root, noise, state, spare, drawn)
        regret += worths.max() - worths[arm]
        reward = worths[arm] + noise * normal(state, spare)
        if playing:
            for i in range(d):
                x[i] = features[arm, i]
            x[d] = 1.0
            absorb(lower, root, x, reward)
    return regret
