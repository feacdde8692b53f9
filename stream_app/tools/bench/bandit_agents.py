"""The agents that are compared: River's policies, and Headrace's through the calls that the ranker makes."""

import math
from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np
from river import bandit, proba

from stream_app.bandit.item_thompson import ItemThompson
from stream_app.bandit.linucb import LinUCB
from stream_app.bandit.policy import Policy
from stream_app.bandit.thompson import Thompson
from stream_app.tools.bench.bandit_environments import Features, LinearProblem

_FIRST_POSITION: Final = np.zeros(1, np.int32)


class BenchAgent(Protocol):
    """A policy on one environment."""

    def pull(self, features: Features, context: dict[int, float] | None) -> int:
        """Choose an arm."""
        ...

    def update(self, arm: int, reward: float) -> None:
        """Learn the reward of the arm."""
        ...


class RiverBandit:
    """A policy of River without a context."""

    def __init__(self, policy: Any, arms: int) -> None:
        self._policy = policy
        self._arms = range(arms)

    def pull(self, features: Features, context: dict[int, float] | None) -> int:
        """Choose an arm."""
        return int(self._policy.pull(self._arms))

    def update(self, arm: int, reward: float) -> None:
        """Learn the reward of the arm."""
        self._policy.update(arm, reward)


class RiverContextualBandit:
    """A contextual policy of River; without a context the context is a constant 1."""

    def __init__(self, policy: Any, arms: int) -> None:
        self._policy = policy
        self._arms = range(arms)
        self._context: dict[int, float] = {}

    def pull(self, features: Features, context: dict[int, float] | None) -> int:
        """Choose an arm."""
        self._context = context or {0: 1.0}
        return int(self._policy.pull(self._arms, self._context))

    def update(self, arm: int, reward: float) -> None:
        """Learn the reward of the arm."""
        self._policy.update(arm, self._context, reward)


class HeadraceBandit:
    """A policy of `stream_app.bandit` with one position; each step is a decision, an impression and a reward.

    Parameters
    ----------
    by_hash_only
        Whether arms differ in their hashes alone: their one feature is a constant 1.
    """

    def __init__(self, policy: Policy, arms: int, *, by_hash_only: bool) -> None:
        self._policy = policy
        self._items = np.arange(1, arms + 1, dtype=np.uint64)
        self._constant_features: Features | None = np.ones((arms, 1), np.float32) if by_hash_only else None
        self._features: Features = np.ones((arms, 1), np.float32)
        self._step = 0

    def pull(self, features: Features, context: dict[int, float] | None) -> int:
        """Choose an arm."""
        if self._constant_features is None:
            self._features = features
        self._step += 1
        return int(self._policy.decide(self._features, 1, self._step, self._items).order[0])

    def update(self, arm: int, reward: float) -> None:
        """Learn the reward of the arm."""
        now = float(self._step)
        self._policy.observe_impressions(
            self._features[arm : arm + 1], _FIRST_POSITION, now, self._items[arm : arm + 1]
        )
        self._policy.reward(self._features[arm], 0, reward, now, item=arm + 1)


SINGLE_POSITION: Final[dict[str, Any]] = {"position_model": "none", "n_positions": 1, "half_life": math.inf}
UNINFORMED_PRIOR: Final[dict[str, Any]] = {
    **SINGLE_POSITION,
    "prior_weight": 0.0,
    "prior_strength": 1.0,
    "reward_scale": 1.0,
}

AgentFactory = Callable[[int], BenchAgent]

BENCH_AGENTS: Final[dict[str, dict[str, AgentFactory]]] = {
    "KArmedTestbed": {
        "River ThompsonSampling": lambda seed: RiverBandit(
            bandit.ThompsonSampling(reward_obj=proba.Gaussian(), burn_in=2, seed=seed), 10
        ),
        "River LinUCBDisjoint": lambda seed: RiverContextualBandit(bandit.LinUCBDisjoint(seed=seed), 10),
        "item_thompson": lambda seed: HeadraceBandit(
            ItemThompson(
                1,
                reward_distribution="gaussian",
                prior_rate=0.0,
                prior_strength=1.0,
                noise=1.0,
                draws=1,
                seed=seed,
                **SINGLE_POSITION,
            ),
            10,
            by_hash_only=True,
        ),
        "thompson": lambda seed: HeadraceBandit(
            Thompson(10, exploration=1.0, draws=1, seed=seed, **UNINFORMED_PRIOR), 10, by_hash_only=False
        ),
        "linucb": lambda _: HeadraceBandit(
            LinUCB(10, exploration=1.0, **UNINFORMED_PRIOR), 10, by_hash_only=False
        ),
    },
    "CandyCaneContest": {
        "River ThompsonSampling": lambda seed: RiverBandit(
            bandit.ThompsonSampling(reward_obj=proba.Beta(), seed=seed), 100
        ),
        "River LinUCBDisjoint": lambda seed: RiverContextualBandit(bandit.LinUCBDisjoint(seed=seed), 100),
        "item_thompson": lambda seed: HeadraceBandit(
            ItemThompson(
                1, prior_rate=0.5, prior_strength=2.0, noise=1.0, draws=1, seed=seed, **SINGLE_POSITION
            ),
            100,
            by_hash_only=True,
        ),
    },
    "LinearProblem": {
        "River ThompsonSampling": lambda seed: RiverBandit(
            bandit.ThompsonSampling(reward_obj=proba.Gaussian(), burn_in=2, seed=seed), LinearProblem.arms
        ),
        "River LinUCBDisjoint": lambda seed: RiverContextualBandit(
            bandit.LinUCBDisjoint(beta=1 / LinearProblem.noise**2, seed=seed), LinearProblem.arms
        ),
        "thompson": lambda seed: HeadraceBandit(
            Thompson(
                LinearProblem.n_features,
                exploration=LinearProblem.noise,
                draws=1,
                seed=seed,
                **UNINFORMED_PRIOR,
            ),
            LinearProblem.arms,
            by_hash_only=False,
        ),
        "linucb": lambda _: HeadraceBandit(
            LinUCB(LinearProblem.n_features, exploration=LinearProblem.noise, **UNINFORMED_PRIOR),
            LinearProblem.arms,
            by_hash_only=False,
        ),
    },
}
"""Factories of agents from a seed, by environment and name."""
