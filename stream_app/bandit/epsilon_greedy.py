"""Epsilon-greedy: show what is best so far, and now and then anything."""

from typing import ClassVar

import numpy as np

from stream_app.bandit.kernels.epsilon_greedy import epsilon_greedy_order, epsilon_greedy_propensities
from stream_app.bandit.kernels.linear_decisions import ucb_order
from stream_app.bandit.linear import UINT64_MASK, LinearConfig, LinearPolicy
from stream_app.bandit.policy import Features, Keys, PolicyConfig, Slate


class EpsilonGreedyConfig(LinearConfig, frozen=True, kw_only=True):
    """Settings of `EpsilonGreedy`."""

    epsilon: float = 0.05
    """Probability that a position is filled at random."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon must be from 0 to 1, not {self.epsilon!r}")


class EpsilonGreedy(LinearPolicy):
    """Fills each place by the best candidate left, or with a small chance by any that is left.

    The propensities are exact: the chance of each shown item in its place over all that could have been drawn for
    the places before it.

    Parameters
    ----------
    features
        Their number.
    **parameters
        See `EpsilonGreedyConfig`.

    References
    ----------
    Sutton, Barto: Reinforcement learning, 2nd edition, 2018, §2.2.

    Examples
    --------
    >>> policy = EpsilonGreedy(features=3, epsilon=0.1)
    >>> options = np.linspace(1, 0, 30, dtype=np.float32).reshape(10, 3)
    >>> slate = policy.decide(options, k=2, seed=1)
    >>> slate.order.tolist(), slate.propensities.round(4).tolist()  # .91 of ten, then .9 x .91 and a little
    ([0, 1], [0.91, 0.83])
    """

    name: ClassVar[str] = "epsilon_greedy"
    config_class: ClassVar[type[PolicyConfig]] = EpsilonGreedyConfig
    config: EpsilonGreedyConfig

    def decide(self, features: Features, k: int, seed: int, items: Keys | None = None) -> Slate:  # noqa: ARG002
        """Choose `k`, place by place."""
        epsilon = float(self.config.epsilon)
        features = self._validated(features)
        posterior = self._refreshed_posterior()
        n = len(features)
        k = min(k, n)
        ranked = np.empty(n, np.int32)
        ucb_order(features, posterior.mean, posterior.lower, 0.0, ranked)
        order = np.empty(k, np.int32)
        ranks = np.empty(k, np.int32)
        propensities = np.empty(k)
        epsilon_greedy_order(n, ranked, ranks, epsilon, np.uint64(seed & UINT64_MASK), order)
        epsilon_greedy_propensities(n, ranks, epsilon, propensities)
        return Slate(order, propensities, 0)
