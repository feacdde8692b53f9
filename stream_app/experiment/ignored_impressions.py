"""Impressions that users ignored: information that models of choices do not have."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.experiment.kernels.impression_ring import (
    ImpressionHistory,
    accumulate_history,
    record_choice,
    record_impressions,
)
from stream_app.models.base import NO_ITEM, Items
from stream_app.models.columns import grow
from stream_app.models.id_index import IdIndex
from stream_app.models.model_state import Restorable, State
from stream_app.models.resident import resident_bytes
from topics.records import NON_POSITIVE, Reward

MAX_IMPRESSIONS: Final = 64
"""Impressions and choices held for each user, the latest ones."""


class IgnoredImpressions(Restorable):
    """The impressions of each user on the last displayed lists, until the item is chosen (impression discounting).

    The only input is rewards, which are in the order of the user's events, so all replicas and replays agree. Each
    list with the item counts. Examination probabilities are applied by `lookup`, not when an impression is recorded:
    later estimates apply to earlier impressions.

    Age is the number of displayed lists since. Times would not do: rewards have the broker's times and events those
    of the shop, which agree only for live events, and a replay a week later must give the same result.

    Parameters
    ----------
    max_users
        Maximum number of users held; beyond it the user with the oldest last reward is evicted.
    decay
        Weight of a list relative to the next one, in `ImpressionHistory.decayed`.

    References
    ----------
    Lee, Lakshmanan, Tiwari, Shah: Modeling impression discounting in large-scale recommender systems, KDD 2014.

    Examples
    --------
    >>> from topics.records import Reward, RewardKind, Source
    >>> memory = IgnoredImpressions()
    >>> for offset in range(2):
    ...     memory.on_reward(Reward(source=Source.IMPRESSION, partition=0, offset=offset, line=0, ts=60.0 * offset,
    ...         user_id="ann", list_id=f"l{offset}", policy="fixed", kind=RewardKind.IMPRESSION, first_exposure=True,
    ...         seen=("a", "b"), seen_positions=(0, 1)), np.array([3, 5], np.int32), -1)
    >>> memory.lookup("ann", np.array([5, 4, 3], np.int32), 20, np.array([1.0, 0.6])).ignored_impressions
    array([1.2, 0. , 2. ])
    """

    name: Final = "ignored_impressions"

    def __init__(self, max_users: int = 20_000, decay: float = 0.9) -> None:
        self._parameters = {"max_users": max_users, "decay": decay, "impressions": MAX_IMPRESSIONS}
        self._max_users = max_users
        self._decay = decay
        self._reset()

    def _reset(self) -> None:
        self._users = IdIndex(self._max_users, self._clear_rows)
        self._ensure_capacity(0)

    def _ensure_capacity(self, rows: int) -> None:
        if not rows:
            self._items: Items = np.full((64, MAX_IMPRESSIONS), NO_ITEM, np.int32)
            self._ranks: NDArray[np.int16] = np.zeros((64, MAX_IMPRESSIONS), np.int16)
            self._lists: NDArray[np.int32] = np.zeros((64, MAX_IMPRESSIONS), np.int32)
            self._written: NDArray[np.int64] = np.zeros(64, np.int64)
            self._lists_displayed: NDArray[np.int32] = np.zeros(64, np.int32)
        elif rows > len(self._lists_displayed):
            self._items = grow(self._items, rows, NO_ITEM)
            self._ranks, self._lists = grow(self._ranks, rows), grow(self._lists, rows)
            self._written, self._lists_displayed = (
                grow(self._written, rows),
                grow(self._lists_displayed, rows),
            )

    def _clear_rows(self, rows: Items) -> None:
        self._items[rows] = NO_ITEM
        self._ranks[rows] = self._lists[rows] = 0
        self._written[rows] = 0
        self._lists_displayed[rows] = 0

    def on_reward(self, reward: Reward, seen: Items, item: int) -> None:
        """Record impressions and a choice.

        Parameters
        ----------
        reward
            The reward, with the items seen for the first time.
        seen : ndarray of int32, shape (m,)
            Indices of its seen items; negative for unknown items.
        item
            Index of the chosen item; negative if unknown or none.
        """
        row = self._users.index(reward.user_id, reward.ts)
        self._ensure_capacity(row + 1)
        self._lists_displayed[row] += reward.first_exposure
        list_number = int(self._lists_displayed[row])
        ring = self._items[row], self._ranks[row], self._lists[row]
        if len(seen):
            positions = np.array(reward.seen_positions, np.int64)
            self._written[row] = record_impressions(
                seen, positions, list_number, int(self._written[row]), ring
            )
        if item >= 0 and reward.kind not in NON_POSITIVE:
            self._written[row] = record_choice(item, list_number, int(self._written[row]), ring)

    def lookup(
        self, user: str, items: Items, n_recent: int, examination_probabilities: NDArray[np.float64]
    ) -> ImpressionHistory:
        """Impressions and choices of some items by a user.

        Parameters
        ----------
        user
            User id.
        items : ndarray of int32, shape (n,)
            Distinct items.
        n_recent
            Number of the last displayed lists that count as recent.
        examination_probabilities : ndarray of float64, shape (positions,)
            Examination probability of each position; lower ones count as the last.
        """
        history = ImpressionHistory(np.zeros(len(items)), np.zeros(len(items)), np.zeros(len(items)))
        row = self._users.find(user)
        if row >= 0:
            ring = self._items[row], self._ranks[row], self._lists[row]
            accumulate_history(
                items,
                ring,
                int(self._lists_displayed[row]),
                n_recent,
                self._decay,
                examination_probabilities,
                history,
            )
        return history

    def forget_user(self, user: str) -> None:
        """Drop the data of a user."""
        self._users.forget(user)

    def forget_items(self, items: Items) -> None:
        """Drop the data of items."""
        used = self._items[: self._users.size]
        used[np.isin(used, items)] = NO_ITEM

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        return self.name, self._parameters

    def _get_state(self) -> State:
        rows = self._users.size
        return {
            "users": self._users.state(),
            "items": self._items[:rows].copy(),
            "ranks": self._ranks[:rows].copy(),
            "lists": self._lists[:rows].copy(),
            "written": self._written[:rows].copy(),
            "seen": self._lists_displayed[:rows].copy(),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._users.restore(state["users"])
        rows = self._users.size
        self._ensure_capacity(rows)
        self._items[:rows], self._ranks[:rows] = state["items"], state["ranks"]
        self._lists[:rows], self._written[:rows] = state["lists"], state["written"]
        self._lists_displayed[:rows] = state["seen"]

    def memory(self) -> int:
        """Memory in bytes, to within a few percent."""
        arrays = (self._items, self._ranks, self._lists, self._written, self._lists_displayed)
        return self._users.memory() + resident_bytes(arrays)


def warm_up() -> None:
    """Compile the kernels, or load them from the cache.

    Examples
    --------
    >>> warm_up()
    """
    items = np.zeros(1, np.int32)
    ring = items, np.zeros(1, np.int16), np.zeros(1, np.int32)
    history = ImpressionHistory(np.zeros(1), np.zeros(1), np.zeros(1))
    record_impressions(items, np.zeros(1, np.int64), 1, 0, ring)
    record_choice(0, 1, 1, ring)
    accumulate_history(items, ring, 1, 1, 0.9, np.ones(1), history)
