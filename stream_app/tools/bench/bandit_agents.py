"""The policies that are compared: River's, and ours through the calls that the ranker makes."""

import math
from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np
from river import bandit, proba

from stream_app.bandit.item_thompson import ItemThompson
from stream_app.bandit.linucb import LinUCB
from stream_app.bandit.policy import Policy
from stream_app.bandit.thompson import Thompson
from stream_app.tools.bench.bandit_environments import Features, Linear

_FIRST: Final = np.zeros(1, np.int32)


class Entrant(Protocol):
    """A policy at work on one problem."""

    def pull(self, features: Features, context: dict[int, float] | None) -> int:
        """Choose an arm."""
        ...

    def update(self, arm: int, reward: float) -> None:
        """Learn what came of it."""
        ...


class RiverArms:
    """A policy of River that knows the arms apart and no context."""

    def __init__(self, policy: Any, arms: int) -> None:
        self._policy = policy
        self._arms = range(arms)

    def pull(self, features: Features, context: dict[int, float] | None) -> int:  # noqa: ARG002
        """Choose an arm."""
        return int(self._policy.pull(self._arms))

    def update(self, arm: int, reward: float) -> None:
        """Learn what came of it."""
        self._policy.update(arm, reward)


class RiverContext:
    """A policy of River that sees a context; a 1 where there is none."""

    def __init__(self, policy: Any, arms: int) -> None:
        self._policy = policy
        self._arms = range(arms)
        self._context: dict[int, float] = {}

    def pull(self, features: Features, context: dict[int, float] | None) -> int:  # noqa: ARG002
        """Choose an arm."""
        self._context = context or {0: 1.0}
        return int(self._policy.pull(self._arms, self._context))

    def update(self, arm: int, reward: float) -> None:
        """Learn what came of it."""
        self._policy.update(arm, self._context, reward)


class Ours:
    """A policy of `stream_app.bandit`, one place, each step a decision, a showing and a reward.

    Parameters
    ----------
    policy, arms
        The policy and the number of arms.
    alone
        Whether the arms are told apart by their hashes alone: their one feature is a 1.
    """

    def __init__(self, policy: Policy, arms: int, *, alone: bool) -> None:
        self._policy = policy
        self._items = np.arange(1, arms + 1, dtype=np.uint64)
        self._ones: Features | None = np.ones((arms, 1), np.float32) if alone else None
        self._features: Features = np.ones((arms, 1), np.float32)
        self._step = 0

    def pull(self, features: Features, context: dict[int, float] | None) -> int:  # noqa: ARG002
        """Choose an arm."""
        if self._ones is None:
            self._features = features
        self._step += 1
        return int(self._policy.decide(self._features, 1, self._step, self._items).order[0])

    def update(self, arm: int, reward: float) -> None:
        """Learn what came of it."""
        now = float(self._step)
        self._policy.see(self._features[arm : arm + 1], _FIRST, now, self._items[arm : arm + 1])
        self._policy.reward(self._features[arm], 0, reward, now, item=arm + 1)


ALONE: Final[dict[str, Any]] = {"position_model": "none", "places": 1, "half_life": math.inf}
PLAIN: Final[dict[str, Any]] = {**ALONE, "prior_weight": 0.0, "prior_strength": 1.0, "unit": 1.0}

Make = Callable[[int], Entrant]

ENTRANTS: Final[dict[str, dict[str, Make]]] = {
    "KArmedTestbed": {
        "River ThompsonSampling": lambda seed: RiverArms(
            bandit.ThompsonSampling(reward_obj=proba.Gaussian(), burn_in=2, seed=seed), 10
        ),
        "River LinUCBDisjoint": lambda seed: RiverContext(bandit.LinUCBDisjoint(seed=seed), 10),
        "item_thompson": lambda seed: Ours(
            ItemThompson(
                1,
                rewards="gaussian",
                prior_rate=0.0,
                prior_strength=1.0,
                noise=1.0,
                draws=1,
                seed=seed,
                **ALONE,
            ),
            10,
            alone=True,
        ),
        "thompson": lambda seed: Ours(
            Thompson(10, exploration=1.0, draws=1, seed=seed, **PLAIN), 10, alone=False
        ),
        "linucb": lambda _: Ours(LinUCB(10, exploration=1.0, **PLAIN), 10, alone=False),
    },
    "CandyCaneContest": {
        "River ThompsonSampling": lambda seed: RiverArms(
            bandit.ThompsonSampling(reward_obj=proba.Beta(), seed=seed), 100
        ),
        "River LinUCBDisjoint": lambda seed: RiverContext(bandit.LinUCBDisjoint(seed=seed), 100),
        "item_thompson": lambda seed: Ours(
            ItemThompson(1, prior_rate=0.5, prior_strength=2.0, noise=1.0, draws=1, seed=seed, **ALONE),
            100,
            alone=True,
        ),
    },
    "Linear": {
        "River ThompsonSampling": lambda seed: RiverArms(
            bandit.ThompsonSampling(reward_obj=proba.Gaussian(), burn_in=2, seed=seed), Linear.arms
        ),
        "River LinUCBDisjoint": lambda seed: RiverContext(
            bandit.LinUCBDisjoint(beta=1 / Linear.noise**2, seed=seed), Linear.arms
        ),
        "thompson": lambda seed: Ours(
            Thompson(Linear.traits, exploration=Linear.noise, draws=1, seed=seed, **PLAIN),
            Linear.arms,
            alone=False,
        ),
        "linucb": lambda _: Ours(
            LinUCB(Linear.traits, exploration=Linear.noise, **PLAIN), Linear.arms, alone=False
        ),
    },
}
"""By problem and name: the maker of an entrant, from a seed."""
