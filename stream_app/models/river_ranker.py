"""A recommender of River, `river.reco`, as a model with bounded memory."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from river import reco

from stream_app.models.array_types import Mask
from stream_app.models.base import NO_ITEM, Context, Items, Observation
from stream_app.models.columns import grow
from stream_app.models.id_index import IdIndex
from stream_app.models.item_index import ItemIndex
from stream_app.models.model_state import State
from stream_app.models.river_graph import forget_keys
from stream_app.models.river_model import RiverModel

_NEW_USER: Final = "user"
"""Key of the user that stands for all users without a row."""


def _user_key(row: int) -> str:
    return f"user:{row}"


def _item_key(item: int) -> str:
    return f"item:{item}"


class RiverRanker(RiverModel):
    """A River ranker over keys of Headrace, which are forgotten with their users and items.

    Users have the key of their row, items that of their integer; ids are not passed on. The rows are bounded: a full
    index of users evicts the longest inactive, and the ranker forgets their keys as it does those of erased users
    and evicted items. A ranker in which a key could be left starts anew instead, see `stream_app.models.river_graph`.

    The first choice of each user is also learned as one of a user that stands for all new ones, since River's rankers
    say nothing of a user whom they do not know.

    Parameters
    ----------
    index
        The items.
    river
        A ranker that has learned nothing; it is copied. One that is contextual gets the event time ``ts`` and
        the user's segments.
    name
        Name of the model.
    max_users
        Users with a row.
    pool, negatives, seed
        See `RiverModel`.

    Examples
    --------
    >>> model = RiverRanker(river=reco.BiasedMF(n_factors=8, seed=3))
    >>> for _ in range(30):
    ...     model.learn_one("ann", "shoe", 2.0)
    ...     model.learn_one("ann", "sock", -1.0)
    >>> model.rank("ann", {"sock", "shoe", "unknown"})
    ['shoe', 'sock', 'unknown']
    """

    def __init__(
        self,
        index: ItemIndex | None = None,
        *,
        river: reco.base.Ranker,
        name: str = "river",
        max_users: int = 200_000,
        pool: int = 200,
        negatives: float = 1.0,
        seed: int = 7,
    ) -> None:
        super().__init__(index, river, name=name, pool=pool, negatives=negatives, seed=seed)
        self.max_users = max_users
        self._reset()

    def _reset(self) -> None:
        super()._reset()
        self._users = IdIndex(self.max_users, self._drop_users)
        # rows that the ranker has learned since it started anew
        self._known_users: Mask = np.zeros(64, np.bool_)
        self._knows_new_user = False

    def _get_params(self) -> dict[str, Any]:
        names = ("river", "name", "max_users", "pool", "negatives", "seed")
        return {name: getattr(self, name) for name in names}

    def _learn(self, observation: Observation) -> None:
        """Learn an observation, and samples of other items; repeats are skipped."""
        if observation.repeat:
            return
        known = self._users.find(observation.user)
        is_new = known == NO_ITEM or not self._known_users[known]
        row = self._users.index(observation.user, observation.ts)
        self._known_users = grow(self._known_users, row + 1)
        self._known_users[row] = True
        key = _user_key(row)
        features = self._features(observation)
        for item, target in self._examples(observation):
            self._learned.learn_one(key, _item_key(item), target, *features)
            if is_new:
                self._knows_new_user = True
                self._learned.learn_one(_NEW_USER, _item_key(item), target, *features)

    def _features(self, of: Observation | Context) -> tuple[dict[str, Any], ...]:
        """Features for a contextual ranker; no argument for others."""
        if not self._learned.is_contextual:
            return ()
        ts = of.now if isinstance(of, Context) else of.ts
        # a query may be personal, and a ranker may keep what it gets
        return ({"ts": ts, **dict.fromkeys(of.segments, 1)},)

    def _predictions(self, context: Context, items: Sequence[int]) -> Sequence[float] | None:
        row = self._users.find(context.user) if context.user else NO_ITEM
        is_known = row != NO_ITEM and bool(self._known_users[row])
        if not is_known and not self._knows_new_user:
            return None
        key = _user_key(row) if is_known else _NEW_USER
        features, predict = self._features(context), self._learned.predict_one
        return [predict(key, _item_key(item), *features) for item in items]

    def forget_user(self, user: str) -> None:
        """Drop what was learned under the key of a user."""
        super().forget_user(user)
        self._users.forget(user)

    def forget_items(self, items: Items) -> None:
        """Drop what was learned under the keys of items."""
        in_range = items[items < len(self._known)]
        known = in_range[self._known[in_range]].tolist()
        super().forget_items(items)
        self._forget([_item_key(item) for item in known])

    def _drop_users(self, rows: Items) -> None:
        self._known_users[rows] = False
        self._forget([_user_key(row) for row in rows.tolist()])

    def _forget(self, keys: Sequence[str]) -> None:
        if keys and not forget_keys(self._learned, keys):
            # a key may be left: what the ranker learned is dropped as a whole
            self._learned = self.river.clone()
            self._known[:] = self._known_users[:] = False
            self._knows_new_user = False
            self._pool.forget_items(self._pool.items[: self._pool.size].copy())

    def _get_state(self) -> State:
        return {
            **super()._get_state(),
            "users": self._users.state(),
            "new_user": self._knows_new_user,
            "known_users": grow(self._known_users, self._users.size)[: self._users.size].copy(),
        }

    def _set_tables(self, state: Mapping[str, Any]) -> None:
        super()._set_tables(state)
        self._users.restore(state["users"])
        self._known_users = grow(np.array(state["known_users"], np.bool_), 64)
        self._knows_new_user = bool(state["new_user"])

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return super().memory() + self._users.memory()
