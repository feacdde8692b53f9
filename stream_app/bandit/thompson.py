"""Linear Thompson sampling: follow a weight vector sampled from the posterior."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from stream_app.bandit.kernels.linear_decisions import sample_weights, thompson_slate
from stream_app.bandit.linear import LinearConfig, LinearPolicy
from stream_app.bandit.policy import Features, Keys, PolicyConfig, Slate, sample_seed, to_seed


class ThompsonConfig(LinearConfig, frozen=True, kw_only=True):
    """Settings of `Thompson`."""

    exploration: float = 0.05
    """Multiplier of the posterior standard deviations. 0 follows the mean. The standard deviation of the reward of an
    impression, in units, is .2 where one in 25 is rewarded; less explores less, and most of the difference between
    items of a list is known from the fused order.
    """
    draws: int = 64
    """Weight vectors sampled at a time."""
    seed: int = 7
    """Seed of the weight vectors."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.draws < 1 or not self.exploration >= 0:
            raise ValueError("draws must be 1 or more, exploration 0 or more")


class Thompson(LinearPolicy):
    """Thompson sampling with a linear Gaussian posterior and exact propensities.

    After each change of the posterior, `draws` weight vectors are sampled from it; a decision follows one of them,
    chosen by its seed. Each vector has the distribution of the posterior, so this is Thompson sampling; and the
    propensity of an item at a position is the share of the vectors that put it there: exact, and never 0 for a
    displayed item.

    References
    ----------
    Agrawal, Goyal: Thompson sampling for contextual bandits with linear payoffs, ICML 2013. Lu, Van Roy: Ensemble
    sampling, NeurIPS 2017 (decisions by a finite sample of the posterior).

    Examples
    --------
    >>> policy = Thompson(features=3)
    >>> options = np.linspace(1, 0, 30, dtype=np.float32).reshape(10, 3)
    >>> slate = policy.decide(options, k=3, seed=1)
    >>> slate.order.tolist(), slate.draws, bool((slate.propensities > 0).all())
    ([0, 1, 2], 64, True)
    """

    name: ClassVar[str] = "thompson"
    config_class: ClassVar[type[PolicyConfig]] = ThompsonConfig
    config: ThompsonConfig

    def __init__(self, features: int, **parameters: Any) -> None:
        super().__init__(features, **parameters)
        self._weights = np.zeros((features + 1, self.config.draws), np.float32)
        self._sampled_at = -1

    def decide(self, features: Features, k: int, seed: int, items: Keys | None = None) -> Slate:
        """Choose the best `k` by one of the weight vectors."""
        features = self._validated(features)
        posterior = self._refreshed_posterior()
        if self._sampled_at != posterior.n_updates:
            start = sample_seed(self.config.seed, posterior.n_updates)
            sample_weights(
                posterior.mean, posterior.lower, float(self.config.exploration), start, self._weights
            )
            self._sampled_at = posterior.n_updates
        k = min(k, len(features))
        order = np.empty(k, np.int32)
        propensities = np.empty(k)
        thompson_slate(features, self._weights, to_seed(seed), order, propensities)
        return Slate(order, propensities, self.config.draws)

    def _set_state(self, state: Mapping[str, Any]) -> None:
        super()._set_state(state)
        self._sampled_at = -1

    def memory(self) -> int:
        """Memory in bytes, to within a few percent."""
        return super().memory() + self._weights.nbytes
