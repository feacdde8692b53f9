"""Epsilon-greedy: the best estimate, or with a small probability a random candidate."""

from typing import ClassVar

import numpy as np

from stream_app.bandit.kernels.epsilon_greedy import epsilon_greedy_order, epsilon_greedy_propensities
from stream_app.bandit.kernels.linear_decisions import ucb_order
from stream_app.bandit.linear import LinearConfig, LinearPolicy
from stream_app.bandit.policy import Features, Keys, PolicyConfig, Slate, to_seed


class EpsilonGreedyConfig(LinearConfig, frozen=True, kw_only=True):
    """Settings of `EpsilonGreedy`."""

    epsilon: float = 0.05
    """Probability that a position is filled at random."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon must be from 0 to 1, not {self.epsilon!r}")


class EpsilonGreedy(LinearPolicy):
    """Fills each position by the best remaining candidate, or with a small probability by a random one.

    The propensities are exact: marginal over all candidates that could have been drawn for the positions before.

    References
    ----------
    Sutton, Barto: Reinforcement learning, 2nd edition, 2018, §2.2.

    Examples
    --------
    >>> policy = EpsilonGreedy(features=3, epsilon=0.1)
    >>> options = np.linspace(1, 0, 30, dtype=np.float32).reshape(10, 3)
    >>> slate = policy.decide(options, k=2, seed=1)
    >>> slate.order.tolist(), slate.propensities.round(4).tolist()  # 0.91 with ten candidates, then about 0.91²
    ([0, 1], [0.91, 0.83])
    """

    name: ClassVar[str] = "epsilon_greedy"
    config_class: ClassVar[type[PolicyConfig]] = EpsilonGreedyConfig
    config: EpsilonGreedyConfig

    def decide(self, features: Features, k: int, seed: int, items: Keys | None = None) -> Slate:
        """Choose `k` candidates, position by position."""
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
        epsilon_greedy_order(n, ranked, ranks, epsilon, to_seed(seed), order)
        epsilon_greedy_propensities(n, ranks, epsilon, propensities)
        return Slate(order, propensities, 0)
