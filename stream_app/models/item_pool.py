"""A bounded pool of recently and repeatedly used items, for models that cannot scan all items."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Items
from stream_app.models.columns import grow
from stream_app.models.kernels.item_pool import insert_by_clock
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes


class ItemPool:
    """Items kept by the clock rule: an item added again since the hand passed it survives the next pass.

    Parameters
    ----------
    capacity
        Largest number of items.

    Attributes
    ----------
    items : ndarray of int32, shape (capacity,)
        The first `size` are in the pool.
    size
        Items in the pool.

    References
    ----------
    Corbató: A paging experiment with the Multics system, 1968 (the clock, or second-chance, rule).

    Examples
    --------
    >>> pool = ItemPool(2)
    >>> for item in (1, 2, 1, 3):
    ...     pool.add(item)
    >>> pool.items.tolist()
    [1, 3]
    """

    def __init__(self, capacity: int) -> None:
        self.items: Items = np.zeros(capacity, np.int32)
        self.size = 0
        self._referenced: NDArray[np.bool_] = np.zeros(capacity, np.bool_)
        self._slots: NDArray[np.int32] = np.zeros(64, np.int32)
        self._hand = 0

    def add(self, item: int) -> None:
        """Add an item, or mark it as used again."""
        if item >= len(self._slots):
            self._slots = grow(self._slots, item + 1)
        self._hand, self.size = insert_by_clock(
            item, self._hand, self.size, self.items, self._slots, self._referenced
        )

    def forget_items(self, items: Items) -> None:
        """Remove items."""
        in_range = items[items < len(self._slots)]
        if not self._slots[in_range].any():
            return
        keep_mask = ~np.isin(self.items[: self.size], in_range)
        pool, referenced = self.items[: self.size][keep_mask], self._referenced[: self.size][keep_mask]
        # the hand stays on its item, or moves to the next remaining one
        hand = int(np.count_nonzero(keep_mask[: self._hand]))
        self._slots[in_range] = 0
        self._set_contents(pool, referenced, hand)

    def state(self) -> State:
        """A copy of the pool, as plain data."""
        return {
            "items": self.items[: self.size].copy(),
            "referenced": self._referenced[: self.size].copy(),
            "hand": self._hand,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load the result of `state` into an empty pool."""
        items = state["items"]
        self._slots = grow(self._slots, int(items.max(initial=0)) + 1)
        self._set_contents(items, state["referenced"], int(state["hand"]))

    def memory(self) -> int:
        """Bytes held."""
        return resident_bytes((self.items, self._referenced, self._slots))

    def _set_contents(self, items: Items, referenced: NDArray[np.bool_], hand: int) -> None:
        self.size = len(items)
        self.items[: self.size] = items
        self._referenced[:] = False
        self._referenced[: self.size] = referenced
        self._slots[items] = np.arange(1, self.size + 1)
        self._hand = hand if hand < self.size else 0
