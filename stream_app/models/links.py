"""Bounded rows of weighted items: the items that each row (an item, a query, a word) links to."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from stream_app.models.array_types import Floats, Hashes, Items, Mask
from stream_app.models.columns import grow_columns, pack_rows, unpack_rows
from stream_app.models.kernels.bounded_rows import LinkRows, add_weight, drop_items
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes


class Links:
    """For each row the items it links to, with weights that add up; a full row gives up the smallest weight.

    Parameters
    ----------
    width
        Largest number of items of a row.

    Attributes
    ----------
    rows
        The items, weights and sizes.

    Examples
    --------
    >>> links, ties = Links(width=2), np.arange(9, dtype=np.uint64)
    >>> links.reserve(4)
    >>> for item, weight in [(7, 1.0), (8, 2.0), (7, 0.5), (5, 9.0)]:
    ...     links.add(3, item, weight, ties)
    >>> links.rows.items[3].tolist(), links.rows.weights[3].tolist()
    ([5, 8], [9.0, 2.0])
    """

    def __init__(self, width: int) -> None:
        self.rows = LinkRows(np.zeros((0, width), np.int32), np.zeros((0, width)), np.zeros(0, np.int32))

    def reserve(self, rows: int) -> None:
        """Allocate at least `rows` rows."""
        if rows > len(self.rows.sizes):
            self.rows = grow_columns(self.rows, rows)

    def add(self, row: int, item: int, weight: float, ties: Hashes) -> None:
        """Add to the weight of an item in a row; `ties` is `ItemIndex.hashes`."""
        add_weight(row, item, weight, *self.rows, ties)

    def scale(self, factor: float) -> None:
        """Multiply every weight."""
        self.rows.weights[:] *= factor

    def drop(self, rows: Items) -> None:
        """Empty rows."""
        self.rows.sizes[rows[rows < len(self.rows.sizes)]] = 0

    def forget_items(self, removed_mask: Mask) -> None:
        """Remove the items marked in `removed_mask` from every row."""
        drop_items(*self.rows, removed_mask)

    def pairs(self) -> tuple[Items, Items, Floats]:
        """Row, item and weight of every link, as three columns."""
        items, weights, sizes = self.rows
        owners = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        return owners, pack_rows(items, sizes), pack_rows(weights, sizes)

    def state(self) -> State:
        """A copy of the links, as plain data."""
        _, items, weights = self.pairs()
        return {"sizes": self.rows.sizes.copy(), "items": items, "weights": weights}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load the result of `state` into empty links."""
        sizes = state["sizes"]
        self.reserve(len(sizes))
        self.rows.sizes[: len(sizes)] = sizes
        unpack_rows(state["items"], sizes, self.rows.items)
        unpack_rows(state["weights"], sizes, self.rows.weights)

    def memory(self) -> int:
        """Bytes held."""
        return resident_bytes(self.rows)
