"""What each shopper was shown lately and passed over: the news that no model of choices has."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import NO_ITEM, Items
from stream_app.models.id_index import IdIndex
from stream_app.models.kernels.jit import jit
from stream_app.models.model_state import State, grown, stamped, verify
from topics.records import NO_CHOICE, Reward

SHOWINGS: Final = 64
"""Items seen that are remembered of a shopper, the latest; one that is seen three times counts three times."""


class Showings(NamedTuple):
    """What a shopper made of some items, of those times that they were listed.

    Attributes
    ----------
    passed_over : ndarray of float64, shape (n,)
        How often each was looked at on the last lists and not chosen since, in expectation.
    lately : ndarray of float64, shape (n,)
        The same over all that is remembered, each list counting the less the more lists were seen since.
    chosen : ndarray of float64, shape (n,)
        1 for what was chosen from one of the last lists, else 0.
    """

    passed_over: NDArray[np.float64]
    lately: NDArray[np.float64]
    chosen: NDArray[np.float64]


@jit()
def _show(
    seen: NDArray[np.int32],
    positions: NDArray[np.int64],
    serial: int,
    shown: int,
    items: NDArray[np.int32],
    places: NDArray[np.int16],
    lists: NDArray[np.int32],
) -> int:
    """Write what was seen into a shopper's ring; how many were ever written."""
    for at in range(len(seen)):
        if seen[at] >= 0:
            slot = shown % len(items)
            items[slot] = seen[at]
            places[slot] = min(max(positions[at], 0), 32_767)
            lists[slot] = serial
            shown += 1
    return shown


@jit()
def _choose(
    item: int,
    serial: int,
    shown: int,
    items: NDArray[np.int32],
    places: NDArray[np.int16],
    lists: NDArray[np.int32],
) -> int:
    """Put the mark of a choice in place of the showings of an item; how many were ever written."""
    for slot in range(len(items)):
        if items[slot] == item:
            items[slot] = -1
    slot = shown % len(items)
    items[slot] = item
    places[slot] = -1
    lists[slot] = serial
    return shown + 1


@jit()
def _add_up(
    candidates: NDArray[np.int32],
    items: NDArray[np.int32],
    places: NDArray[np.int16],
    lists: NDArray[np.int32],
    serial: int,
    last: int,
    fading: float,
    chances: NDArray[np.float64],
    passed_over: NDArray[np.float64],
    lately: NDArray[np.float64],
    chosen: NDArray[np.float64],
) -> None:
    for slot in range(len(items)):
        item = items[slot]
        if item < 0:
            continue
        since = serial - lists[slot]
        for row in range(len(candidates)):
            if candidates[row] == item:
                if places[slot] < 0:
                    if since < last:
                        chosen[row] = 1.0
                else:
                    chance = chances[min(places[slot], len(chances) - 1)]
                    lately[row] += chance * fading**since
                    if since < last:
                        passed_over[row] += chance
                break


class PassedOver:
    """Remembers the items that each shopper saw on their last lists, until they choose them.

    What it goes by is rewards alone, which come in the order of the shopper's events, so every replica and every
    replay holds the same. An item counts again for each list that it is seen on. How likely a place was looked at is
    told when the sums are asked for, and not when it was seen: by what is known of the places by then.

    Time is counted in lists seen. The broker dates rewards and the shop dates events; the two agree only where events
    come as they happen, and what is read a week later is to mean the same.

    Parameters
    ----------
    max_shoppers
        Shoppers remembered; beyond it those go whose last reward is oldest.
    fading
        What a list counts, against one that was seen a list later, in `Showings.lately`.

    References
    ----------
    Lee, Lakshmanan, Tiwari, Shah: Modeling impression discounting in large-scale recommender systems, KDD 2014.

    Examples
    --------
    >>> from topics.records import Reward, RewardKind, Source
    >>> memory = PassedOver()
    >>> for offset in range(2):
    ...     memory.hear(Reward(source=Source.IMPRESSION, partition=0, offset=offset, line=0, ts=60.0 * offset,
    ...         user_id="ann", list_id=f"l{offset}", policy="fixed", kind=RewardKind.IMPRESSION, opens=True,
    ...         seen=("a", "b"), seen_positions=(0, 1)), np.array([3, 5], np.int32), -1)
    >>> memory.of("ann", np.array([5, 4, 3], np.int32), 20, np.array([1.0, 0.6])).passed_over
    array([1.2, 0. , 2. ])
    """

    name: Final = "passed_over"

    def __init__(self, max_shoppers: int = 20_000, fading: float = 0.9) -> None:
        self._parameters = {"max_shoppers": max_shoppers, "fading": fading, "showings": SHOWINGS}
        self._limit = max_shoppers
        self._fading = fading
        self._clear()

    def _clear(self) -> None:
        self._shoppers = IdIndex(self._limit, self._drop)
        self._fit(0)

    def _fit(self, rows: int) -> None:
        if not rows:
            self._items: Items = np.full((64, SHOWINGS), NO_ITEM, np.int32)
            # below 0 for a choice
            self._places: NDArray[np.int16] = np.zeros((64, SHOWINGS), np.int16)
            self._lists: NDArray[np.int32] = np.zeros((64, SHOWINGS), np.int32)
            self._shown: NDArray[np.int64] = np.zeros(64, np.int64)
            self._seen: NDArray[np.int32] = np.zeros(64, np.int32)
        elif rows > len(self._seen):
            self._items = grown(self._items, rows, NO_ITEM)
            self._places, self._lists = grown(self._places, rows), grown(self._lists, rows)
            self._shown, self._seen = grown(self._shown, rows), grown(self._seen, rows)

    def _drop(self, rows: Items) -> None:
        self._items[rows] = NO_ITEM
        self._shown[rows] = 0
        self._seen[rows] = 0

    def hear(self, reward: Reward, seen: Items, item: int) -> None:
        """Take a reward.

        Parameters
        ----------
        reward
            What was seen of a list for the first time, and what was chosen.
        seen : ndarray of int32, shape (m,)
            Integers of its seen items, below 0 where unknown.
        item
            Integer of what was chosen, below 0 where unknown or nothing.
        """
        row = self._shoppers.index(reward.user_id, reward.ts)
        self._fit(row + 1)
        self._seen[row] += reward.opens
        serial = int(self._seen[row])
        ring = self._items[row], self._places[row], self._lists[row]
        if len(seen):
            positions = np.array(reward.seen_positions, np.int64)
            self._shown[row] = _show(seen, positions, serial, int(self._shown[row]), *ring)
        if item >= 0 and reward.kind not in NO_CHOICE:
            self._shown[row] = _choose(item, serial, int(self._shown[row]), *ring)

    def of(self, user: str, items: Items, last: int, chances: NDArray[np.float64]) -> Showings:
        """What a shopper made of some items.

        Parameters
        ----------
        user
            The shopper.
        items : ndarray of int32, shape (n,)
            Distinct items.
        last
            How many of the lists they saw are the last ones.
        chances : ndarray of float64, shape (places,)
            How likely each place is looked at; what lies lower counts as the last.
        """
        found = Showings(np.zeros(len(items)), np.zeros(len(items)), np.zeros(len(items)))
        row = self._shoppers.find(user)
        if row >= 0:
            ring = self._items[row], self._places[row], self._lists[row]
            _add_up(items, *ring, int(self._seen[row]), last, self._fading, chances, *found)
        return found

    def forget_user(self, user: str) -> None:
        """Drop what is held of a shopper."""
        self._shoppers.forget(user)

    def forget_items(self, items: Items) -> None:
        """Drop what is held of items."""
        used = self._items[: self._shoppers.size]
        used[np.isin(used, items)] = NO_ITEM

    def state(self) -> State:
        """All that is held, as plain data."""
        rows = self._shoppers.size
        return stamped(
            self.name,
            self._parameters,
            shoppers=self._shoppers.state(),
            items=self._items[:rows].copy(),
            places=self._places[:rows].copy(),
            lists=self._lists[:rows].copy(),
            shown=self._shown[:rows].copy(),
            seen=self._seen[:rows].copy(),
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken from.

        Raises
        ------
        ValueError
            If it was taken with other parameters.
        """
        verify(state, self.name, self._parameters)
        self._clear()
        self._shoppers.restore(state["shoppers"])
        rows = self._shoppers.size
        self._fit(rows)
        self._items[:rows], self._places[:rows] = state["items"], state["places"]
        self._lists[:rows], self._shown[:rows] = state["lists"], state["shown"]
        self._seen[:rows] = state["seen"]

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        arrays = (self._items, self._places, self._lists, self._shown, self._seen)
        return self._shoppers.memory() + sum(array.nbytes for array in arrays)


def warm_up() -> None:
    """Compile the kernels, or load them where a run before did.

    Examples
    --------
    >>> warm_up()
    """
    items, places = np.zeros(1, np.int32), np.zeros(1, np.int16)
    lists, sums, one = np.zeros(1, np.int32), np.zeros((3, 1)), np.ones(1)
    _show(items, np.zeros(1, np.int64), 1, 0, items, places, lists)
    _choose(0, 1, 1, items, places, lists)
    _add_up(items, items, places, lists, 1, 1, 0.9, one, *sums)
