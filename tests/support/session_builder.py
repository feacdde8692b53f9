"""Sessions of items named by letters, for the models on the session store."""

from typing import Any

import numpy as np

from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, NO_SESSION, Context, Items, Observation
from stream_app.models.item_index import ItemIndex
from stream_app.models.registry import create
from stream_app.models.session_store_model import SessionStoreModel
from topics.records import Kind


class SessionBuilder:
    """One model on a store of its own; each letter is an item."""

    def __init__(self, name: str, **parameters: Any) -> None:
        self.index = ItemIndex(100, self._forget)
        (model,) = create([name], self.index, **parameters)
        assert isinstance(model, SessionStoreModel)
        self.model = model
        self.store = model.store

    def _forget(self, items: Items) -> None:
        self.model.forget_items(items)

    def add_session(
        self, session: int, items: str, user: str = "someone", weight: float = 1.0, ts: float = 0.0
    ) -> "SessionBuilder":
        """Learn a session whose clicks have one time."""
        seen: list[int] = []
        for name in items:
            item = self.index.index(name, ts)
            previous = np.array(seen, np.int32) if seen else EMPTY_ITEMS
            times = np.full(len(seen), ts) if seen else EMPTY_TIMES
            self.model.learn(
                Observation(user, item, ts, Kind.VIEW, weight, (), session, item in seen, previous, times)
            )
            seen.append(item)
        return self

    def context(
        self, items: str, user: str = "me", start: int = 0, session: int = NO_SESSION, now: float = 0.0
    ) -> Context:
        """Context of a user who viewed these items last."""
        indices = np.array([self.index.find(name) for name in items], np.int32)
        return Context(user, indices, np.full(len(indices), now), start, (), now, session)

    def candidates(self, items: str, **more: Any) -> dict[str, float]:
        """Candidates and their scores, best first."""
        result = self.model.candidates(self.context(items, **more), 50)
        names = [self.index.id_of(item) for item in result.items]
        return dict(zip(names, result.scores.tolist(), strict=True))
