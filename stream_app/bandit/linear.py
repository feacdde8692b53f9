"""What the policies that weigh features share: a posterior of the weights that starts from the fused order."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_app.bandit.examination import Examination
from stream_app.bandit.policy import NO_KEY, Features, Keys, Policy, Positions, as_contiguous, clip_reward
from stream_app.bandit.posterior import LinearPosterior

UINT64_MASK = (1 << 64) - 1
"""Seeds are cut to 64 bits."""


class LinearPolicy(Policy):
    """A policy over a linear posterior (`stream_app.bandit.posterior.LinearPosterior`).

    Parameters
    ----------
    features
        Their number.
    prior_weight
        Weight of the fused score before any reward: about the chance that an item of score 1 brings a reward in the
        first place, against one of score 0. All other weights start at 0, so that without rewards the order is the
        fused one.
    prior_feature
        Where the fused score is among the features.
    prior_mean
        Weights of all features before any reward, where more than the fused score is known to count; None for
        `prior_weight` on `prior_feature` alone.
    prior_strength
        Showings that the prior counts for.
    half_life
        Seconds in which an event loses half its weight; ``math.inf`` where tastes do not change.
    reward_scale
        Value of a reward that counts as 1; None for the root of the mean square of those that came.
    position_model, n_positions, floor, position_prior_strength
        See `stream_app.bandit.examination.Examination`.
    **parameters
        Settings of the policy itself.
    """

    def __init__(
        self,
        features: int,
        *,
        prior_weight: float = 0.1,
        prior_feature: int = 0,
        prior_mean: Sequence[float] | None = None,
        prior_strength: float = 1_000.0,
        half_life: float = 14 * 86_400.0,
        reward_scale: float | None = None,
        position_model: str = "position",
        n_positions: int = 20,
        floor: float = 0.05,
        position_prior_strength: float = 20.0,
        **parameters: Any,
    ) -> None:
        examination = Examination(
            position_model,
            n_positions=n_positions,
            floor=floor,
            position_prior_strength=position_prior_strength,
        )
        super().__init__(
            features,
            prior_weight=prior_weight,
            prior_feature=prior_feature,
            prior_mean=None if prior_mean is None else [float(weight) for weight in prior_mean],
            prior_strength=prior_strength,
            half_life=half_life,
            reward_scale=reward_scale,
            **examination.parameters,
            **parameters,
        )
        if not 0 <= prior_feature < features:
            raise ValueError(f"prior_feature must be one of the {features} features, not {prior_feature!r}")
        if prior_mean is not None and len(prior_mean) != features:
            raise ValueError(f"prior_mean must have {features} weights, not {len(prior_mean)}")
        if prior_mean is None:
            mean = np.zeros(features)
            mean[prior_feature] = prior_weight
        else:
            mean = np.array(prior_mean, np.float64)
        self._posterior = LinearPosterior(
            features,
            mean,
            prior_strength=prior_strength,
            half_life=half_life,
            examination=examination,
            reward_scale=reward_scale,
        )

    def observe_impressions(
        self,
        features: Features,
        positions: Positions,
        ts: float,
        items: Keys | None = None,  # noqa: ARG002
    ) -> None:
        """Fold items seen: the outer products of their features."""
        self._posterior.observe_impressions(
            self._validated(features), as_contiguous(positions, np.int32), float(ts)
        )

    def reward(
        self,
        features: Features,
        position: int,
        value: float,
        ts: float,
        *,
        item: int = NO_KEY,  # noqa: ARG002
        user: str = "",  # noqa: ARG002
        first: bool = True,
    ) -> None:
        """Fold a reward: value times features."""
        if math.isfinite(value):
            self._posterior.reward(
                self._validated_row(features),
                int(position),
                clip_reward(value),
                float(ts),
                first=bool(first),
            )

    @property
    def mean(self) -> NDArray[np.float64]:
        """Posterior mean of the weights, shape (features + 1,), last what is added to all; until the next event."""
        return self._refreshed_posterior().mean

    @property
    def examination_probabilities(self) -> NDArray[np.float64]:
        """How likely each place is to be looked at, against the first; valid until the next event."""
        return self._refreshed_posterior().examination_probabilities

    def _refreshed_posterior(self) -> LinearPosterior:
        """The posterior, with all that was folded."""
        if self._posterior.stale:
            self._posterior.refresh()
        return self._posterior

    def _state(self) -> dict[str, Any]:
        return {"posterior": self._posterior.state()}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._posterior.restore(state["posterior"])

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return self._posterior.memory()
