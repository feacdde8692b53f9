"""The one index of items that all models of a replica share, with what the catalogue says of each item."""

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_app.models.arrays import State, grown
from stream_app.models.base import Items, Times
from stream_app.models.ids import IdIndex

MAX_CATEGORIES = 4
"""Categories remembered of an item."""


class ItemIndex(IdIndex):
    """Item ids as small integers, and the newest catalogue facts of each.

    Parameters
    ----------
    capacity
        Most items held.
    on_evict
        Told the items (ndarray of int32) that are given up, before their integers go to other items.

    Attributes
    ----------
    available : ndarray of bool, shape (n,)
        Whether the item can be bought; True where the catalogue has not said.
    prices : ndarray of float32, shape (n,)
        Price, NaN where unknown.

    Examples
    --------
    >>> index = ItemIndex(capacity=100)
    >>> shoe = index.index("shoe", 10.0)
    >>> index.describe(shoe, 11.0, available=False, price=49.5, categories=("women", "shoes"), brand="Acme")
    >>> bool(index.available[shoe]), float(index.prices[shoe]), index.categories(shoe), index.brand(shoe)
    (False, 49.5, ('women', 'shoes'), 'Acme')
    """

    def __init__(self, capacity: int, on_evict: Callable[[Items], None] | None = None) -> None:
        super().__init__(capacity, on_evict)
        self.available: NDArray[np.bool_] = np.ones(64, np.bool_)
        self.prices: NDArray[np.float32] = np.full(64, np.nan, np.float32)
        self._described: Times = np.full(64, -np.inf)
        self._labels: dict[int, tuple[str, tuple[str, ...]]] = {}

    def describe(
        self,
        item: int,
        ts: float,
        *,
        available: bool = True,
        price: float | None = None,
        categories: tuple[str, ...] = (),
        brand: str | None = None,
    ) -> None:
        """Take the catalogue's facts of an item, unless newer ones are held.

        Parameters
        ----------
        item
            An integer of this index.
        ts
            Event time of the catalogue's word, seconds since the epoch.
        available, price, categories, brand
            The facts; at most `MAX_CATEGORIES` categories are kept.
        """
        if ts < self._described[item]:
            return
        self._described[item] = ts
        self.available[item] = available
        self.prices[item] = math.nan if price is None else price
        labels = (sys.intern(brand or ""), tuple(sys.intern(each) for each in categories[:MAX_CATEGORIES]))
        self._label(item, labels)

    def categories(self, item: int) -> tuple[str, ...]:
        """Categories of an item, in the catalogue's order; empty where unknown."""
        labels = self._labels.get(item)
        return labels[1] if labels else ()

    def brand(self, item: int) -> str:
        """Brand of an item, or the empty string."""
        labels = self._labels.get(item)
        return labels[0] if labels else ""

    def _label(self, item: int, labels: tuple[str, tuple[str, ...]]) -> None:
        self._labels.pop(item, None)
        if labels != ("", ()):
            self._labels[item] = labels

    def _add(self, name: str, ts: float) -> int:
        item = super()._add(name, ts)
        self._fit(item + 1)
        return item

    def _fit(self, length: int) -> None:
        self.available = grown(self.available, length, True)
        self.prices = grown(self.prices, length, np.nan)
        self._described = grown(self._described, length, -np.inf)

    def _give_up(self, numbers: list[int]) -> None:
        super()._give_up(numbers)
        self.available[numbers] = True
        self.prices[numbers] = np.nan
        self._described[numbers] = -np.inf
        for number in numbers:
            self._labels.pop(number, None)

    def state(self) -> State:
        """Ids, when they were touched, and the facts, as plain data."""
        size = self.size
        return {
            **super().state(),
            "available": self.available[:size].copy(),
            "prices": self.prices[:size].copy(),
            "described": self._described[:size].copy(),
            "labels": [[item, brand, list(names)] for item, (brand, names) in sorted(self._labels.items())],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the index that `state` was taken from.

        Raises
        ------
        ValueError
            If it was taken with another capacity.
        """
        super().restore(state)
        size = self.size
        self.available, self.prices = np.ones(64, np.bool_), np.full(64, np.nan, np.float32)
        self._described = np.full(64, -np.inf)
        self._fit(size)
        self.available[:size] = state["available"]
        self.prices[:size] = state["prices"]
        self._described[:size] = state["described"]
        self._labels = {}
        for item, brand, names in state["labels"]:
            self._label(int(item), (sys.intern(brand), tuple(sys.intern(name) for name in names)))

    def memory(self) -> int:
        """Bytes held, to within a few percent (names of categories and brands, shared by many, left out)."""
        facts = self.available.nbytes + self.prices.nbytes + self._described.nbytes
        return super().memory() + facts + 250 * len(self._labels)
