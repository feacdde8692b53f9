"""Items that a user viewed or bought before, by the probability of a repeat."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import (
    EMPTY_CANDIDATES,
    EMPTY_ITEMS,
    NO_ITEM,
    Candidates,
    Context,
    Items,
    Model,
    Observation,
    Scores,
    Times,
)
from stream_app.models.columns import grow, item_mask, look_up_scores
from stream_app.models.id_index import IdIndex
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels import repeats as kernels
from stream_app.models.kernels.topk import top_k
from stream_app.models.model_state import State
from topics.records import Kind, Reason

AGE_CLASSES = 8
"""Number of age classes: of a view by the clicks since (0, 1, 2, 3, 4-5, 6-8, 9-14, more), of a purchase by
`PURCHASE_AGE_EDGES`."""

COUNT_CLASSES = 3
"""Number of count classes: once, twice, more."""

_DAY = 86_400.0

PURCHASE_AGE_EDGES = np.array([1, 3, 7, 14, 28, 56, 112]) * _DAY
"""Seconds since the last purchase at which the next age class begins."""

MAX_PURCHASES = 32
"""Last purchased items stored per user."""

_AGE_CLASS = np.array([0, 1, 2, 3, 4, 4, 5, 5, 5, *[6] * 6], np.int64)


_NO_SCORES = np.zeros(0, np.float32)


class Repeats(Model):
    """Probability of viewing or buying an item again, by age and count.

    View again: each click is one trial of every earlier item of the session, by the age and count of its views; it
    is a success of the clicked item. The share of successes is the score of an item of the context.

    Buy again: each purchase is one trial of every item of the user's earlier orders, by the age and count of its
    purchases; it is a success of the purchased item. The share of successes is the score of an item that the user has
    bought. An item with both scores has the larger one. (Lists leave out purchased items unless
    ``HEADRACE_BUY_AGAIN`` allows them.)

    Parameters
    ----------
    prior
        Trials that each class starts with, at the overall share.
    max_users
        Users whose purchases are stored.

    References
    ----------
    Anderson et al.: The dynamics of repeat consumption, WWW 2014 (recency and frequency explain what is repeated).
    Bhagat et al.: Buy it again: modeling repeat purchase recommendations, KDD 2018.

    Examples
    --------
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> model = Repeats(index)
    >>> seen = np.array([shoe, sock], np.int32)
    >>> for _ in range(20):
    ...     model.learn(Observation("ann", shoe, 2.0, Kind.VIEW, 1.0, (), 1, True, seen, np.arange(2.0)))
    >>> context = Context("bob", seen, np.arange(2.0), 0, (), 2.0)
    >>> [index.id_of(item) for item in model.candidates(context, 10).items]
    ['shoe', 'sock']
    """

    name: ClassVar[str] = "repeats"
    additive: ClassVar[bool] = False
    proposes_new_items: ClassVar[bool] = False

    def __init__(
        self, index: ItemIndex | None = None, *, prior: float = 20.0, max_users: int = 200_000
    ) -> None:
        self._index = self._shared_or_own(index)
        self.prior = prior
        self.max_users = max_users
        self._reset()

    def _reset(self) -> None:
        # axes: view or purchase, age class, count class
        self._trials: NDArray[np.float64] = np.zeros((2, AGE_CLASSES, COUNT_CLASSES))
        self._successes: NDArray[np.float64] = np.zeros((2, AGE_CLASSES, COUNT_CLASSES))
        self._is_known: NDArray[np.bool_] = np.zeros(64, np.bool_)
        # purchases of each user: item, last time, count
        self._users = IdIndex(self.max_users, self._drop_users)
        self._items: Items = np.full((64, MAX_PURCHASES), NO_ITEM, np.int32)
        self._times: Times = np.zeros((64, MAX_PURCHASES))
        self._counts: NDArray[np.int8] = np.zeros((64, MAX_PURCHASES), np.int8)  # at most COUNT_CLASSES

    def learn(self, observation: Observation) -> None:
        """Count a trial of each earlier item of the session, or of the user's orders."""
        if observation.weight <= 0:
            return
        item, previous = observation.item, observation.previous_items
        if self._index.size > len(self._is_known):
            self._is_known = grow(self._is_known, self._index.size)
        if observation.kind is Kind.PURCHASE:
            self._is_known[item] = True
            self._is_known[previous] = True
            self._learn_purchase(observation.user, item, observation.ts)
        else:
            kernels.count_views(
                previous, item, self._is_known, _AGE_CLASS, self._trials[0], self._successes[0]
            )

    def _learn_purchase(self, user: str, item: int, ts: float) -> None:
        row = self._users.index(user, ts)
        self._items = grow(self._items, row + 1, NO_ITEM)
        self._times = grow(self._times, row + 1)
        self._counts = grow(self._counts, row + 1)
        # other lines of the same order are not trials
        present, ages, times = self._purchases(row, ts, strictly_earlier=True)
        self._count_trials(1, present, ages, times, item)
        items = self._items[row]
        slots = np.flatnonzero(items == item)
        slot = int(slots[0]) if len(slots) else self._free_slot(row)
        if items[slot] != item:
            items[slot], self._times[row, slot], self._counts[row, slot] = item, ts, 0
        self._times[row, slot] = max(ts, self._times[row, slot])
        self._counts[row, slot] = min(COUNT_CLASSES, self._counts[row, slot] + 1)

    def _free_slot(self, row: int) -> int:
        """A free slot of a user, or that of the item bought longest ago."""
        free = np.flatnonzero(self._items[row] == NO_ITEM)
        if len(free):
            return int(free[0])
        return int(np.lexsort((self._index.hashes[self._items[row]], self._times[row]))[0])

    def _purchases(
        self, row: int, now: float, *, strictly_earlier: bool = False
    ) -> tuple[Items, NDArray[np.int64], NDArray[np.int64]]:
        """Purchases of a user (before `now` if `strictly_earlier`), with age and count classes."""
        present = self._items[row] != NO_ITEM
        if strictly_earlier:
            present &= self._times[row] < now
        ages = np.searchsorted(PURCHASE_AGE_EDGES, now - self._times[row, present], side="right")
        return self._items[row, present], ages, self._counts[row, present].astype(np.int64) - 1

    def _count_trials(
        self, channel: int, items: Items, ages: NDArray[np.int64], times: NDArray[np.int64], chosen: int
    ) -> None:
        np.add.at(self._trials[channel], (ages, times), 1.0)
        is_repeat = items == chosen
        np.add.at(self._successes[channel], (ages[is_repeat], times[is_repeat]), 1.0)

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose the items of the context and of the user's purchases."""
        items, scores, is_purchase = self._scored_items(context)
        if not len(items):
            return EMPTY_CANDIDATES
        best, values = np.empty(k, np.int32), np.empty(k, np.float32)
        n = top_k(items, scores, len(items), self._index.hashes, k, best, values)
        if is_purchase is None:
            return Candidates(best[:n], values[:n], best[:n])
        evidence = np.where(np.isin(best[:n], items[is_purchase]), np.int32(NO_ITEM), best[:n])
        return Candidates(best[:n], values[:n], evidence)

    def score(self, context: Context, items: Items) -> Scores:
        """Probability that the user views or buys each item again; 0 if they never did."""
        known_items, scores, _ = self._scored_items(context)
        return look_up_scores(known_items, scores, items, self._index.size)

    def explain(self, context: Context, item: int, evidence: int) -> Reason:
        """Bought before, or viewed before."""
        if evidence == NO_ITEM:
            return Reason("bought_before")
        return Reason("viewed_before", item_id=self._index.id_of(item))

    def forget_user(self, user: str) -> None:
        """Drop the purchases of a user."""
        super().forget_user(user)
        self._users.forget(user)

    def forget_items(self, items: Items) -> None:
        """Stop proposing the items."""
        self._is_known[items[items < len(self._is_known)]] = False
        removed_mask = item_mask(items, self._index.size + 1)  # the last stands for NO_ITEM
        self._items[removed_mask[self._items]] = NO_ITEM

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return super().memory() + self._users.memory()

    def _drop_users(self, rows: Items) -> None:
        self._items[rows] = NO_ITEM

    def _scored_items(self, context: Context) -> tuple[Items, Scores, NDArray[np.bool_] | None]:
        """Items, their probabilities, and whether each is that of a purchase; None if the user bought nothing."""
        if not context.user:
            # a list without a user has no repeats
            return EMPTY_ITEMS, _NO_SCORES, None
        n = len(context.items)
        viewed, scores = np.empty(n, np.int32), np.empty(n, np.float32)
        n = kernels.score_views(
            context.items,
            self._is_known,
            _AGE_CLASS,
            self._trials[0],
            self._successes[0],
            self.prior,
            viewed,
            scores,
        )
        viewed, scores = viewed[:n], scores[:n]
        row = self._users.find(context.user)
        if row < 0:
            return viewed, scores, None
        purchased, *classes = self._purchases(row, context.now)
        items = np.concatenate((viewed, purchased))
        scores = np.concatenate((scores, self._probabilities(1, *classes)))
        is_purchase = np.arange(len(items)) >= len(viewed)
        # the larger of two scores; the sort is stable, so that the view comes first in a tie
        order = np.argsort(-scores, kind="stable")
        first = order[np.unique(items[order], return_index=True)[1]]
        return items[first], scores[first], is_purchase[first]

    def _probabilities(self, channel: int, ages: NDArray[np.int64], times: NDArray[np.int64]) -> Scores:
        share = (self._successes[channel].sum() + 1.0) / (self._trials[channel].sum() + 20.0)
        trials, successes = self._trials[channel, ages, times], self._successes[channel, ages, times]
        return np.asarray((successes + self.prior * share) / (trials + self.prior), np.float32)

    def _get_state(self) -> State:
        n_users = self._users.size
        present = self._items[:n_users] != NO_ITEM
        return {
            "trials": self._trials.copy(),
            "successes": self._successes.copy(),
            "is_known": self._is_known.copy(),
            "users": self._users.state(),
            "present": present,
            "items": self._items[:n_users][present],
            "times": self._times[:n_users][present],
            "counts": self._counts[:n_users][present],
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._trials[:], self._successes[:] = state["trials"], state["successes"]
        self._is_known = np.array(state["is_known"])
        self._users.restore(state["users"])
        present = state["present"]
        self._items = grow(self._items, len(present), NO_ITEM)
        self._times = grow(self._times, len(present))
        self._counts = grow(self._counts, len(present))
        for name, array in (("items", self._items), ("times", self._times), ("counts", self._counts)):
            array[: len(present)][present] = state[name]
