"""The index of items that all models of a replica share, with the catalog facts of each item."""

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import NO_ITEM, Items, Times
from stream_app.models.columns import grow
from stream_app.models.decay_clock import DecayClock
from stream_app.models.id_index import IdIndex
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes
from topics.events import CatalogItem

MAX_CATEGORIES = 4
"""Categories stored per item."""

MAX_LABELS = 100_000
"""Largest number of distinct categories, brands and sellers."""


class Labels(NamedTuple):
    """Categories (widest first), brand and seller of an item; empty if unknown."""

    categories: tuple[str, ...] = ()
    brand: str = ""
    seller: str = ""


NO_LABELS = Labels()


class EntryChange(NamedTuple):
    """What an entry of the catalog changed."""

    item: int  # its index
    is_newer: bool  # whether the entry is newer than the one before it
    is_stale: bool  # whether the availability of a known item changed, so that lists with it are stale


class ItemIndex(IdIndex):
    """Item ids as small integers, and the newest catalog facts of each.

    Parameters
    ----------
    capacity
        Largest number of items.
    on_evict
        Called with the evicted items (ndarray of int32) before their integers go to other items.

    Attributes
    ----------
    available : ndarray of bool, shape (n,)
        Whether the item can be bought; True if the catalog has no entry.
    prices : ndarray of float32, shape (n,)
        Price, NaN if unknown.
    category_codes : ndarray of int32, shape (n, MAX_CATEGORIES)
        Code of each category, widest first; `NO_ITEM` beyond the last.
    brand_codes, seller_codes : ndarray of int32, shape (n,)
        Code of the brand and of the seller; `NO_ITEM` if unknown.
    first_seen : ndarray of float64, shape (n,)
        Event time of the first interaction, seconds since the epoch; inf before it.
    any_described : bool
        Whether any item has a catalog entry.
    decay_clock
        The time by which the counts of items lose weight: one for all models on the index, no part of its state.

    Examples
    --------
    >>> index = ItemIndex(capacity=100)
    >>> shoe = index.index("shoe", 10.0)
    >>> index.describe(shoe, 11.0, available=False, price=49.5, categories=("women", "shoes"), brand="Acme")
    True
    >>> bool(index.available[shoe]), float(index.prices[shoe]), index.categories(shoe), index.brand(shoe)
    (False, 49.5, ('women', 'shoes'), 'Acme')
    """

    def __init__(self, capacity: int, on_evict: Callable[[Items], None] | None = None) -> None:
        super().__init__(capacity, on_evict)
        self.decay_clock = DecayClock()
        self._reset_facts()

    def _reset_facts(self) -> None:
        self.available: NDArray[np.bool_] = np.ones(64, np.bool_)
        self.prices: NDArray[np.float32] = np.full(64, np.nan, np.float32)
        self.category_codes: Items = np.full((64, MAX_CATEGORIES), NO_ITEM, np.int32)
        self.brand_codes: Items = np.full(64, NO_ITEM, np.int32)
        self.seller_codes: Items = np.full(64, NO_ITEM, np.int32)
        self.first_seen: Times = np.full(64, np.inf)
        self._facts_time: Times = np.full(64, -np.inf)
        self.any_described = False
        self._labels: dict[int, Labels] = {}
        self._codes = IdIndex(MAX_LABELS, self._forget_codes)

    def describe(
        self,
        item: int,
        ts: float,
        *,
        available: bool = True,
        price: float | None = None,
        categories: tuple[str, ...] = (),
        brand: str | None = None,
        seller: str | None = None,
    ) -> bool:
        """Store the catalog facts of an item, unless newer ones are stored.

        Parameters
        ----------
        item
            An integer of this index.
        ts
            Event time of the catalog entry, seconds since the epoch.
        available, price, categories, brand, seller
            The facts; at most `MAX_CATEGORIES` categories are kept.

        Returns
        -------
        bool
            False if newer facts are stored; nothing has changed then.
        """
        if ts < self._facts_time[item]:
            return False
        self.any_described = True
        self._facts_time[item] = ts
        self.available[item] = available
        self.prices[item] = math.nan if price is None else price
        self._set_labels(
            item,
            Labels(
                tuple(sys.intern(each) for each in categories[:MAX_CATEGORIES]),
                sys.intern(brand or ""),
                sys.intern(seller or ""),
            ),
        )
        return True

    def learn_entry(self, entry: CatalogItem, *, may_add: bool) -> EntryChange | None:
        """Learn the catalog entry of an item; None if the item is unknown, and cannot be added.

        A full index adds none: a catalog larger than the index would evict the items that users interact with.

        Parameters
        ----------
        may_add
            Whether an unknown item gets a place.
        """
        item = self.find(entry.item_id)
        is_known = item >= 0
        was_available = is_known and bool(self.available[item])
        if not is_known:
            if not may_add or len(self) >= self.capacity:
                return None
            item = self.index(entry.item_id, entry.time)
        is_newer = self.describe(
            item,
            entry.time,
            available=entry.available,
            price=entry.price,
            categories=tuple(entry.categories),
            brand=entry.brand,
            seller=entry.seller,
        )
        return EntryChange(item, is_newer, is_known and bool(self.available[item]) != was_available)

    def categories(self, item: int) -> tuple[str, ...]:
        """Categories of an item in the order of the catalog; empty if unknown."""
        labels = self._labels.get(item)
        return labels.categories if labels else ()

    def with_categories(self, segments: tuple[str, ...], item: int) -> tuple[str, ...]:
        """Add the categories of an item to segments, as ``category:name``."""
        categories = self.categories(item)
        if not categories:
            return segments
        return segments + tuple(f"category:{name}" for name in categories)

    def brand(self, item: int) -> str:
        """Brand of an item, or the empty string."""
        labels = self._labels.get(item)
        return labels.brand if labels else ""

    def seller(self, item: int) -> str:
        """Seller of an item, or the empty string."""
        labels = self._labels.get(item)
        return labels.seller if labels else ""

    def code(self, kind: str, name: str) -> int:
        """Code of a ``category``, ``brand`` or ``seller``; `NO_ITEM` if no item has it."""
        return self._codes.find(f"{kind}:{name}")

    def update_first_seen(self, item: int, ts: float) -> None:
        """Update the time of the first interaction with an item."""
        self.first_seen[item] = min(self.first_seen[item], ts)

    def _set_labels(self, item: int, labels: "Labels") -> None:
        self._labels.pop(item, None)
        if labels != NO_LABELS:
            self._labels[item] = labels
        # by the time of the catalog entry, so that labels that the catalog no longer uses are evicted first
        ts = float(self._facts_time[item])
        codes = [self._get_code("category", name, ts) for name in labels.categories]
        self.category_codes[item] = codes + [NO_ITEM] * (MAX_CATEGORIES - len(codes))
        self.brand_codes[item] = self._get_code("brand", labels.brand, ts)
        self.seller_codes[item] = self._get_code("seller", labels.seller, ts)

    def _get_code(self, kind: str, name: str, ts: float) -> int:
        return self._codes.index(f"{kind}:{name}", ts) if name else NO_ITEM

    def _forget_codes(self, codes: Items) -> None:
        for column in (self.category_codes, self.brand_codes, self.seller_codes):
            column[np.isin(column, codes)] = NO_ITEM

    def _add(self, name: str, ts: float) -> int:
        item = super()._add(name, ts)
        self._reserve(item + 1)
        return item

    def _reserve(self, length: int) -> None:
        self.available = grow(self.available, length, True)
        self.prices = grow(self.prices, length, np.nan)
        self._facts_time = grow(self._facts_time, length, -np.inf)
        self.category_codes = grow(self.category_codes, length, NO_ITEM)
        self.brand_codes = grow(self.brand_codes, length, NO_ITEM)
        self.seller_codes = grow(self.seller_codes, length, NO_ITEM)
        self.first_seen = grow(self.first_seen, length, np.inf)

    def _evict(self, numbers: list[int]) -> None:
        super()._evict(numbers)
        self.available[numbers] = True
        self.prices[numbers] = np.nan
        self._facts_time[numbers] = -np.inf
        self.category_codes[numbers] = NO_ITEM
        self.brand_codes[numbers] = self.seller_codes[numbers] = NO_ITEM
        self.first_seen[numbers] = np.inf
        for number in numbers:
            self._labels.pop(number, None)

    def state(self) -> State:
        """Ids, times of last use, and catalog facts, as plain data."""
        size = self.size
        return {
            **super().state(),
            "available": self.available[:size].copy(),
            "prices": self.prices[:size].copy(),
            "facts_time": self._facts_time[:size].copy(),
            "first_seen": self.first_seen[:size].copy(),
            "labels": [
                [item, list(each.categories), each.brand, each.seller]
                for item, each in sorted(self._labels.items())
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load the result of `state`, also of an index with another capacity.

        Raises
        ------
        ValueError
            If it has more items than this index may hold.
        """
        n_items = len(state["ids"]) - len(state["free"])
        if n_items > self.capacity:
            raise ValueError(f"the index holds {self.capacity} items, the state has {n_items}")
        super().restore({**state, "capacity": self.capacity})
        size = self.size
        self._reset_facts()
        self._reserve(size)
        self.available[:size] = state["available"]
        self.prices[:size] = state["prices"]
        self._facts_time[:size] = state["facts_time"]
        self.any_described = bool((self._facts_time > -np.inf).any())
        self.first_seen[:size] = state["first_seen"]
        for item, categories, brand, seller in state["labels"]:
            names = tuple(sys.intern(name) for name in categories)
            self._set_labels(int(item), Labels(names, sys.intern(brand), sys.intern(seller)))

    def memory(self) -> int:
        """Bytes held, to within a few percent, without the names of labels, which items share."""
        columns = (
            self.available,
            self.prices,
            self.category_codes,
            self.brand_codes,
            self.seller_codes,
            self.first_seen,
            self._facts_time,
        )
        facts = resident_bytes(columns) + self._codes.memory()
        return super().memory() + facts + 250 * len(self._labels)
