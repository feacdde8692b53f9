"""What the catalog says about the items that are trained, as rows beside their vectors."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.columns import grow
from stream_app.models.item_content import ItemContent
from stream_app.models.model_state import State
from topics.events import CatalogItem

Matrix = NDArray[np.float32]


class ContentTable:
    """The vectors of catalog entries by the row of their item; in half precision, zeros without an entry.

    Parameters
    ----------
    content
        Computes the vector of an entry; None for no contents.

    Examples
    --------
    >>> table = ContentTable(ItemContent(category_slots=8, brand_slots=4))
    >>> table.describe(2, CatalogItem(ts=0, item_id="pan", brand="Acme"))
    >>> table.known(np.array([1, 2, 9])).tolist(), table.gather(np.array([2])).shape
    ([False, True, False], (1, 62))
    """

    def __init__(self, content: ItemContent | None) -> None:
        self._content: Final = content
        self.dimensions: Final = content.dimensions if content else 0
        self._rows: NDArray[np.float16] = np.zeros((0, self.dimensions), np.float16)
        self._times: NDArray[np.float64] = np.zeros(0)  # event time of each entry; -inf for none

    def length_of(self, part: str) -> int:
        """Dimensions of a part of the contents, such as ``text``; 0 if they have none."""
        parts = () if self._content is None else self._content.parts
        return sum(stop - start for name, start, stop in parts if name == part)

    def describe(self, row: int, entry: CatalogItem) -> None:
        """Store the entry of an item, unless a later one is known."""
        if self._content is None:
            return
        self._reserve(row + 1)
        if entry.time >= self._times[row]:
            self._rows[row] = self._content.vector(entry)
            self._times[row] = entry.time

    def known(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether items have an entry, shape (n,)."""
        times: NDArray[np.bool_] = np.zeros(len(rows), np.bool_)
        inside = rows < len(self._times)
        times[inside] = self._times[rows[inside]] > -np.inf
        return times

    def gather(self, rows: NDArray[Any]) -> Matrix:
        """The contents of items, shape (n, dimensions); shape (n, 0) before the first entry, which costs nothing."""
        if self.is_empty:
            return np.zeros((len(rows), 0), np.float32)
        contents = np.zeros((len(rows), self.dimensions), np.float32)
        inside = rows < len(self._rows)
        contents[inside] = self._rows[rows[inside]]
        return contents

    @property
    def is_empty(self) -> bool:
        """Whether no entry was stored yet."""
        return not len(self._rows)

    def forget(self, rows: NDArray[Any]) -> None:
        """Drop the entries of items."""
        inside = rows[rows < len(self._rows)]
        self._rows[inside] = 0.0
        self._times[inside] = -np.inf

    def state(self) -> State:
        """The contents, and what they were computed by."""
        fingerprint = self._content.fingerprint if self._content else ""
        return {"fingerprint": fingerprint, "rows": self._rows.copy(), "times": self._times.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with the result of `state`.

        Raises
        ------
        ValueError
            If it was computed in another way: vectors of another layout are not comparable.
        """
        if state["fingerprint"] != (self._content.fingerprint if self._content else ""):
            raise ValueError("the contents of the state were computed by another encoder or layout")
        self._rows, self._times = state["rows"].copy(), state["times"].copy()

    def memory(self) -> int:
        """Bytes held."""
        return self._rows.nbytes + self._times.nbytes

    def _reserve(self, n: int) -> None:
        self._rows = grow(self._rows, n)
        self._times = grow(self._times, len(self._rows), -np.inf)
