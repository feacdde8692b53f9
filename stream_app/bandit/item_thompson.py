"""Thompson sampling of each item by itself, whatever its features."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.bandit.examination import Examination
from stream_app.bandit.kernels.examination import RankSum, count_reward, iterate_examination
from stream_app.bandit.kernels.item_posteriors import (
    ItemPrior,
    ItemSum,
    ItemSums,
    fold_item_impressions,
    sample_items,
)
from stream_app.bandit.kernels.slates import seeded_ensemble_slate
from stream_app.bandit.linear import UINT64_MASK
from stream_app.bandit.policy import (
    NO_KEY,
    Features,
    Keys,
    Policy,
    Positions,
    Slate,
    as_contiguous,
    clip_reward,
)
from stream_app.models.decay import ForwardDecay
from stream_app.models.model_state import grow

REWARD_DISTRIBUTIONS: Final = ("bernoulli", "gaussian")
"""What a reward may be."""

N_ITERATIONS: Final = 3
"""Turns between the chances of the places and the scale of what is expected there."""

BYTES_PER_ENTRY: Final = 100
"""Of the dictionary from hashes to rows."""


class ItemThompson(Policy):
    """Thompson sampling with one posterior an item: Beta for chances, or Gaussian for values of any size.

    An item's trials are its showings, each weighted by how likely its place is to be looked at; the prior of an item
    is worth `prior_strength` trials at a rate of `prior_rate` times its fused score, so that without rewards the
    order is about the fused one. Propensities are exact as those of `stream_app.bandit.thompson.Thompson`:
    after each change, `draws` draws of all worths are fixed, and the seed chooses among them.

    Parameters
    ----------
    features
        Their number.
    reward_distribution
        ``bernoulli``: a value counts as a success of that share, kept between 0 and 1; one below 0 adds as many
        failures. ``gaussian``: values are what they are, their deviation is `noise`.
    prior_rate
        Chance (or mean value) of an item with a fused score of 1, before any reward.
    prior_feature
        Where the fused score is among the features.
    prior_strength
        Trials that the prior counts for.
    half_life
        Seconds in which an event loses half its weight.
    noise
        How widely is sampled: for Gaussian rewards their deviation; for chances 1 is the Beta posterior itself,
        and less samples as if there were more trials.
    capacity
        Items remembered; when there are more, the tenth that was not seen for longest is dropped.
    draws
        Draws fixed at a time.
    seed
        Of the draws.
    position_model, n_positions, floor, position_prior_strength
        See `stream_app.bandit.examination.Examination`. The chances of the places are taken as they are
        estimated when an item is seen, so they depend a little on the order in which events come.

    References
    ----------
    Chapelle, Li: An empirical evaluation of Thompson sampling, NeurIPS 2011. Agrawal, Goyal: Analysis of Thompson
    sampling for the multi-armed bandit problem, COLT 2012 (values between 0 and 1 as chances).

    Examples
    --------
    >>> policy = ItemThompson(features=1)
    >>> options, items = np.array([[0.9], [0.8]], np.float32), np.array([11, 12], np.uint64)
    >>> for ts in range(1000):
    ...     policy.observe_impressions(options, np.array([0, 1], np.int32), float(ts), items)
    ...     policy.reward(options[1], 1, 1.0, float(ts), item=12)
    >>> policy.decide(options, k=1, seed=1, items=items).order.tolist()
    [1]
    """

    name: ClassVar[str] = "item_thompson"

    def __init__(
        self,
        features: int,
        *,
        reward_distribution: str = "bernoulli",
        prior_rate: float = 0.1,
        prior_feature: int = 0,
        prior_strength: float = 100.0,
        half_life: float = 14 * 86_400.0,
        noise: float = 0.5,
        capacity: int = 100_000,
        draws: int = 32,
        seed: int = 7,
        position_model: str = "position",
        n_positions: int = 20,
        floor: float = 0.05,
        position_prior_strength: float = 20.0,
    ) -> None:
        if reward_distribution not in REWARD_DISTRIBUTIONS:
            raise ValueError(
                f"rewards must be one of {', '.join(REWARD_DISTRIBUTIONS)}, not {reward_distribution!r}"
            )
        if draws < 1 or capacity < 1 or not prior_strength > 0 or not noise > 0:
            raise ValueError("draws and capacity must be 1 or more, prior_strength and noise above 0")
        if not 0 <= prior_feature < features:
            raise ValueError(f"prior_feature must be one of the {features} features, not {prior_feature!r}")
        self._examination = Examination(
            position_model,
            n_positions=n_positions,
            floor=floor,
            position_prior_strength=position_prior_strength,
        )
        super().__init__(
            features,
            reward_distribution=reward_distribution,
            prior_rate=prior_rate,
            prior_feature=prior_feature,
            prior_strength=prior_strength,
            half_life=half_life,
            noise=noise,
            capacity=capacity,
            draws=draws,
            seed=seed,
            **self._examination.parameters,
        )
        self._prior_feature = prior_feature
        self._prior = ItemPrior(
            float(prior_strength), float(prior_rate), reward_distribution == "gaussian", float(noise)
        )
        self._capacity = capacity
        self._draws = draws
        self._seed = seed
        self._reset()

    def _reset(self) -> None:
        self._rows: dict[int, int] = {}
        n_positions = self._examination.n_positions
        self._sums = ItemSums(
            np.zeros((64, len(ItemSum))), np.zeros((n_positions, len(RankSum))), np.zeros(n_positions)
        )
        self._last_seen: NDArray[np.float64] = np.full(64, -np.inf)
        self._decay = ForwardDecay(self.parameters["half_life"])
        self._newest = -math.inf
        self._n_updates = 0
        self._examination_probabilities: NDArray[np.float64] = self._examination.constants.prior.copy()
        self._stale = True

    @property
    def examination_probabilities(self) -> NDArray[np.float64]:
        """How likely each place is to be looked at, against the first; valid until the next event."""
        if self._stale:
            iterate_examination(
                self._sums.ranks,
                self._sums.expected_rewards,
                self._examination.constants,
                self._decay_factor,
                N_ITERATIONS,
                self._examination_probabilities,
            )
            self._stale = False
        return self._examination_probabilities

    def decide(self, features: Features, k: int, seed: int, items: Keys | None = None) -> Slate:
        """Choose the best `k` by one of the draws; `items` are needed."""
        features = self._validated(features)
        if items is None or len(items) != len(features):
            raise ValueError(f"{self.name}: the items' hashes are needed, one a candidate")
        k = min(k, len(features))
        find_row = self._rows.get
        sampled_values = np.empty((len(features), self._draws), np.float32)
        sample_items(
            as_contiguous(features[:, self._prior_feature], np.float32),
            np.array([find_row(key, -1) for key in items.tolist()], np.int64),
            self._sums.items,
            self._decay_factor,
            self._prior,
            np.uint64((self._seed * 0xD1342543DE82EF95 + self._n_updates) & UINT64_MASK),
            sampled_values,
        )
        order = np.empty(k, np.int32)
        propensities = np.empty(k)
        seeded_ensemble_slate(sampled_values, np.uint64(seed & UINT64_MASK), order, propensities)
        return Slate(order, propensities, self._draws)

    def observe_impressions(
        self, features: Features, positions: Positions, ts: float, items: Keys | None = None
    ) -> None:
        """Count a showing of each item, as far as its place is looked at."""
        if items is None:
            raise ValueError(f"{self.name}: the items' hashes are needed")
        scores = as_contiguous(self._validated(features)[:, self._prior_feature], np.float32)
        ts = float(ts)
        examination_probabilities = self.examination_probabilities
        weight = self._event_weight(ts)
        self._evict_if_full(len(items))
        rows = np.array([self._row(key, ts) for key in items.tolist()], np.int64)
        fold_item_impressions(
            scores,
            rows,
            as_contiguous(positions, np.int32),
            weight,
            self._decay_factor,
            self._prior,
            examination_probabilities,
            self._sums,
        )

    def reward(
        self,
        features: Features,
        position: int,
        value: float,
        ts: float,
        *,
        item: int = NO_KEY,
        user: str = "",  # noqa: ARG002
        first: bool = True,
    ) -> None:
        """Count a reward of an item."""
        self._validated_row(features)
        if item == NO_KEY or not math.isfinite(value):
            return
        value = clip_reward(value)
        weight = self._event_weight(float(ts))
        self._evict_if_full(1)
        row = self._row(item, ts)
        sums = self._sums
        if not self._prior.gaussian:
            if value < 0:
                sums.items[row, ItemSum.TRIALS] -= weight * value
            value = min(max(value, 0.0), 1.0)
        sums.items[row, ItemSum.REWARDS] += weight * value
        rank = min(max(int(position), 0), self._examination.n_positions - 1)
        count_reward(sums.ranks, rank, value, bool(first), weight)

    @property
    def _decay_factor(self) -> float:
        """What turns sums into sums decayed until the newest event."""
        return 1.0 / self._decay.weight(self._newest) if self._n_updates else 1.0

    def _row(self, key: int, ts: float) -> int:
        """The row of an item, new if need be."""
        row = self._rows.get(key)
        if row is None:
            row = len(self._rows)
            self._rows[key] = row
            self._ensure_capacity(row + 1)
            self._sums.items[row] = 0.0
            self._last_seen[row] = -math.inf
        self._last_seen[row] = max(self._last_seen[row], ts)
        return row

    def _ensure_capacity(self, size: int) -> None:
        if size > len(self._last_seen):
            self._sums = self._sums._replace(items=grow(self._sums.items, size))
            self._last_seen = grow(self._last_seen, size)

    def _evict_if_full(self, count: int) -> None:
        if len(self._rows) + count > self._capacity:
            self._evict(max(count, self._capacity // 10))

    def _evict(self, count: int) -> None:
        """Forget the items that were not seen for longest; of equals those of the smaller hashes."""
        keys = sorted(self._rows, key=lambda key: (self._last_seen[self._rows[key]], key))[count:]
        rows = np.array([self._rows[key] for key in keys], np.int64)
        self._sums.items[: len(rows)] = self._sums.items[rows]
        self._last_seen[: len(rows)] = self._last_seen[rows]
        self._rows = {key: row for row, key in enumerate(keys)}

    def _event_weight(self, ts: float) -> float:
        rescaled = self._decay.advance(ts)
        if rescaled != 1.0:
            for array in self._sums:
                np.multiply(array, rescaled, out=array)
        self._newest = max(self._newest, ts)
        self._n_updates += 1
        self._stale = True
        return self._decay.weight(ts)

    def _state(self) -> dict[str, Any]:
        size = len(self._rows)
        return {
            "items": np.array(list(self._rows), np.uint64),
            "sums": self._sums.items[:size].copy(),
            "last": self._last_seen[:size].copy(),
            "rank_sums": self._sums.ranks.copy(),
            "expected_rewards": self._sums.expected_rewards.copy(),
            "landmark": self._decay.landmark,
            "newest": self._newest,
            "n_updates": self._n_updates,
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._reset()
        self._rows = {key: row for row, key in enumerate(np.asarray(state["items"], np.uint64).tolist())}
        size = len(self._rows)
        self._ensure_capacity(size)
        self._sums.items[:size] = state["sums"]
        self._last_seen[:size] = state["last"]
        self._sums.ranks[...] = state["rank_sums"]
        self._sums.expected_rewards[...] = state["expected_rewards"]
        self._decay.landmark = float(state["landmark"])
        self._newest = float(state["newest"])
        self._n_updates = int(state["n_updates"])

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return (
            sum(array.nbytes for array in self._sums)
            + self._last_seen.nbytes
            + len(self._rows) * BYTES_PER_ENTRY
        )
