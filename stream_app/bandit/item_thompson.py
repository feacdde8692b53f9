"""Thompson sampling with a posterior for each item, independent of its features."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.bandit.decay_scale import DecayScale
from stream_app.bandit.examination import PositionConfig
from stream_app.bandit.kernels.examination import RankSum, count_reward, iterate_examination
from stream_app.bandit.kernels.item_posteriors import (
    ItemPrior,
    ItemSum,
    ItemSums,
    fold_item_impressions,
    sample_items,
)
from stream_app.bandit.kernels.slates import seeded_ensemble_slate
from stream_app.bandit.policy import (
    NO_KEY,
    Features,
    ItemReward,
    Keys,
    Policy,
    PolicyConfig,
    Positions,
    Slate,
    as_contiguous,
    sample_seed,
    to_seed,
)
from stream_app.models.columns import grow
from stream_app.models.decay_clock import DecayClock
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes

REWARD_DISTRIBUTIONS: Final = ("bernoulli", "gaussian")
"""Distributions of rewards."""

N_ITERATIONS: Final = 3
"""Updates of the examination probabilities."""

BYTES_PER_ENTRY: Final = 100
"""Bytes of an entry of the dictionary from hashes to rows."""


class ItemThompsonConfig(PositionConfig, frozen=True, kw_only=True):
    """Settings of `ItemThompson`."""

    reward_distribution: str = "bernoulli"
    """``bernoulli``: a value from 0 to 1 counts as that share of a success, larger ones as a success, and one below 0
    adds failures. ``gaussian``: rewards may have any value; their standard deviation is `noise`.
    """
    prior_rate: float = 0.1
    """Prior reward of a trial of an item with a fused score of 1."""
    prior_feature: int = 0
    """Index of the fused score among the features."""
    prior_strength: float = 100.0
    """Trials that the prior counts for."""
    half_life: float = 14 * 86_400.0
    """Seconds in which an event loses half its weight."""
    noise: float = 0.5
    """Width of the sampling. Gaussian rewards: their standard deviation. Otherwise 1 samples the Beta posterior
    itself, and less samples as if there were more trials.
    """
    capacity: int = 100_000
    """Maximum number of items held; beyond it the tenth that was seen least recently is evicted."""
    draws: int = 32
    """Samples of all items taken at a time."""
    seed: int = 7
    """Seed of the samples."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reward_distribution not in REWARD_DISTRIBUTIONS:
            raise ValueError(
                f"reward_distribution must be one of {', '.join(REWARD_DISTRIBUTIONS)}, "
                f"not {self.reward_distribution!r}"
            )
        if self.draws < 1 or self.capacity < 1 or not self.prior_strength > 0 or not self.noise > 0:
            raise ValueError("draws and capacity must be 1 or more, prior_strength and noise above 0")


class ItemThompson(Policy):
    """Thompson sampling with one posterior per item: Beta for rewards from 0 to 1, or Gaussian for any values.

    The trials of an item are its impressions, each weighted by the examination probability of its position. The
    prior of an item counts for `prior_strength` trials at a rate of `prior_rate` times its fused score, so without
    rewards the order is about the fused one. Propensities are exact, as those of
    `stream_app.bandit.thompson.Thompson`: for each state of the policy there are `draws` samples of all items, and
    the seed of a decision chooses one.

    Impressions are weighted by the examination probabilities at the time they are observed, so the state depends
    slightly on the order of events.

    References
    ----------
    Chapelle, Li: An empirical evaluation of Thompson sampling, NeurIPS 2011. Agrawal, Goyal: Analysis of Thompson
    sampling for the multi-armed bandit problem, COLT 2012 (rewards from 0 to 1).

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
    config_class: ClassVar[type[PolicyConfig]] = ItemThompsonConfig
    config: ItemThompsonConfig

    def __init__(self, features: int, **parameters: Any) -> None:
        super().__init__(features, **parameters)
        config = self.config
        if not 0 <= config.prior_feature < features:
            raise ValueError(
                f"prior_feature must be one of the {features} features, not {config.prior_feature!r}"
            )
        self._examination = config.examination_model()
        self._prior = ItemPrior(
            float(config.prior_strength),
            float(config.prior_rate),
            config.reward_distribution == "gaussian",
            float(config.noise),
        )
        self._clock = DecayClock()
        self._reset()

    def _reset(self) -> None:
        self._rows: dict[int, int] = {}
        n_positions = self.config.n_positions
        self._sums = ItemSums(
            np.zeros((64, len(ItemSum))), np.zeros((n_positions, len(RankSum))), np.zeros(n_positions)
        )
        self._last_seen: NDArray[np.float64] = np.full(64, -np.inf)
        self._scale = DecayScale(self.config.half_life, self._clock)
        self._examination_probabilities: NDArray[np.float64] = self._examination.prior.copy()
        self._stale = True

    def use_decay_clock(self, clock: DecayClock) -> None:
        """Measure the decay of all sums by another clock."""
        self._clock = clock
        self._scale.use_clock(clock)

    @property
    def examination_probabilities(self) -> NDArray[np.float64]:
        """Examination probability of each position relative to the first; valid until the next event."""
        if self._stale:
            iterate_examination(
                self._sums.ranks,
                self._sums.expected_rewards,
                self._examination,
                self._scale.factor,
                N_ITERATIONS,
                self._examination_probabilities,
            )
            self._stale = False
        return self._examination_probabilities

    def decide(self, features: Features, k: int, seed: int, items: Keys | None = None) -> Slate:
        """Choose the best `k` by one of the samples; `items` are required."""
        features = self._validated(features)
        if items is None or len(items) != len(features):
            raise ValueError(f"{self.name}: the hashes of all candidates are required")
        k = min(k, len(features))
        find_row = self._rows.get
        sampled_values = np.empty((len(features), self.config.draws), np.float32)
        sample_items(
            as_contiguous(features[:, self.config.prior_feature], np.float32),
            np.array([find_row(key, -1) for key in items.tolist()], np.int64),
            self._sums.items,
            self._scale.factor,
            self._prior,
            sample_seed(self.config.seed, self._scale.n_updates),
            sampled_values,
        )
        order = np.empty(k, np.int32)
        propensities = np.empty(k)
        seeded_ensemble_slate(sampled_values, to_seed(seed), order, propensities)
        return Slate(order, propensities, self.config.draws)

    def observe_impressions(
        self, features: Features, positions: Positions, ts: float, items: Keys | None = None
    ) -> None:
        """Count a trial of each item, weighted by the examination probability of its position."""
        if items is None:
            raise ValueError(f"{self.name}: the hashes of the items are required")
        scores = as_contiguous(self._validated(features)[:, self.config.prior_feature], np.float32)
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
            self._scale.factor,
            self._prior,
            examination_probabilities,
            self._sums,
        )

    def _learn_reward(self, features: Features, reward: ItemReward) -> None:
        """Add a reward to an item; a negative one adds trials."""
        if reward.item == NO_KEY:
            return
        value = reward.value
        weight = self._event_weight(reward.ts)
        self._evict_if_full(1)
        row = self._row(reward.item, reward.ts)
        sums = self._sums
        if not self._prior.gaussian:
            if value < 0:
                sums.items[row, ItemSum.TRIALS] -= weight * value
            value = min(max(value, 0.0), 1.0)
        sums.items[row, ItemSum.REWARDS] += weight * value
        rank = min(max(reward.position, 0), self.config.n_positions - 1)
        count_reward(sums.ranks, rank, value, reward.first, weight)

    def _row(self, key: int, ts: float) -> int:
        """The row of an item; an unknown item gets a new one."""
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
        if len(self._rows) + count > self.config.capacity:
            self._evict(max(count, self.config.capacity // 10))

    def _evict(self, count: int) -> None:
        """Drop the items that were seen least recently; ties by hash."""
        keys = sorted(self._rows, key=lambda key: (self._last_seen[self._rows[key]], key))[count:]
        rows = np.array([self._rows[key] for key in keys], np.int64)
        self._sums.items[: len(rows)] = self._sums.items[rows]
        self._last_seen[: len(rows)] = self._last_seen[rows]
        self._rows = {key: row for row, key in enumerate(keys)}

    def _event_weight(self, ts: float) -> float:
        self._stale = True
        return self._scale.weight(ts, self._sums)

    def _get_state(self) -> State:
        size = len(self._rows)
        return {
            "items": np.array(list(self._rows), np.uint64),
            "sums": self._sums.items[:size].copy(),
            "last": self._last_seen[:size].copy(),
            "rank_sums": self._sums.ranks.copy(),
            "expected_rewards": self._sums.expected_rewards.copy(),
            **self._scale.state(),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._rows = {key: row for row, key in enumerate(np.asarray(state["items"], np.uint64).tolist())}
        size = len(self._rows)
        self._ensure_capacity(size)
        self._sums.items[:size] = state["sums"]
        self._last_seen[:size] = state["last"]
        self._sums.ranks[...] = state["rank_sums"]
        self._sums.expected_rewards[...] = state["expected_rewards"]
        self._scale.restore(state)

    def memory(self) -> int:
        """Memory in bytes, to within a few percent."""
        return resident_bytes((*self._sums, self._last_seen)) + len(self._rows) * BYTES_PER_ENTRY
