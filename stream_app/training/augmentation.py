"""Changed copies of sequences: part of them, without some interactions, in another order, with similar items."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stream_app.models.item_clusters import group_vectors
from stream_app.models.two_tower_network import gap_buckets
from stream_app.training.sequences import NO_ROW, Sequence

Ints = NDArray[np.int32]

AUGMENTATIONS: Final = ("crop", "mask", "reorder", "substitute")

_CROP: Final = 0.6
_MASK: Final = 0.3
_REORDER: Final = 0.4
_SUBSTITUTE: Final = 0.3

_DRAWN: Final = 16
"""Items of a group of which the nearest is taken."""


class SimilarItems(Protocol):
    """Finds items that are like others."""

    def similar(self, rows: Ints) -> Ints:
        """An item like each of some, shape (n,)."""


class GroupedItems:
    """Finds similar items in groups of near vectors: the nearest of a few by chance."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._members: Ints = np.zeros(0, np.int32)
        self._unit: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._at: NDArray[np.int64] = np.zeros(
            0, np.int64
        )  # position of each item among the members; -1 for none
        self._ranges: NDArray[np.int64] = np.zeros(
            (0, 2), np.int64
        )  # of each member: first and end of its group
        self._centroids: NDArray[np.float32] | None = None

    def group(self, rows: NDArray[Any], vectors: NDArray[np.float32]) -> None:
        """Group items by their vectors, shape (n, factors)."""
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        grouping = group_vectors(unit, self._centroids)
        self._centroids = grouping.centroids
        self._members, self._unit = rows[grouping.order].astype(np.int32), unit[grouping.order]
        self._at = np.full(int(rows.max(initial=-1)) + 1, -1, np.int64)
        self._at[self._members] = np.arange(len(rows))
        sizes = np.diff(grouping.starts)
        bounds = np.column_stack((grouping.starts[:-1], grouping.starts[1:]))
        self._ranges = np.repeat(bounds, sizes, axis=0).astype(np.int64)

    def similar(self, rows: Ints) -> Ints:
        """An item like each of some; the item itself if it is not grouped."""
        result = rows.copy()
        known = np.flatnonzero(rows < len(self._at))
        known = known[self._at[rows[known]] >= 0]
        if not len(known):
            return result
        at = self._at[rows[known]]
        first, end = self._ranges[at].T
        drawn = first[:, None] + (self._rng.random((len(known), _DRAWN)) * (end - first)[:, None]).astype(
            np.int64
        )
        cosines = np.einsum("nd,nkd->nk", self._unit[at], self._unit[drawn])
        cosines[drawn == at[:, None]] = -2.0
        best = drawn[np.arange(len(known)), np.argmax(cosines, axis=1)]
        result[known] = self._members[best]
        return result


class Augmenter:
    """Makes changed copies of sequences.

    Parameters
    ----------
    names
        Of `AUGMENTATIONS`; each copy is changed by one of them, by chance. ``crop`` keeps 60 % in a row, ``mask``
        leaves out 30 %, ``reorder`` shuffles 40 % in a row, ``substitute`` replaces 30 % by similar items.
    similar
        For ``substitute``.

    References
    ----------
    Xie et al.: Contrastive learning for sequential recommendation, ICDE 2022 (crop, mask, reorder). Liu et al.:
    Contrastive self-supervised sequential recommendation with robust augmentation, 2021 (substitute).

    Examples
    --------
    >>> items = np.arange(5, dtype=np.int32)
    >>> sequence = Sequence(1, items, np.zeros(5, np.int32), np.arange(5.0), 1)
    >>> augmenter = Augmenter(("crop",), np.random.default_rng(1))
    >>> np.diff(augmenter.change(sequence).items).tolist()
    [1, 1]
    """

    def __init__(
        self, names: Iterable[str], rng: np.random.Generator, similar: SimilarItems | None = None
    ) -> None:
        self._names: Final = tuple(names)
        unknown = set(self._names) - set(AUGMENTATIONS)
        if unknown or not self._names:
            raise ValueError(f"augmentations are some of {', '.join(AUGMENTATIONS)}, not {self._names}")
        if "substitute" in self._names and similar is None:
            raise ValueError("substitute needs similar items")
        self._rng: Final = rng
        self._similar: Final = similar

    def change(self, sequence: Sequence) -> Sequence:
        """A changed copy; the same sequence if it is too short."""
        n = len(sequence.items)
        if n < 3:
            return sequence
        name = self._names[int(self._rng.integers(len(self._names)))]
        at = np.arange(n)
        if name == "crop":
            size = max(2, round(_CROP * n))
            start = int(self._rng.integers(n - size + 1))
            at = at[start : start + size]
        elif name == "mask":
            size = max(2, n - round(_MASK * n))
            at = np.sort(self._rng.choice(n, size, replace=False))
        elif name == "reorder":
            size = max(2, round(_REORDER * n))
            start = int(self._rng.integers(n - size + 1))
            at[start : start + size] = start + self._rng.permutation(size)
        items = sequence.items[at]
        if name == "substitute" and self._similar is not None:
            is_replaced = (self._rng.random(n) < _SUBSTITUTE) & (items != NO_ROW)
            items = items.copy()
            items[is_replaced] = self._similar.similar(items[is_replaced])
        # of a new order, the times stay ascending
        times = sequence.times[np.sort(at)]
        return Sequence(sequence.user_hash, items, sequence.kinds[at], times, 1, sequence.segments)


class Views(NamedTuple):
    """Two changed copies of each of some sequences, a row a copy; the arrays have shape (2 * pairs, length)."""

    items: Ints
    kinds: Ints
    gaps: Ints
    positions: Ints
    sequences: Ints  # 0, -1 for padding
    last: Ints  # shape (2 * pairs,): position of the newest interaction


def make_views(
    sequences: Iterable[Sequence], augmenter: Augmenter | None, pairs: int, length: int, n_gaps: int
) -> Views:
    """Views of the first `pairs` sequences; row n and row n + pairs are of the same sequence.

    Sequences of fewer than three interactions are left out; missing rows are empty, and all alike.
    """
    shape = (2 * pairs, length)
    views = Views(
        np.zeros(shape, np.int32),
        np.zeros(shape, np.int32),
        np.zeros(shape, np.int32),
        np.broadcast_to(np.arange(length, dtype=np.int32), shape).copy(),
        np.full(shape, -1, np.int32),
        np.zeros(shape[0], np.int32),
    )
    row = 0
    for sequence in sequences:
        if row == pairs or augmenter is None:
            break
        if len(sequence.items) >= 3 and (sequence.items != NO_ROW).all():
            for at in (row, row + pairs):
                _write(views, at, augmenter.change(sequence), n_gaps)
            row += 1
    return views


def _write(views: Views, row: int, sequence: Sequence, n_gaps: int) -> None:
    length: Any = views.items.shape[1]
    items = sequence.items[-length:]
    n = len(items)
    views.items[row, :n] = items
    views.kinds[row, :n] = sequence.kinds[-n:]
    views.gaps[row, :n] = gap_buckets(sequence.times[-n:], n_gaps)
    views.sequences[row, :n] = 0
    views.last[row] = n - 1
