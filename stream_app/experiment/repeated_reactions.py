"""How often users reacted to the same item lately, so that the repetitions of one user teach the policies little."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Items
from stream_app.models.columns import item_mask
from stream_app.models.daily_quota import DailyQuota
from stream_app.models.id_index import IdIndex
from stream_app.models.item_index import ItemIndex
from stream_app.models.model_state import Restorable, State
from stream_app.models.repeated_choices import MAX_CHOICES, ChoiceGroup, RepeatedChoices
from topics.records import Reward, RewardKind

LISTS_PER_DAY: Final = 30
"""Lists of one user whose impressions count per day."""

_GROUPS: Final = {RewardKind.CLICK: ChoiceGroup.VIEWS, RewardKind.PURCHASE: ChoiceGroup.PURCHASES}
"""The group in which a reaction is numbered; the others have a group in common."""


class RepeatedReactions(Restorable):
    """Numbers the reactions of each user to each item, as `RepeatedChoices` numbers choices.

    From the third one within the half-life on, a reaction does not count, and neither does an impression of an item
    that the user clicked as often: otherwise the repetitions would lower the rate of the item. Of one user and day,
    the impressions of `LISTS_PER_DAY` lists count: otherwise those of one user would lower the rates of all other
    items.

    Parameters
    ----------
    index
        The items.
    half_life
        Seconds in which a reaction loses half its weight.
    max_users
        Users remembered; a full index evicts about 1%, the longest inactive first.

    Examples
    --------
    >>> index = ItemIndex(100)
    >>> sock = index.index("sock", 0.0)
    >>> reactions = RepeatedReactions(index)
    >>> [reactions.counts("ann", sock, RewardKind.CLICK, ts) for ts in (0.0, 60.0, 120.0, 864_000.0)]
    [True, True, False, True]
    >>> reactions.counts("ann", sock, RewardKind.PURCHASE, 864_000.0)
    True
    """

    name: ClassVar[str] = "repeated_reactions"

    def __init__(self, index: ItemIndex, half_life: float = 86_400.0, max_users: int = 20_000) -> None:
        self._index = index
        self._parameters = {"half_life": half_life, "max_users": max_users}
        self._half_life = half_life
        self._reset()

    def _reset(self) -> None:
        self._users = IdIndex(int(self._parameters["max_users"]), self._drop_users)
        self._choices = RepeatedChoices(self._half_life)
        self._lists = DailyQuota(LISTS_PER_DAY)

    def counts(self, user: str, item: int, kind: RewardKind, ts: float) -> bool:
        """Count a reaction; return whether the policies learn it.

        Parameters
        ----------
        item
            Index of the item; 0 or more.
        """
        row = self._users.index(user, ts)
        self._choices.reserve(row + 1)
        group = _GROUPS.get(kind, ChoiceGroup.FEEDBACK)
        _, n_before = self._choices.count(row, item, ts, 1.0, group, self._index.hashes)
        return n_before < MAX_CHOICES

    def counted_impressions(self, reward: Reward, seen: Items) -> NDArray[np.bool_]:
        """Count a list; return whether the policies learn each impression of a reward, shape (n,).

        Parameters
        ----------
        seen : ndarray of int32, shape (n,)
            Indices of the seen items; negative for unknown items.
        """
        if not self._lists.allows(reward.user_id, reward.ts):
            return np.zeros(len(seen), np.bool_)
        row = self._users.find(reward.user_id)
        if row < 0:
            return np.ones(len(seen), np.bool_)
        return ~np.isin(seen, self._choices.frequent(row, reward.ts, ChoiceGroup.VIEWS, MAX_CHOICES))

    def forget_user(self, user: str) -> None:
        """Drop the data of a user."""
        self._users.forget(user)
        self._lists.forget_user(user)

    def forget_items(self, items: Items) -> None:
        """Drop the data of items."""
        self._choices.forget_items(item_mask(items, self._index.size))

    def _drop_users(self, rows: Items) -> None:
        self._choices.drop(rows)

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        return self.name, self._parameters

    def _get_state(self) -> State:
        return {
            "users": self._users.state(),
            "choices": self._choices.state(self._users.size),
            "lists": self._lists.state(),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._users.restore(state["users"])
        self._choices.restore(state["choices"])
        self._lists.restore(state["lists"])

    def memory(self) -> int:
        """Memory in bytes, to within a few percent."""
        return self._users.memory() + self._choices.memory() + self._lists.memory()
