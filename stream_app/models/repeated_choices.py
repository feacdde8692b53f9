"""How often each user chose each item lately, so that the repetitions of one user count little for others."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

import numpy as np

from stream_app.models.array_types import Hashes, Items, Mask
from stream_app.models.columns import grow_columns
from stream_app.models.kernels.jit import plain
from stream_app.models.kernels.repeated_choices import SEEN_BITS, ChosenItems, count_choice
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes

WIDTH: Final = 20
"""Items stored per user."""

MAX_CHOICES: Final = 1.5
"""Decayed number of choices of an item by a user from which on a further one is not learned: the first two are."""


class ChoiceGroup(IntEnum):
    """Kinds of choices that are numbered together: those of one source topic, since only these come in order."""

    VIEWS = 0
    PURCHASES = 1
    FEEDBACK = 2


class RepeatedChoices:
    """Decayed counts of the items that each user chose, at most `WIDTH` items per user.

    The counts of a user depend on this user's events alone, which every replica reads in the same order. So all
    replicas have the same counts, in whatever order they read the partitions. Up to `WIDTH` items within some
    half-lives, they do not depend on the order of views and purchases either.

    Parameters
    ----------
    half_life
        Seconds in which a choice loses half its weight.

    References
    ----------
    Metwally, Agrawal, El Abbadi: Efficient computation of frequent and top-k elements in data streams, ICDT 2005
    (space saving: an item that takes an entry takes its count, too).

    Examples
    --------
    >>> choices, ties = RepeatedChoices(half_life=60.0), np.arange(9, dtype=np.uint64)
    >>> choices.reserve(1)
    >>> [choices.count(0, item, ts, weight, ChoiceGroup.VIEWS, ties) for item, ts, weight in
    ...  [(7, 0.0, 1.0), (7, 0.0, 1.0), (7, 60.0, 1.0), (8, 60.0, 1.0), (7, 60.0, 4.0)]]
    [(1.0, 0.0), (0.0, 1.0), (0.5, 1.0), (1.0, 0.0), (0.75, 2.0)]
    """

    def __init__(self, half_life: float) -> None:
        self.half_life = half_life
        self._chosen = ChosenItems(
            np.zeros((0, WIDTH), np.int32),
            np.zeros((0, WIDTH, len(ChoiceGroup)), np.float32),
            np.zeros((0, WIDTH)),
            np.zeros(0),
            np.zeros((0, SEEN_BITS // 64), np.uint64),
        )

    def reserve(self, rows: int) -> None:
        """Allocate at least `rows` rows."""
        if rows > len(self._chosen.times):
            self._chosen = grow_columns(self._chosen, rows)

    def count(
        self, row: int, item: int, ts: float, weight: float, group: int, ties: Hashes
    ) -> tuple[float, float]:
        """Count a choice.

        Parameters
        ----------
        row
            Row of the user.
        ts
            Event time, seconds since the epoch.
        weight
            Weight of the choice; one of 0 or below has novelty 1.
        group
            A `ChoiceGroup`.
        ties : ndarray of uint64, shape (n_items,)
            `ItemIndex.hashes`.

        Returns
        -------
        novelty : float
            Share of the weight that the user's earlier choices of the item were not counted with, from 0 to 1.
            Counted by novelty, the sum over all choices of the item by the user, decayed, is the largest of their
            weights.
        n_before : float
            Decayed number of earlier choices of the group.
        """
        # numba identifies an int at once, and the members of an enum by going through all of them
        return count_choice(row, item, ts, weight, int(group), self.half_life, plain(self._chosen), ties)

    def frequent(self, row: int, ts: float, group: int, n_choices: float) -> Items:
        """The items that a user chose at least `n_choices` times, decayed to `ts`, shape (n,)."""
        if not 0 <= row < len(self._chosen.times):
            return np.zeros(0, np.int32)
        decay = 2.0 ** ((self._chosen.times[row] - ts) / self.half_life)
        items = self._chosen.items[row]
        is_frequent = (items > 0) & (self._chosen.choices[row, :, group] * decay >= n_choices)
        frequent: Items = items[is_frequent] - 1
        return frequent

    def forget_items(self, removed_mask: Mask) -> None:
        """Drop the items marked in `removed_mask`, shape (n_items,)."""
        items, choices, counted, _, _ = self._chosen
        removed = (items > 0) & removed_mask[items - 1]
        items[removed] = 0
        choices[removed] = counted[removed] = 0.0

    def drop(self, rows: Items) -> None:
        """Drop the counts of users."""
        rows = rows[rows < len(self._chosen.times)]
        for array in self._chosen:
            array[rows] = 0

    def state(self, rows: int) -> State:
        """A copy of the first `rows` rows, as plain data."""
        self.reserve(rows)
        items, choices, counted, times, evicted = (array[:rows] for array in self._chosen)
        present, with_evicted = items > 0, np.flatnonzero(evicted.any(axis=1))
        return {
            "present": present,
            "items": items[present],
            "choices": choices[present],
            "counted": counted[present],
            "times": times.copy(),
            "with_evicted": with_evicted,
            "evicted": evicted[with_evicted],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load the result of `state` into empty rows."""
        present = state["present"]
        rows = len(present)
        self.reserve(rows)
        self._chosen.times[:rows] = state["times"]
        self._chosen.evicted[state["with_evicted"]] = state["evicted"]
        for name in ("items", "choices", "counted"):
            getattr(self._chosen, name)[:rows][present] = state[name]

    def memory(self) -> int:
        """Bytes held."""
        return resident_bytes(self._chosen)
