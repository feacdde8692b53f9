"""Bounded rows of weighted items: what each row (an item, a query, a word) leads to."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Items
from stream_app.models.kernels.links import add_weight
from stream_app.models.kernels.session_tails import drop_items
from stream_app.models.model_state import State, grow


class Links:
    """For each row the items it leads to, with weights that add up; a full row gives up its weakest.

    Parameters
    ----------
    width
        Most items of a row.

    Attributes
    ----------
    items : ndarray of int32, shape (n, width)
        In the order they came; beyond the row's size, anything.
    weights : ndarray of float64, shape (n, width)
        Their weights.
    sizes : ndarray of int32, shape (n,)
        Items of each row.

    Examples
    --------
    >>> links, ties = Links(width=2), np.arange(9, dtype=np.uint64)
    >>> links.reserve(4)
    >>> for item, weight in [(7, 1.0), (8, 2.0), (7, 0.5), (5, 9.0)]:
    ...     links.add(3, item, weight, ties)
    >>> links.items[3].tolist(), links.weights[3].tolist()
    ([5, 8], [9.0, 2.0])
    """

    def __init__(self, width: int) -> None:
        self.items: Items = np.zeros((0, width), np.int32)
        self.weights: NDArray[np.float64] = np.zeros((0, width))
        self.sizes: NDArray[np.int32] = np.zeros(0, np.int32)

    def reserve(self, rows: int) -> None:
        """Make room for rows."""
        if rows > len(self.sizes):
            rows = max(rows, 64)
            self.items = grow(self.items, rows)
            self.weights = grow(self.weights, rows)
            self.sizes = grow(self.sizes, rows)

    def add(self, row: int, item: int, weight: float, ties: NDArray[np.uint64]) -> None:
        """Add to the weight of an item in a row; `ties` is `ItemIndex.hashes`."""
        add_weight(row, item, weight, self.items, self.weights, self.sizes, ties)

    def scale(self, factor: float) -> None:
        """Multiply every weight."""
        self.weights *= factor

    def drop(self, rows: Items) -> None:
        """Empty rows."""
        self.sizes[rows[rows < len(self.sizes)]] = 0

    def forget_items(self, removed_mask: NDArray[np.bool_]) -> None:
        """Take the items marked in `removed_mask` out of every row."""
        drop_items(self.items, self.weights, self.sizes, removed_mask)

    def pairs(self) -> tuple[Items, Items, NDArray[np.float64]]:
        """Every row's number, item and weight, as three columns."""
        mask = np.arange(self.items.shape[1]) < self.sizes[:, None]
        owners = np.repeat(np.arange(len(self.sizes), dtype=np.int32), self.sizes)
        return owners, self.items[mask], self.weights[mask]

    def state(self) -> State:
        """What is held, copied."""
        _, items, weights = self.pairs()
        return {"sizes": self.sizes.copy(), "items": items, "weights": weights}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take what `state` gave into links that hold nothing."""
        rows = len(state["sizes"])
        self.reserve(rows)
        self.sizes[:rows] = state["sizes"]
        mask = np.arange(self.items.shape[1]) < self.sizes[:, None]
        self.items[mask] = state["items"]
        self.weights[mask] = state["weights"]

    def memory(self) -> int:
        """Bytes held."""
        return self.items.nbytes + self.weights.nbytes + self.sizes.nbytes
