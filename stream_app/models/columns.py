"""Tables of arrays with a row per item, user or query: growth, packing, masks and lookups."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Items, Mask, Scores, Sizes

MIN_ROWS = 64
"""Rows allocated at least, so that small tables are not reallocated for every new row."""

T = TypeVar("T", bound=np.generic)
C = TypeVar("C", bound=tuple[Any, ...])


def grow(array: NDArray[T], length: int, fill: float = 0) -> NDArray[T]:
    """Return `array` with at least `length` rows; the capacity doubles.

    Parameters
    ----------
    array : ndarray, shape (n, ...)
        Returned unchanged if it is long enough.
    length
        Rows needed.
    fill
        Value of the new rows.

    Examples
    --------
    >>> grow(np.array([1, 2, 3]), 4).tolist()
    [1, 2, 3, 0, 0, 0]
    """
    current_length = len(array)
    if length <= current_length:
        return array
    shape = (max(length, 2 * current_length), *array.shape[1:])
    # np.zeros, not np.full: the operating system allocates untouched zero pages lazily
    resized = np.zeros(shape, array.dtype) if fill == 0 else np.full(shape, fill, array.dtype)
    resized[:current_length] = array
    return resized


def grow_columns(columns: C, rows: int, fills: Mapping[str, float] | None = None) -> C:
    """Return a named tuple of arrays in which each array has at least `rows` rows (and at least `MIN_ROWS`).

    Parameters
    ----------
    columns
        Named tuple of arrays whose first axis is the row.
    rows
        Rows needed.
    fills
        Value of the new rows by field; 0 by default.

    Examples
    --------
    >>> from typing import NamedTuple
    >>> class Counts(NamedTuple):
    ...     counts: NDArray[np.float64]
    ...     newest: NDArray[np.float64]
    >>> counts = grow_columns(Counts(np.zeros(0), np.zeros(0)), 3, {"newest": -np.inf})
    >>> len(counts.counts), float(counts.newest[63])
    (64, -inf)
    """
    fills = fills or {}
    rows = max(rows, MIN_ROWS)
    fields: tuple[str, ...] = columns._fields  # type: ignore[attr-defined]
    grown = [grow(array, rows, fills.get(name, 0)) for name, array in zip(fields, columns, strict=True)]
    return type(columns)(*grown)


def pack_rows(rows: NDArray[T], sizes: NDArray[Any]) -> NDArray[T]:
    """Concatenate the first `sizes[i]` entries of each row i.

    Parameters
    ----------
    rows : ndarray, shape (n, width, ...)
    sizes : ndarray of int, shape (n,)
        A size above `width` counts as `width` (full rings).

    Examples
    --------
    >>> pack_rows(np.array([[1, 2], [3, 0]]), np.array([2, 1])).tolist()
    [1, 2, 3]
    """
    return rows[: len(sizes)][_used(rows, sizes)]


def unpack_rows(packed: NDArray[T], sizes: NDArray[Any], out: NDArray[T]) -> None:
    """Write what `pack_rows` returned into the first ``len(sizes)`` rows of `out`."""
    out[: len(sizes)][_used(out, sizes)] = packed


def item_mask(items: Items, size: int) -> Mask:
    """Boolean mask of `size` items that is True for `items`.

    Examples
    --------
    >>> item_mask(np.array([2], np.int32), 3).tolist()
    [False, False, True]
    """
    mask = np.zeros(size, np.bool_)
    mask[items] = True
    return mask


def look_up_scores(known_items: Items, known_scores: Scores, items: Items, n_items: int) -> Scores:
    """Scores of `items`, 0 for those without one.

    Parameters
    ----------
    known_items, known_scores : ndarray, shape (m,)
        Distinct items and their scores.
    items : ndarray of int32, shape (n,)
        May hold `NO_ITEM` and items from `n_items` on.
    n_items
        Size of the item index.

    Examples
    --------
    >>> scores = np.array([0.5], np.float32)
    >>> look_up_scores(np.array([1], np.int32), scores, np.array([-1, 1, 7], np.int32), 3).tolist()
    [0.0, 0.5, 0.0]
    """
    all_scores = np.zeros(n_items + 1, np.float32)  # the last is the score of unknown items
    all_scores[known_items] = known_scores
    return all_scores[np.where((items >= 0) & (items < n_items), items, n_items)]


def _used(rows: NDArray[Any], sizes: Sizes) -> Mask:
    mask: Mask = np.arange(rows.shape[1]) < sizes[:, None]
    return mask
