"""LinUCB: optimism in the face of uncertainty."""

import math
from typing import ClassVar

import numpy as np

from stream_app.bandit.kernels.linear_decisions import ucb_order
from stream_app.bandit.linear import LinearConfig, LinearPolicy
from stream_app.bandit.policy import Features, Keys, PolicyConfig, Slate


class LinUCBConfig(LinearConfig, frozen=True, kw_only=True):
    """Settings of `LinUCB`."""

    exploration: float = 0.04
    """Posterior standard deviations (for unit noise) added to the mean, times sqrt(1 + log(1 + impressions)): a bound
    that does not grow can stay with a bad choice forever.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.exploration >= 0:
            raise ValueError(f"exploration must be 0 or more, not {self.exploration!r}")


class LinUCB(LinearPolicy):
    """Sorts by the upper confidence bound of the reward, with one weight vector for all items.

    Decisions are deterministic: each propensity is 1, so its log cannot be used to evaluate other policies.

    References
    ----------
    Li, Chu, Langford, Schapire: A contextual-bandit approach to personalized news article recommendation, WWW 2010.
    Abbasi-Yadkori, Pál, Szepesvári: Improved algorithms for linear stochastic bandits, NeurIPS 2011 (bounds that
    grow with the logarithm).

    Examples
    --------
    >>> policy = LinUCB(features=3)
    >>> options = np.linspace(1, 0, 30, dtype=np.float32).reshape(10, 3)
    >>> policy.decide(options, k=3, seed=1).order.tolist()
    [0, 1, 2]
    """

    name: ClassVar[str] = "linucb"
    config_class: ClassVar[type[PolicyConfig]] = LinUCBConfig
    config: LinUCBConfig

    def decide(self, features: Features, k: int, seed: int, items: Keys | None = None) -> Slate:
        """Choose the `k` largest bounds."""
        features = self._validated(features)
        posterior = self._refreshed_posterior()
        k = min(k, len(features))
        order = np.empty(k, np.int32)
        width = self.config.exploration * math.sqrt(1.0 + math.log1p(posterior.decayed_impressions))
        ucb_order(features, posterior.mean, posterior.lower, width, order)
        return Slate(order, np.ones(k), 0)
