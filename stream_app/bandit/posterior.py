"""What rewards tell of the weights of features: a Gaussian posterior from sums that add up."""

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

N_ITERATIONS: Final = 5
"""Turns between the posterior and the chances of the places."""

Vector = NDArray[np.float64]


class LinearPosterior:
    """Gaussian posterior of the weights θ in: reward of an item = chance that its place is looked at, times θ · x.

    Held are sums alone, each event weighted by its time: for every place the outer products of what was seen there,
    and the features of what was rewarded times the value. They add up in any order, so what is seen and what comes
    of it are folded apart, and replicas that saw the same hold the same but for rounding. From them follow, at the
    first question after a change,

        A = strength · I + Σ over places (chance of the place) · (Σ x xᵀ seen there)
        A · mean = strength · prior + Σ (value / unit) · x

    with all of the past decayed by the half-life but not the prior: without news A returns to the prior and never
    becomes singular. A weight of one chance in A and none in the rewards is least squares for rewards whose variance
    grows with their mean, as with rare clicks; it asks for no weight when a reward comes, and the chances of the
    places may still be corrected when more is known.

    To the features a 1 is added, whose weight is what items bring whatever their features; its prior counts for one
    showing. The unit makes prior and exploration mean the same whether a reward is a click or a price: by default it
    is the root of the mean square of the rewards, so that the variance of a showing is about the chance of a reward.

    Parameters
    ----------
    features
        Their number.
    prior_mean : ndarray of float64, shape (features,)
        Weights before any reward, in units.
    prior_strength
        Showings that the prior counts for.
    half_life
        Seconds in which an event loses half its weight; ``math.inf`` for no drift.
    examination
        The position model.
    reward_scale
        Value that counts as 1; None for the root of the mean square of the rewards.

    Attributes
    ----------
    mean : ndarray of float64, shape (features + 1,)
        Mean of the weights, in units, after `refresh`; the last is that of the 1.
    lower : ndarray of float64, shape (features + 1, features + 1)
        Cholesky factor of A, after `refresh`.
    examination_probabilities : ndarray of float64, shape (places,)
        How likely each place is to be looked at, against the first, after `refresh`.

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
            raise ValueError(f"unit must be above 0, not {reward_scale!r}")
        features += 1
        precision: Vector = np.full(features, float(prior_strength))
        precision[-1] = 1.0
        self._prior = LinearPrior(np.append(prior_mean, 0.0), precision, float(reward_scale or 0.0))
        self._half_life = half_life
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
        """Return to the prior."""
        for array in self._sums:
            array[...] = 0.0
        self._scale = DecayScale(self._half_life)
        self._stale = True

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
        """Keep further sums that are weighted by `weight` on the scale of these.

        Any event, also one that the further sums take no part in, may move the landmark: they are multiplied in
        place then, so they must stay the same arrays.
        """
        self._scaled_arrays = (*self._scaled_arrays, *arrays)

    def weight(self, ts: float) -> float:
        """Weight of an event; all sums are brought to its scale first."""
        self._stale = True
        return self._scale.weight(ts, self._scaled_arrays)

    def observe_impressions(self, features: Features, positions: Positions, ts: float) -> None:
        """Fold items seen; see `stream_app.bandit.policy.Policy.observe_impressions`."""
        sums = self._sums
        fold_impressions(features, positions, self.weight(ts), sums.outer, sums.features, sums.ranks)

    def reward(self, features: Features, position: int, value: float, ts: float, *, first: bool) -> None:
        """Fold a reward; see `stream_app.bandit.policy.Policy.reward`."""
        sums = self._sums
        fold_reward(features, position, value, first, self.weight(ts), sums.rewards, sums.ranks)

    @property
    def n_updates(self) -> int:
        """Impression events and rewards folded."""
        return self._scale.n_updates

    @property
    def decay_factor(self) -> float:
        """What turns sums into sums decayed until the newest event."""
        return self._scale.factor

    @property
    def decayed_impressions(self) -> float:
        """Showings, decayed until the newest event."""
        return self.decay_factor * float(self._sums.ranks[:, RankSum.IMPRESSIONS].sum())

    @property
    def stale(self) -> bool:
        """Whether anything was folded since the last `refresh`."""
        return self._stale

    def refresh(self, target: Vector | None = None, reward_scale: float | None = None) -> None:
        """Bring `mean`, `lower` and `examination_probabilities` up to date.

        They are those of the prior where the sums give none.

        Parameters
        ----------
        target : ndarray of float64, shape (features + 1,), optional
            Stands in for the sum of value times features.
        reward_scale
            Stands in for the unit, where that is not set.
        """
        sums, prior = self._sums, self._prior
        if target is not None:
            sums = LinearSums(sums.outer, sums.features, target, sums.ranks)
        if reward_scale is not None and not prior.reward_scale:
            prior = LinearPrior(prior.mean, prior.precision, reward_scale)
        posterior(sums, self.decay_factor, prior, self._examination, N_ITERATIONS, self._estimate)
        self._stale = False

    def state(self) -> dict[str, Any]:
        """All sums, as plain data."""
        return {
            **{name: array.copy() for name, array in self._sums._asdict().items()},
            **self._scale.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take what `state` gave."""
        self.clear()
        for name, array in self._sums._asdict().items():
            array[...] = state[name]
        self._scale.restore(state)

    def memory(self) -> int:
        """Bytes held."""
        return sum(each.nbytes for each in (*self._sums, *self._estimate))
