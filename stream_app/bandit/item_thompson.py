"""Thompson sampling of each item by itself, whatever its features."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.bandit.examination import SUMS, Examination
from stream_app.bandit.kernels.decision import decide_items, fold_items
from stream_app.bandit.kernels.posterior import place_weights
from stream_app.bandit.linear import WORD
from stream_app.bandit.policy import NO_KEY, Features, Keys, Places, Policy, Slate, bounded, plain
from stream_app.models.decay import ForwardDecay
from stream_app.models.model_state import grown

REWARDS: Final = ("bernoulli", "gaussian")
"""What a reward may be."""

ROUNDS: Final = 3
"""Turns between the chances of the places and the scale of what is expected there."""

BYTES_AN_ENTRY: Final = 100
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
    rewards
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
    position_model, places, floor, trust
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
    ...     policy.see(options, np.array([0, 1], np.int32), float(ts), items)
    ...     policy.reward(options[1], 1, 1.0, float(ts), item=12)
    >>> policy.decide(options, k=1, seed=1, items=items).order.tolist()
    [1]
    """

    name: ClassVar[str] = "item_thompson"

    def __init__(
        self,
        features: int,
        *,
        rewards: str = "bernoulli",
        prior_rate: float = 0.1,
        prior_feature: int = 0,
        prior_strength: float = 100.0,
        half_life: float = 14 * 86_400.0,
        noise: float = 0.5,
        capacity: int = 100_000,
        draws: int = 32,
        seed: int = 7,
        position_model: str = "place",
        places: int = 20,
        floor: float = 0.05,
        trust: float = 20.0,
    ) -> None:
        if rewards not in REWARDS:
            raise ValueError(f"rewards must be one of {', '.join(REWARDS)}, not {rewards!r}")
        if draws < 1 or capacity < 1 or not prior_strength > 0 or not noise > 0:
            raise ValueError("draws and capacity must be 1 or more, prior_strength and noise above 0")
        if not 0 <= prior_feature < features:
            raise ValueError(f"prior_feature must be one of the {features} features, not {prior_feature!r}")
        self._examination = Examination(position_model, places=places, floor=floor, trust=trust)
        super().__init__(
            features,
            rewards=rewards,
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
        self._gaussian = rewards == "gaussian"
        self._prior_feature = prior_feature
        self._prior = (float(prior_strength), float(prior_rate), self._gaussian)
        self._noise = float(noise)
        self._capacity = capacity
        self._draws = draws
        self._seed = seed
        self._empty()

    def _empty(self) -> None:
        self._rows: dict[int, int] = {}
        self._sums: NDArray[np.float64] = np.zeros((64, 2))  # trials, rewards
        self._last: NDArray[np.float64] = np.full(64, -np.inf)
        self._places: NDArray[np.float64] = np.zeros((self._examination.places, SUMS))
        self._expected: NDArray[np.float64] = np.zeros(self._examination.places)
        self._decay = ForwardDecay(self.parameters["half_life"])
        self._newest = -math.inf
        self._folded = 0
        self._chances: NDArray[np.float64] = self._examination.prior.copy()
        self._stale = True

    @property
    def chances(self) -> NDArray[np.float64]:
        """How likely each place is to be looked at, against the first; valid until the next event."""
        if self._stale:
            examination = self._examination
            # from the prior each time: what is estimated follows from the sums alone
            self._chances[:] = examination.prior
            for _ in range(ROUNDS):
                place_weights(
                    self._places,
                    self._expected,
                    examination.mode,
                    examination.prior,
                    examination.floor,
                    examination.trust,
                    self._factor,
                    self._chances,
                )
            self._stale = False
        return self._chances

    def decide(self, features: Features, k: int, seed: int, items: Keys | None = None) -> Slate:
        """Choose the best `k` by one of the draws; `items` are needed."""
        features = self._checked(features)
        if items is None or len(items) != len(features):
            raise ValueError(f"{self.name}: the items' hashes are needed, one a candidate")
        k = min(k, len(features))
        order = np.empty(k, np.int32)
        propensities = np.empty(k)
        find = self._rows.get
        decide_items(
            plain(features[:, self._prior_feature], np.float32),
            np.array([find(key, -1) for key in items.tolist()], np.int64),
            self._sums,
            self._factor,
            *self._prior,
            self._noise,
            np.uint64((self._seed * 0xD1342543DE82EF95 + self._folded) & WORD),
            np.uint64(seed & WORD),
            self._draws,
            order,
            propensities,
        )
        return Slate(order, propensities, self._draws)

    def see(self, features: Features, positions: Places, ts: float, items: Keys | None = None) -> None:
        """Count a showing of each item, as far as its place is looked at."""
        if items is None:
            raise ValueError(f"{self.name}: the items' hashes are needed")
        scores = plain(self._checked(features)[:, self._prior_feature], np.float32)
        ts = float(ts)
        chances = self.chances
        weight = self._weight(ts)
        self._make_room(len(items))
        rows = np.array([self._row(key, ts) for key in items.tolist()], np.int64)
        fold_items(
            scores,
            rows,
            plain(positions, np.int32),
            weight,
            self._factor,
            *self._prior,
            chances,
            self._sums,
            self._places,
            self._expected,
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
        self._checked(features[None])
        if item == NO_KEY or not math.isfinite(value):
            return
        value = bounded(value)
        weight = self._weight(float(ts))
        self._make_room(1)
        row = self._row(item, ts)
        if not self._gaussian:
            if value < 0:
                self._sums[row, 0] -= weight * value
            value = min(max(value, 0.0), 1.0)
        self._sums[row, 1] += weight * value
        place = self._places[min(max(position, 0), self._examination.places - 1)]
        if first and value > 0:
            place[1] += weight
        place[2] += weight * value
        place[3] += weight * value * value
        place[4] += weight

    @property
    def _factor(self) -> float:
        """What turns sums into sums decayed until the newest event."""
        return 1.0 / self._decay.weight(self._newest) if self._folded else 1.0

    def _row(self, key: int, ts: float) -> int:
        """The row of an item, new if need be."""
        row = self._rows.get(key)
        if row is None:
            row = len(self._rows)
            self._rows[key] = row
            self._sums = grown(self._sums, row + 1)
            self._last = grown(self._last, row + 1)
            self._sums[row] = 0.0
            self._last[row] = -math.inf
        self._last[row] = max(self._last[row], ts)
        return row

    def _make_room(self, count: int) -> None:
        if len(self._rows) + count > self._capacity:
            self._drop(max(count, self._capacity // 10))

    def _drop(self, count: int) -> None:
        """Forget the items that were not seen for longest; of equals those of the smaller hashes."""
        keys = sorted(self._rows, key=lambda key: (self._last[self._rows[key]], key))[count:]
        rows = np.array([self._rows[key] for key in keys], np.int64)
        self._sums[: len(rows)] = self._sums[rows]
        self._last[: len(rows)] = self._last[rows]
        self._rows = {key: row for row, key in enumerate(keys)}

    def _weight(self, ts: float) -> float:
        rescaled = self._decay.advance(ts)
        if rescaled != 1.0:
            for array in (self._sums, self._places, self._expected):
                np.multiply(array, rescaled, out=array)
        self._newest = max(self._newest, ts)
        self._folded += 1
        self._stale = True
        return self._decay.weight(ts)

    def _parts(self) -> dict[str, Any]:
        size = len(self._rows)
        return {
            "items": np.array(list(self._rows), np.uint64),
            "sums": self._sums[:size].copy(),
            "last": self._last[:size].copy(),
            "places": self._places.copy(),
            "expected": self._expected.copy(),
            "landmark": self._decay.landmark,
            "newest": self._newest,
            "folded": self._folded,
        }

    def _fill(self, state: Mapping[str, Any]) -> None:
        self._empty()
        self._rows = {key: row for row, key in enumerate(np.asarray(state["items"], np.uint64).tolist())}
        size = len(self._rows)
        self._sums = grown(self._sums, size)
        self._last = grown(self._last, size)
        self._sums[:size] = state["sums"]
        self._last[:size] = state["last"]
        self._places[...] = state["places"]
        self._expected[...] = state["expected"]
        self._decay.landmark = float(state["landmark"])
        self._newest = float(state["newest"])
        self._folded = int(state["folded"])

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return self._sums.nbytes + self._last.nbytes + len(self._rows) * BYTES_AN_ENTRY + self._places.nbytes
