"""Choice rate of each item relative to the rate expected at its ranks."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.experiment.kernels.item_rates import choice_rates
from stream_app.models.base import Items
from stream_app.models.columns import grow
from stream_app.models.decay import ForwardDecay
from stream_app.models.decay_clock import DecayClock
from stream_app.models.model_state import Restorable, State
from stream_app.models.resident import resident_bytes
from topics.records import NON_POSITIVE, Reward

N_POSITIONS: Final = 50
"""Ranks with sums of their own; lower ones count as the last."""

POSITION_PRIOR_STRENGTH: Final = 20.0
"""Impressions that the prior of a rank counts for; its rate is one choice in as many impressions."""


class ItemRates(Restorable):
    """Choices over expected choices of each item, with decay.

    The expected choices of an impression are the choice rate of its rank, so a low rank does not lower the rate of
    an item. The rate of an item is choices over expected choices, both with `prior` added.

    Parameters
    ----------
    half_life
        Seconds in which an event loses half its weight.
    prior
        Choices, and expected choices, that an item starts with: its rate starts at 1.
    clock
        The time by which events lose weight; event time by default.

    References
    ----------
    Zhang, Jones: Comparing click logs and editorial labels for training query rewriting, WWW 2007 (clicks over
    expected clicks).

    Examples
    --------
    >>> rates = ItemRates()
    >>> seen = np.array([0, 1], np.int32)
    >>> for at in range(100):
    ...     rates.observe_impressions(seen, (0, 1), float(at))
    ...     rates.observe_choice(1, 1, float(at))
    >>> low, high = rates.rate(seen)
    >>> bool(low < 1 < high)
    True
    """

    name: Final = "item_rates"

    def __init__(
        self, half_life: float = 7 * 86_400.0, prior: float = 3.0, clock: DecayClock | None = None
    ) -> None:
        self._parameters = {"half_life": half_life, "prior": prior}
        self._prior = prior
        self._clock = clock
        self._reset()

    def _reset(self) -> None:
        self._decay = ForwardDecay(self._parameters["half_life"], self._clock)
        self._newest = 0.0
        self._chosen: NDArray[np.float64] = np.zeros(64)
        self._expected: NDArray[np.float64] = np.zeros(64)
        self._impressions_by_rank: NDArray[np.float64] = np.zeros(N_POSITIONS)
        self._choices_by_rank: NDArray[np.float64] = np.zeros(N_POSITIONS)

    def on_reaction(self, reward: Reward, item: int) -> None:
        """Learn the choice of an item, by its index; negative if unknown."""
        # a later reaction to the same impression (a cart, a purchase) is not another choice
        if item >= 0 and reward.kind not in NON_POSITIVE and reward.first_positive:
            self.observe_choice(item, reward.position, reward.ts)

    def observe_impressions(
        self, items: Items, positions: Sequence[int] | NDArray[np.int32], ts: float
    ) -> None:
        """Learn impressions with their ranks, from 0."""
        weight = self._weight(ts)
        ranks = np.minimum(np.asarray(positions, np.int64), N_POSITIONS - 1)
        np.add.at(self._impressions_by_rank, ranks, weight)
        prior_strength = POSITION_PRIOR_STRENGTH * self._newest
        expected_rates = (self._choices_by_rank[ranks] + prior_strength / POSITION_PRIOR_STRENGTH) / (
            self._impressions_by_rank[ranks] + prior_strength
        )
        is_known = items >= 0
        if is_known.any():
            self._ensure_capacity(int(items.max()) + 1)
            np.add.at(self._expected, items[is_known], weight * expected_rates[is_known])

    def observe_choice(self, item: int, position: int, ts: float) -> None:
        """Learn a choice with its rank, from 0."""
        weight = self._weight(ts)
        self._choices_by_rank[min(position, N_POSITIONS - 1)] += weight
        self._ensure_capacity(item + 1)
        self._chosen[item] += weight

    @property
    def n_choices(self) -> float:
        """Decayed number of choices, of all items."""
        return float(self._choices_by_rank.sum()) / self._newest if self._newest else 0.0

    def rate(self, items: Items) -> NDArray[np.float64]:
        """Choices over expected choices of some items, shape (n,); 1 is the average."""
        out = np.empty(len(items))
        # sums are relative to the landmark; the prior is scaled to the weight of the newest event
        choice_rates(items, self._chosen, self._expected, self._prior * self._newest, out)
        return out

    def forget_items(self, items: Items) -> None:
        """Drop the data of items."""
        in_range = items[items < len(self._expected)]
        self._chosen[in_range] = self._expected[in_range] = 0.0

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        return self.name, self._parameters

    def _get_state(self) -> State:
        return {
            "landmark": self._decay.landmark,
            "newest": self._newest,
            "chosen": self._chosen.copy(),
            "expected": self._expected.copy(),
            "impressions_by_rank": self._impressions_by_rank.copy(),
            "choices_by_rank": self._choices_by_rank.copy(),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._decay.landmark = float(state["landmark"])
        self._newest = float(state["newest"])
        self._chosen, self._expected = np.array(state["chosen"]), np.array(state["expected"])
        self._impressions_by_rank, self._choices_by_rank = (
            np.array(state["impressions_by_rank"]),
            np.array(state["choices_by_rank"]),
        )

    def memory(self) -> int:
        """Memory in bytes."""
        return resident_bytes((self._chosen, self._expected)) + 2 * self._impressions_by_rank.nbytes

    def _weight(self, ts: float) -> float:
        factor = self._decay.advance(ts)
        if factor != 1.0:
            for sums in (self._chosen, self._expected, self._impressions_by_rank, self._choices_by_rank):
                np.multiply(sums, factor, out=sums)
            self._newest *= factor
        weight = self._decay.weight(ts)
        self._newest = max(self._newest, weight)
        return weight

    def _ensure_capacity(self, size: int) -> None:
        if size > len(self._expected):
            self._chosen = grow(self._chosen, size)
            self._expected = grow(self._expected, size)
