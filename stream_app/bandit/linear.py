"""The base of policies with a linear posterior, whose prior is the fused order."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_app.bandit.examination import PositionConfig
from stream_app.bandit.policy import (
    Features,
    ItemReward,
    Keys,
    Policy,
    PolicyConfig,
    Positions,
    as_contiguous,
)
from stream_app.bandit.posterior import LinearPosterior
from stream_app.models.decay_clock import DecayClock
from stream_app.models.model_state import State


class LinearConfig(PositionConfig, frozen=True, kw_only=True):
    """Settings of policies with a linear posterior."""

    prior_weight: float = 0.1
    """Prior weight of the fused score: about the reward that an item of score 1 brings at the first position, less
    that of an item of score 0. All other weights start at 0, so without rewards the order is the fused one.
    """
    prior_feature: int = 0
    """Index of the fused score among the features."""
    prior_mean: Sequence[float] | None = None
    """Prior weights of all features; None for `prior_weight` on `prior_feature` alone."""
    prior_strength: float = 100.0
    """Impressions that the prior counts for. Probabilities and rates differ little within a list, so a strong prior
    slows the learning of their weights most.
    """
    half_life: float = 14 * 86_400.0
    """Seconds in which an event loses half its weight; ``math.inf`` for no decay."""
    reward_scale: float | None = None
    """Value of a reward that counts as 1; None for the root mean square of the rewards."""


class LinearPolicy(Policy):
    """A policy over a linear posterior (`stream_app.bandit.posterior.LinearPosterior`)."""

    config_class: ClassVar[type[PolicyConfig]] = LinearConfig
    config: LinearConfig

    def __init__(self, features: int, **parameters: Any) -> None:
        super().__init__(features, **parameters)
        config = self.config
        if not 0 <= config.prior_feature < features:
            raise ValueError(
                f"prior_feature must be one of the {features} features, not {config.prior_feature!r}"
            )
        if config.prior_mean is None:
            mean = np.zeros(features)
            mean[config.prior_feature] = config.prior_weight
        else:
            mean = np.array(config.prior_mean, np.float64)
        if len(mean) != features:
            raise ValueError(f"prior_mean must have {features} weights, not {len(mean)}")
        self._posterior = LinearPosterior(
            features,
            mean,
            prior_strength=config.prior_strength,
            half_life=config.half_life,
            examination=config.examination_model(),
            reward_scale=config.reward_scale,
        )

    def use_decay_clock(self, clock: DecayClock) -> None:
        """Measure the decay of the posterior by another clock."""
        self._posterior.use_decay_clock(clock)

    def observe_impressions(
        self, features: Features, positions: Positions, ts: float, items: Keys | None = None
    ) -> None:
        """Add the outer products of the features to the posterior."""
        self._posterior.observe_impressions(
            self._validated(features), as_contiguous(positions, np.int32), float(ts)
        )

    def _learn_reward(self, features: Features, reward: ItemReward) -> None:
        """Add value times features to the posterior."""
        self._posterior.reward(features, reward.position, reward.value, reward.ts, first=reward.first)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Posterior mean of the weights, intercept last, shape (features + 1,); valid until the next event."""
        return self._refreshed_posterior().mean

    @property
    def examination_probabilities(self) -> NDArray[np.float64]:
        """Examination probability of each position relative to the first; valid until the next event."""
        return self._refreshed_posterior().examination_probabilities

    def _refreshed_posterior(self) -> LinearPosterior:
        """The posterior after all events."""
        if self._posterior.stale:
            self._posterior.refresh()
        return self._posterior

    def _get_state(self) -> State:
        return {"posterior": self._posterior.state()}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._posterior.restore(state["posterior"])

    def memory(self) -> int:
        """Memory in bytes, to within a few percent."""
        return self._posterior.memory()
