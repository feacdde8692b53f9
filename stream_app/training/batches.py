"""Packing of sequences into batches of one shape, so that the training step is compiled once."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.two_tower_network import MAX_SEGMENTS, gap_buckets
from stream_app.training.sequences import NO_ROW, Sequence

Ints = NDArray[np.int32]


class Tokens(NamedTuple):
    """Sequences in rows of equal length; the arrays have shape (rows, length)."""

    items: Ints  # row of each item among all item vectors
    kinds: Ints
    gaps: Ints
    positions: Ints
    sequences: Ints  # number of the sequence in the row; -1 for padding
    targets: Ints  # item chosen next
    heads: Ints
    weights: NDArray[np.float32]  # 1 for a prediction, 0 for none
    # shape (rows, length, MAX_SEGMENTS): slots of the user's segments, -1 for none; None without segments
    segments: Ints | None = None
    # 1 where the item follows nothing but the user's segments, 0 elsewhere; None without segments
    starts: NDArray[np.float32] | None = None


def empty_tokens(rows: int, length: int, *, segments: bool = False) -> Tokens:
    """Rows without sequences; with room for segments, if they are read."""

    def zeros() -> Ints:
        return np.zeros((rows, length), np.int32)

    return Tokens(
        zeros(),
        zeros(),
        zeros(),
        zeros(),
        zeros() - 1,
        zeros(),
        zeros(),
        np.zeros((rows, length), np.float32),
        np.full((rows, length, MAX_SEGMENTS), -1, np.int32) if segments else None,
        np.zeros((rows, length), np.float32) if segments else None,
    )


class Packer:
    """Fills rows with sequences, each into the first row with room.

    A sequence of n interactions has n - 1 tokens: the last interaction is a target alone.

    Parameters
    ----------
    segments
        Whether the tokens have the segments of users.

    Examples
    --------
    >>> packer = Packer(rows=2, length=4, n_gaps=12)
    >>> items, kinds = np.array([5, 6, 7], np.int32), np.zeros(3, np.int32)
    >>> packer.add(Sequence(1, items, kinds, np.zeros(3), 1)), packer.add(Sequence(2, items, kinds, np.zeros(3), 2))
    (True, True)
    >>> packer.tokens.items.tolist(), packer.tokens.targets.tolist(), packer.tokens.weights.tolist()
    ([[5, 6, 5, 6], [0, 0, 0, 0]], [[6, 7, 6, 7], [0, 0, 0, 0]], [[1.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    """

    def __init__(self, rows: int, length: int, n_gaps: int, *, segments: bool = False) -> None:
        self._rows, self._length, self._n_gaps = rows, length, n_gaps
        self._segments = segments
        self.clear()

    def clear(self) -> None:
        """Begin a new batch."""
        self.tokens = empty_tokens(self._rows, self._length, segments=self._segments)
        self._used = [0] * self._rows
        self._first_open = 0
        self.n_predictions = 0

    def add(self, sequence: Sequence) -> bool:
        """Add a sequence; False if no row has room for it."""
        n = len(sequence.items) - 1
        row = self._row_with_room(n)
        if row < 0:
            return False
        self.add_to_row(row, sequence)
        return True

    def add_to_row(self, row: int, sequence: Sequence) -> None:
        """Add a sequence to a row, which must have room for it."""
        n = len(sequence.items) - 1
        start = self._used[row]
        self._used[row] = start + n
        if self._used[row] >= self._length - 1 and row == self._first_open:
            self._first_open += 1
        t, at = self.tokens, slice(start, start + n)
        items = sequence.items
        t.items[row, at] = np.maximum(items[:-1], 0)
        t.kinds[row, at], t.heads[row, at] = sequence.kinds[:-1], sequence.kinds[1:]
        t.gaps[row, at] = gap_buckets(sequence.times, self._n_gaps)[:-1]
        t.positions[row, at] = np.arange(n)
        t.sequences[row, at] = start
        t.targets[row, at] = np.maximum(items[1:], 0)
        is_target = (
            (np.arange(1, n + 1) >= sequence.first_target) & (items[1:] != NO_ROW) & (items[:-1] != NO_ROW)
        )
        t.weights[row, at] = is_target
        if t.segments is not None and t.starts is not None and len(sequence.segments):
            t.segments[row, at, : len(sequence.segments)] = sequence.segments
            # later parts of a long sequence begin with interactions that are known
            t.starts[row, start] = sequence.first_target <= 1 and items[0] != NO_ROW
        self.n_predictions += int(is_target.sum())

    def _row_with_room(self, n: int) -> int:
        for row in range(self._first_open, self._rows):
            if self._used[row] + n <= self._length:
                return row
        return -1

    def fill(self, sequences: Iterable[Sequence]) -> None:
        """Add sequences until one finds no room."""
        for each in sequences:
            if not self.add(each):
                break
