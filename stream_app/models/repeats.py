"""What a shopper looked at or bought before, by how likely it is that they come back to it."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_app.models import kernels
from stream_app.models.arrays import State, grown
from stream_app.models.base import EMPTY_CANDIDATES, Candidates, Context, Items, Model, Observation, Scores
from stream_app.models.items import ItemIndex
from topics.records import Kind, Reason

AGES = 8
"""Classes of clicks since the last time: 0, 1, 2, 3, 4-5, 6-8, 9-14, more."""

TIMES = 3
"""Classes of how often: once, twice, more."""

_AGE_CLASS = np.array([0, 1, 2, 3, 4, 4, 5, 5, 5, *[6] * 6], np.int64)


class Repeats(Model):
    """View again and buy again, from the counts of who did.

    For each click after others it is counted, by how long ago and how often each earlier item of the session was
    looked at, whether the click came back to it. The share of those who did is the score of an item of the context,
    a chance between 0 and 1. Purchases are counted apart: they tell how likely it is that something looked at is
    bought, or bought again.

    Parameters
    ----------
    index
        The items.
    prior
        Trials that a class starts with, at the share of all.

    References
    ----------
    Anderson et al.: The dynamics of repeat consumption, WWW 2014 (recency and frequency explain what is repeated).

    Examples
    --------
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> model = Repeats(index)
    >>> seen = np.array([shoe, sock], np.int32)
    >>> for _ in range(20):
    ...     model.learn_one(Observation("ann", shoe, 2.0, Kind.VIEW, 1.0, (), 1, True, seen, np.arange(2.0)))
    >>> context = Context("bob", seen, np.arange(2.0), 0, (), 2.0)
    >>> [index.id_of(item) for item in model.candidates(context, 10).items]
    ['shoe', 'sock']
    """

    name: ClassVar[str] = "repeats"
    additive: ClassVar[bool] = False
    discovers: ClassVar[bool] = False

    def __init__(self, index: ItemIndex, *, prior: float = 20.0) -> None:
        self._index = index
        self.prior = prior
        self._clear()

    def _clear(self) -> None:
        # viewed or bought next, by age, by times: tried and taken
        self._tried: NDArray[np.float64] = np.zeros((2, AGES, TIMES))
        self._taken: NDArray[np.float64] = np.zeros((2, AGES, TIMES))
        self._known: NDArray[np.bool_] = np.zeros(64, np.bool_)

    def learn_one(self, observation: Observation) -> None:
        """Count for each earlier item of the session whether this click came back to it."""
        if observation.weight <= 0:
            return
        previous = observation.previous_items
        self._known = grown(self._known, max(observation.item, int(previous.max(initial=0))) + 1)
        self._known[observation.item] = True
        self._known[previous] = True
        if not len(previous):
            return
        items, ages, times = _distinct(previous)
        bought = int(observation.kind is Kind.PURCHASE)
        np.add.at(self._tried[bought], (ages, times), 1.0)
        again = items == observation.item
        np.add.at(self._taken[bought], (ages[again], times[again]), 1.0)

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose the context's own items."""
        items, scores = self._scored(context)
        if not len(items):
            return EMPTY_CANDIDATES
        best, values = np.empty(k, np.int32), np.empty(k, np.float32)
        n = kernels.select(items, scores, len(items), self._index.hashes, k, best, values)
        return Candidates(best[:n], values[:n], best[:n].copy())

    def score(self, context: Context, items: Items) -> Scores:
        """Chance of each item of the context that the shopper comes back to it; 0 for others."""
        known, scores = self._scored(context)
        everything = np.zeros(self._index.size + 1, np.float32)
        everything[known] = scores
        return everything[np.where((items >= 0) & (items < self._index.size), items, self._index.size)]

    def explain(self, context: Context, item: int, evidence: int) -> Reason:  # noqa: ARG002
        """The shopper looked at it before."""
        return Reason("viewed_before", item_id=self._index.id_of(item))

    def forget_items(self, items: Items) -> None:
        """Propose the items no more."""
        self._known[items[items < len(self._known)]] = False

    def _scored(self, context: Context) -> tuple[Items, Scores]:
        """The context's known items, but for the one that a list for nobody is about, and their chances."""
        held = context.items[(context.items >= 0) & (context.items < len(self._known))]
        held = held[self._known[held]]
        if not len(held) or not context.user:
            return held[:0], np.zeros(0, np.float32)
        items, ages, times = _distinct(held)
        share = (self._taken[0].sum() + 1.0) / (self._tried[0].sum() + 20.0)
        tried, taken = self._tried[0, ages, times], self._taken[0, ages, times]
        return items, ((taken + self.prior * share) / (tried + self.prior)).astype(np.float32)

    def _parts(self) -> State:
        return {"tried": self._tried.copy(), "taken": self._taken.copy(), "known": self._known.copy()}

    def _fill(self, state: Mapping[str, Any]) -> None:
        self._tried[:], self._taken[:] = state["tried"], state["taken"]
        self._known = np.array(state["known"])


def _distinct(items: Items) -> tuple[Items, NDArray[np.int64], NDArray[np.int64]]:
    """Distinct items, newest first, with the classes of their age and of how often they come."""
    newest_first = items[::-1]
    distinct, first, counts = np.unique(newest_first, return_index=True, return_counts=True)
    order = np.argsort(first)
    back = first[order]
    ages = np.where(back < len(_AGE_CLASS), _AGE_CLASS[np.minimum(back, len(_AGE_CLASS) - 1)], AGES - 1)
    return distinct[order], ages, np.minimum(counts[order], TIMES) - 1
