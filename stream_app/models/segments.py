"""Bounded numbering of segments, for the models that count by segment."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Context

ALL: Final = "all"
"""The segment of all users: row 0."""

NEW_USERS: Final = "user:new"
"""The segment of users of whom no choice is known; their first choices are counted in it."""

_MAX_CACHED_ROWS: Final = 4096

Rows = NDArray[np.int32]


class Segments:
    """Gives each segment a row of a model's tables; a new one replaces the one with the smallest total.

    Parameters
    ----------
    capacity
        Largest number of segments besides `ALL` and `kept`.
    on_evict
        Called with a row before it is given to another segment.
    kept
        A segment with a row of its own, which is never replaced; empty for none.

    Attributes
    ----------
    names
        By row.
    numbers
        Row by name, without `ALL`.
    totals : ndarray of float64, shape (rows,)
        Total count of each row; updated by the model.

    Examples
    --------
    >>> segments = Segments(2, lambda row: None)
    >>> segments.assign_rows(("country:FR", "channel:web")).tolist()
    [1, 2]
    >>> segments.totals[1:] = 5.0, 3.0
    >>> segments.assign_rows(("country:DE",)).tolist(), segments.names
    ([2], ['all', 'country:FR', 'country:DE'])
    """

    def __init__(self, capacity: int, on_evict: Callable[[int], None], kept: str = "") -> None:
        self.names: list[str] = [ALL]
        self.numbers: dict[str, int] = {}
        self.totals: NDArray[np.float64] = np.zeros(capacity + 1 + bool(kept))
        self._on_evict = on_evict
        self._capacity = capacity
        self._kept = kept
        self._rows_cache: dict[tuple[str, ...], Rows] = {}
        self._last_rows: tuple[Context | None, Rows] = (None, np.zeros(0, np.int32))

    def assign_rows(self, segments: tuple[str, ...]) -> Rows:
        """Rows of an observation's segments, at most the capacity; new segments get a row."""
        rows = self._rows_cache.get(segments)
        return self._assign_rows(segments) if rows is None else rows

    def rows(self, context: Context) -> Rows:
        """Rows of a context: `ALL` and its segments; without a user, its segments only, or `ALL` if it has none."""
        # cached, since all items of a list are explained with one context
        if context is not self._last_rows[0]:
            rows = [self.numbers[name] for name in context.segments if name in self.numbers]
            if context.user or not context.segments:
                rows = [0, *rows]
            self._last_rows = (context, np.array(rows, np.int32))
        return self._last_rows[1]

    def restore(self, names: Sequence[str], totals: NDArray[np.float64]) -> None:
        """Load names and totals into empty segments."""
        self.names = list(names)
        self.numbers = {name: row for row, name in enumerate(names) if row}
        self.totals[: len(totals)] = totals

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        names = sum(150 + len(name) for name in self.numbers)
        return self.totals.nbytes + names + 200 * len(self._rows_cache)

    def _assign_rows(self, segments: tuple[str, ...]) -> Rows:
        self._last_rows = (None, np.zeros(0, np.int32))
        names = dict.fromkeys(segments)
        requested = [name for name in names if name != self._kept][: self._capacity]
        if self._kept in names:
            requested.append(self._kept)
        for name in requested:
            if name in self.numbers or name == ALL:
                continue
            n_replaceable = len(self.names) - 1 - (self._kept in self.numbers)
            if name == self._kept or n_replaceable < self._capacity:
                row = len(self.names)
                self.names.append(name)
            else:
                row = self._smallest(
                    {self.numbers[each] for each in (self._kept, *requested) if each in self.numbers}
                )
                del self.numbers[self.names[row]]
                self.names[row] = name
                self._on_evict(row)
                self.totals[row] = 0.0
                self._rows_cache.clear()
            self.numbers[name] = row
        rows = np.array([self.numbers[name] for name in requested if name != ALL], np.int32)
        if len(self._rows_cache) >= _MAX_CACHED_ROWS:
            self._rows_cache.clear()
        self._rows_cache[segments] = rows
        return rows

    def _smallest(self, excluded: set[int]) -> int:
        """Row of the segment with the smallest total; by name in a tie."""
        rows = (row for row in range(1, len(self.names)) if row not in excluded)
        return min(rows, key=lambda row: (self.totals[row], self.names[row]))
