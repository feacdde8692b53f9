"""What the models have in common that score candidates by what the session store adds up."""

from collections.abc import Mapping
from inspect import signature
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import EMPTY_CANDIDATES, Candidates, Context, Items, Model, Observation, Scores
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels import shared as kernels
from stream_app.models.model_state import State
from stream_app.models.session_store import SessionStore, Surroundings


class StoreModel(Model):
    """A view on the session store.

    Several such models share one store. Exactly one of them keeps it: learns, forgets, and has it in its state.

    For a context with no user (an item's list), the newest item itself is left out.

    Parameters
    ----------
    index
        The items.
    store
        Sessions and postings.
    keeps
        Whether this model keeps the store.
    """

    hops: ClassVar[bool] = True
    """Whether the model goes by more than the sessions that share an item with the context."""

    def __init__(self, index: ItemIndex, store: SessionStore, keeps: bool = True) -> None:
        self._index = index
        self.store = store
        self._keeps = keeps

    def _values(self, around: Surroundings) -> NDArray[np.float32]:
        """Score of each candidate of the store, 0 for none; an array of its own."""
        raise NotImplementedError

    @classmethod
    def hyper_parameters(cls) -> dict[str, Any]:
        """The model's own and the store's."""
        store = signature(SessionStore).parameters.values()
        return super().hyper_parameters() | {
            each.name: each.default for each in store if each.kind is each.KEYWORD_ONLY
        }

    def parameters(self) -> dict[str, Any]:
        """The model's own and the store's."""
        own = super().hyper_parameters()
        return {name: getattr(self, name) for name in own} | self.store.parameters

    def learn_one(self, observation: Observation) -> None:
        """Add a click to its session, if this model keeps the store."""
        if self._keeps:
            self.store.learn_one(observation)

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose the items that the sessions around the context speak for."""
        around = self.store.look_around(context, hop=self.hops)
        found, values = self.store.found(around), self._scored(around)
        items, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        n = kernels.select(found, values, len(found), self._index.hashes, k, items, scores)
        if not n:
            return EMPTY_CANDIDATES
        return Candidates(items[:n], scores[:n], self.store.evidence(around, items[:n]))

    def score(self, context: Context, items: Items) -> Scores:
        """What the sessions around the context say of each item."""
        around = self.store.look_around(context, hop=self.hops)
        everything = np.zeros(self._index.size + 1, np.float32)
        everything[self.store.found(around)] = self._scored(around)
        return everything[np.where((items >= 0) & (items < self._index.size), items, self._index.size)]

    def _scored(self, around: Surroundings) -> Scores:
        """Score of each candidate of the store, 0 for none and for the item that a list for nobody is about."""
        values, context = self._values(around), around.context
        if not context.user and len(context.items):
            values[self.store.found(around) == context.items[-1]] = 0.0
        return values

    def forget_user(self, user: str) -> None:
        """Empty the shopper's sessions."""
        if self._keeps:
            self.store.forget_user(user)

    def forget_items(self, items: Items) -> None:
        """Take the items out of every session, and drop their postings."""
        if self._keeps:
            self.store.forget_items(items)

    def memory(self) -> int:
        """Bytes held, to within a few percent; the store's are with the model that keeps it."""
        return self.store.memory() if self._keeps else 0

    def _clear(self) -> None:
        """Nothing is held here; the store clears itself when it is restored."""

    def _parts(self) -> State:
        return {"store": self.store.state() if self._keeps else None}

    def _fill(self, state: Mapping[str, Any]) -> None:
        if self._keeps:
            self.store.restore(state["store"])
