"""Which vector of a checkpoint belongs to which item of an index, while items come and go."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import NO_ITEM, Hashes, Items
from stream_app.models.columns import grow
from stream_app.models.id_index import stable_hash
from stream_app.models.resident import resident_bytes

_PART: Final = 2_000
"""Ids that are hashed between two pauses: about 2 ms."""


def hash_ids(ids: Sequence[str], pause: Callable[[], None] = lambda: None) -> Hashes:
    """Hash ids as an index does.

    Parameters
    ----------
    pause
        Called after every few thousand ids: another thread that pauses there lets the event loop run.

    Returns
    -------
    ndarray of uint64, shape (n,)
    """
    out = np.zeros(len(ids), np.uint64)
    for start in range(0, len(ids), _PART):
        out[start : start + _PART] = [stable_hash(each) for each in ids[start : start + _PART]]
        pause()
    return out


class VectorRows:
    """The rows of a matrix of vectors, by item.

    Items are found by the hash of their ids, so that no id is kept: an item that enters the index later is found as
    well, and an integer that goes to another item follows it.

    Parameters
    ----------
    row_hashes : ndarray of uint64, shape (rows,)
        Hash of the id of each row.
    index_hashes : ndarray of uint64, shape (n,)
        Hashes of the ids of an index, a copy; 0 where an integer is free.

    Attributes
    ----------
    row_of : ndarray of int32, shape (n or more,)
        Row of each item, below 0 for none. Replaced by a longer array when the index grows.
    items : ndarray of int32, shape (rows,)
        Item of each row, below 0 for none.

    Examples
    --------
    >>> rows = VectorRows(hash_ids(["pan", "pot", "cup"]), hash_ids(["pot", "hat"]))
    >>> rows.row_of.tolist(), rows.items.tolist()
    ([1, -1], [-1, 0, -1])
    >>> rows.add(2, stable_hash("cup"))
    >>> rows.rows_of(np.array([0, 1, 2, 99, -1], np.int32)).tolist()
    [1, -1, 2, -1, -1]
    >>> rows.follow(hash_ids(["pan", "hat", "cup"]))
    >>> rows.items.tolist()
    [0, -1, 2]
    """

    def __init__(self, row_hashes: Hashes, index_hashes: Hashes) -> None:
        order = np.argsort(row_hashes)
        self._hashes = row_hashes[order]
        self._rows = order.astype(np.int32)
        self.row_of: Items = np.full(max(1, len(index_hashes)), NO_ITEM, np.int32)
        self.items: Items = np.full(len(row_hashes), NO_ITEM, np.int32)
        self._seen: Hashes = index_hashes
        self._assign(np.arange(len(index_hashes), dtype=np.int32), index_hashes)

    def follow(self, index_hashes: Hashes) -> None:
        """Apply what has changed in the index since its hashes were copied; they are compared all at once."""
        n = min(len(self._seen), len(index_hashes))
        changed = np.flatnonzero(self._seen[:n] != index_hashes[:n]).astype(np.int32)
        self.forget(changed)
        new = np.concatenate((changed, np.arange(n, len(index_hashes), dtype=np.int32)))
        self.row_of = grow(self.row_of, len(index_hashes), NO_ITEM)
        self._assign(new, index_hashes[new])
        self._seen = np.zeros(0, np.uint64)

    def add(self, item: int, id_hash: int) -> None:
        """Find the row of an item that enters the index."""
        self.row_of = grow(self.row_of, item + 1, NO_ITEM)
        self._assign(np.array([item], np.int32), np.array([id_hash], np.uint64))

    def forget(self, items: Items) -> None:
        """Let items, shape (n,), have no row."""
        rows = self.rows_of(items)
        self.items[rows[rows >= 0]] = NO_ITEM
        self.row_of[items[items < len(self.row_of)]] = NO_ITEM

    def rows_of(self, items: Items) -> Items:
        """Rows of items, shape (n,); below 0 for none."""
        row_of = self.row_of
        rows = row_of[np.minimum(items, len(row_of) - 1)]
        rows[(items < 0) | (items >= len(row_of))] = NO_ITEM
        return rows

    def memory(self) -> int:
        """Bytes held."""
        return resident_bytes((self._hashes, self._rows, self.row_of, self.items, self._seen))

    def _assign(self, items: Items, id_hashes: NDArray[np.uint64]) -> None:
        if not len(self._hashes):
            return
        at = np.minimum(np.searchsorted(self._hashes, id_hashes), len(self._hashes) - 1)
        is_known = (self._hashes[at] == id_hashes) & (id_hashes != 0)
        rows, known = self._rows[at[is_known]], items[is_known]
        self.row_of[known] = rows
        self.items[rows] = known
