"""A bounded pool of the items that shoppers touch lately and again: where a model cannot look at all items."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Items
from stream_app.models.kernels import shared as kernels
from stream_app.models.model_state import State, grown


class ItemPool:
    """Items kept by the clock rule: one touched again since the hand last passed is passed over once.

    Parameters
    ----------
    room
        Most items.

    Attributes
    ----------
    items : ndarray of int32, shape (room,)
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
    ...     pool.keep(item)
    >>> pool.items.tolist()
    [1, 3]
    """

    def __init__(self, room: int) -> None:
        self.items: Items = np.zeros(room, np.int32)
        self.size = 0
        self._recent: NDArray[np.bool_] = np.zeros(room, np.bool_)
        self._places: NDArray[np.int32] = np.zeros(64, np.int32)
        self._hand = 0

    def keep(self, item: int) -> None:
        """Note that an item was touched; it is in the pool then."""
        if item >= len(self._places):
            self._places = grown(self._places, item + 1)
        self._hand, self.size = kernels.remember(
            item, self._hand, self.size, self.items, self._places, self._recent
        )

    def forget_items(self, items: Items) -> None:
        """Take items out."""
        held = items[items < len(self._places)]
        if not self._places[held].any():
            return
        kept = ~np.isin(self.items[: self.size], held)
        pool, recent = self.items[: self.size][kept], self._recent[: self.size][kept]
        # the hand stays on the item it pointed at, or goes on to the next that is left
        hand = int(np.count_nonzero(kept[: self._hand]))
        self._places[held] = 0
        self._fill(pool, recent, hand)

    def state(self) -> State:
        """What is held, copied."""
        return {
            "items": self.items[: self.size].copy(),
            "recent": self._recent[: self.size].copy(),
            "hand": self._hand,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take what `state` gave into an empty pool."""
        items = state["items"]
        self._places = grown(self._places, int(items.max(initial=0)) + 1)
        self._fill(items, state["recent"], int(state["hand"]))

    def memory(self) -> int:
        """Bytes held."""
        return self.items.nbytes + self._recent.nbytes + self._places.nbytes

    def _fill(self, items: Items, recent: NDArray[np.bool_], hand: int) -> None:
        self.size = len(items)
        self.items[: self.size] = items
        self._recent[:] = False
        self._recent[: self.size] = recent
        self._places[items] = np.arange(1, self.size + 1)
        self._hand = hand if hand < self.size else 0
