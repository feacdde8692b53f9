"""A Gaussian posterior of the weights of features, from sums over events."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.bandit.decay_scale import DecayScale
from stream_app.bandit.kernels.examination import ExaminationModel, RankSum
from stream_app.bandit.kernels.linear_posterior import (
    LinearEstimate,
    LinearPrior,
    LinearSums,
    fold_impressions,
    fold_reward,
    posterior,
)
from stream_app.bandit.policy import Features, Positions
from stream_app.models.decay_clock import DecayClock
from stream_app.models.resident import resident_bytes

N_ITERATIONS: Final = 5
"""Updates of the examination probabilities, in turn with the posterior."""

Vector = NDArray[np.float64]


class LinearPosterior:
    """Gaussian posterior of the weights θ in: reward of an item = examination probability of its position · θ · x.

    The state is sums over events, each weighted by its time: for every position the outer products of the features
    of impressions, and the features of rewarded items times the value. Sums do not depend on the order of events,
    so impressions and rewards are separate events, and replicas agree up to rounding. `refresh` computes

        A = strength · I + Σ over positions (examination probability) · (Σ x xᵀ of impressions there)
        A · mean = strength · prior + Σ (value / reward_scale) · x

    with all events decayed by the half-life, but not the prior: without events A returns to the prior and never
    becomes singular. The examination probability is a weight in A and not in the rewards, which is least squares
    for rewards whose variance grows with their mean, such as rare clicks. Rewards need no weight when they come, and
    later estimates of the examination probabilities apply to all earlier impressions.

    A constant feature 1 is appended; its weight, the intercept, has a prior of one impression. `reward_scale` makes
    prior and exploration independent of the scale of rewards (clicks or prices): by default it is the root mean
    square of the rewards, so the variance of the reward of an impression is about the probability of a reward.

    Parameters
    ----------
    features
        Number of features.
    prior_mean : ndarray of float64, shape (features,)
        Prior mean of the weights, in multiples of `reward_scale`.
    prior_strength
        Impressions that the prior counts for.
    half_life
        Seconds in which an event loses half its weight; ``math.inf`` for no decay.
    examination
        The position model.
    reward_scale
        Value that counts as 1; None for the root mean square of the rewards.

    References
    ----------
    Agrawal, Goyal: Thompson sampling for contextual bandits with linear payoffs, ICML 2013. Lagrée, Vernade, Cappé:
    Multiple-play bandits in the position-based model, NeurIPS 2016.

    Examples
    --------
    >>> from stream_app.bandit.examination import PositionConfig
    >>> learned = LinearPosterior(2, np.zeros(2), prior_strength=1.0, half_life=np.inf,
    ...     examination=PositionConfig(position_model="none").examination_model(), reward_scale=1.0)
    >>> x = np.array([[1.0, 0.0]], np.float32)
    >>> for ts in range(100):
    ...     learned.observe_impressions(x, np.array([0], np.int32), float(ts))
    >>> for ts in range(50):
    ...     learned.reward(x[0], 0, 1.0, float(ts), first=True)
    >>> learned.refresh()
    >>> round(float(learned.mean[0] + learned.mean[2]), 2)
    0.5
    """

    def __init__(
        self,
        features: int,
        prior_mean: Vector,
        *,
        prior_strength: float,
        half_life: float,
        examination: ExaminationModel,
        reward_scale: float | None = None,
    ) -> None:
        if not prior_strength > 0:
            raise ValueError(f"prior_strength must be above 0, not {prior_strength!r}")
        if reward_scale is not None and not reward_scale > 0:
            raise ValueError(f"reward_scale must be above 0, not {reward_scale!r}")
        features += 1
        precision: Vector = np.full(features, float(prior_strength))
        precision[-1] = 1.0
        self._prior = LinearPrior(np.append(prior_mean, 0.0), precision, float(reward_scale or 0.0))
        self._half_life = half_life
        self._clock = DecayClock()
        self._examination = examination
        n_positions = len(examination.prior)
        self._sums = LinearSums(
            np.zeros((n_positions, features, features)),
            np.zeros((n_positions, features)),
            np.zeros(features),
            np.zeros((n_positions, len(RankSum))),
        )
        self._estimate = LinearEstimate(
            np.zeros(features), np.zeros((features, features)), np.ones(n_positions)
        )
        self._scaled_arrays: tuple[Vector, ...] = tuple(self._sums)
        self.clear()

    def clear(self) -> None:
        """Drop all events."""
        for array in self._sums:
            array[...] = 0.0
        self._scale = DecayScale(self._half_life, self._clock)
        self._stale = True

    def use_decay_clock(self, clock: DecayClock) -> None:
        """Measure decay by another clock; before any event."""
        self._clock = clock
        self._scale.use_clock(clock)

    @property
    def mean(self) -> Vector:
        """Posterior mean of the weights after `refresh`, intercept last, shape (features + 1,)."""
        return self._estimate.mean

    @property
    def lower(self) -> Vector:
        """Cholesky factor of A, after `refresh`, shape (features + 1, features + 1)."""
        return self._estimate.lower

    @property
    def examination_probabilities(self) -> Vector:
        """Examination probability of each position relative to the first, after `refresh`, shape (positions,)."""
        return self._estimate.examination

    @property
    def reward_sums(self) -> Vector:
        """Weighted sum of value times features, shape (features + 1,)."""
        return self._sums.rewards

    def attach_arrays(self, *arrays: Vector) -> None:
        """Add arrays of sums that are weighted by `weight` and share the time scale.

        Any event may move the landmark and multiply them in place, so the arrays must not be replaced.
        """
        self._scaled_arrays = (*self._scaled_arrays, *arrays)

    def weight(self, ts: float) -> float:
        """Weight of an event; rescales all sums if the landmark moves."""
        self._stale = True
        return self._scale.weight(ts, self._scaled_arrays)

    def observe_impressions(self, features: Features, positions: Positions, ts: float) -> None:
        """Add impressions; arguments as for `Policy.observe_impressions`."""
        sums = self._sums
        fold_impressions(features, positions, self.weight(ts), sums.outer, sums.features, sums.ranks)

    def reward(self, features: Features, position: int, value: float, ts: float, *, first: bool) -> None:
        """Add a reward; arguments as for `Policy.reward`."""
        sums = self._sums
        fold_reward(features, position, value, first, self.weight(ts), sums.rewards, sums.ranks)

    @property
    def n_updates(self) -> int:
        """Number of events added."""
        return self._scale.n_updates

    @property
    def decay_factor(self) -> float:
        """Factor from sums to sums decayed until the newest event."""
        return self._scale.factor

    @property
    def decayed_impressions(self) -> float:
        """Number of impressions, decayed until the newest event."""
        return self.decay_factor * float(self._sums.ranks[:, RankSum.IMPRESSIONS].sum())

    @property
    def stale(self) -> bool:
        """Whether there were events since the last `refresh`."""
        return self._stale

    def refresh(self, target: Vector | None = None, reward_scale: float | None = None) -> None:
        """Update `mean`, `lower` and `examination_probabilities`; sums that give no finite result give the prior.

        Parameters
        ----------
        target : ndarray of float64, shape (features + 1,), optional
            Replaces the sum of value times features.
        reward_scale
            Unit, where the policy has no fixed one.
        """
        sums, prior = self._sums, self._prior
        if target is not None:
            sums = LinearSums(sums.outer, sums.features, target, sums.ranks)
        if reward_scale is not None and not prior.reward_scale:
            prior = LinearPrior(prior.mean, prior.precision, reward_scale)
        posterior(sums, self.decay_factor, prior, self._examination, N_ITERATIONS, self._estimate)
        self._stale = False

    def state(self) -> dict[str, Any]:
        """All sums as plain data."""
        return {**{name: array.copy() for name, array in self._sums._asdict().items()}, **self._scale.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a `state`."""
        self.clear()
        for name, array in self._sums._asdict().items():
            array[...] = state[name]
        self._scale.restore(state)

    def memory(self) -> int:
        """Memory in bytes."""
        return resident_bytes((*self._sums, *self._estimate))
