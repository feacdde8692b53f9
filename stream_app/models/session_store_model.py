"""Base of the models that score candidates by the sums of the session store."""

from collections.abc import Mapping
from inspect import signature
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import EMPTY_CANDIDATES, Candidates, Context, Items, Model, Observation, Scores
from stream_app.models.columns import look_up_scores
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels.topk import top_k
from stream_app.models.model_state import State
from stream_app.models.session_store import NeighborScores, SessionStore
from topics.records import Reason


class SessionStoreModel(Model):
    """A model on the session store.

    Several models share one store. Exactly one of them owns it: learns, forgets, and saves it.

    For a context without a user (an item's list), the newest item itself is left out.

    Parameters
    ----------
    index
        The items.
    store
        Sessions and postings; None for a store of its own.
    owns_store
        Whether this model owns the store.
    **store_parameters
        Hyperparameters of its own store.
    """

    uses_second_hop: ClassVar[bool] = True
    """Whether the model uses the second hop of the store."""

    reason: ClassVar[str] = "related"
    """Source of the reason of an item that is not in the context."""

    def __init__(
        self,
        index: ItemIndex | None = None,
        store: SessionStore | None = None,
        owns_store: bool = True,
        **store_parameters: Any,
    ) -> None:
        if store is not None and store_parameters:
            raise ValueError(f"a shared store has its {', '.join(store_parameters)} already")
        self._index = self._shared_or_own(index)
        self.store = SessionStore(self._index, **store_parameters) if store is None else store
        self._owns_store = owns_store

    @property
    def owns_store(self) -> bool:
        """Whether this model learns, forgets and saves the store."""
        return self._owns_store

    @property
    def learns_only_the_store(self) -> bool:
        """Whether the model has no state besides the store; its hyperparameters then only change how it scores."""
        return type(self)._get_state is SessionStoreModel._get_state  # noqa: SLF001  # of a subclass

    def _compute_scores(self, neighbors: NeighborScores) -> NDArray[np.float32]:
        """Score of each candidate of the store, 0 for none; a new array."""
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
        model_parameters = super().hyper_parameters()
        return {name: getattr(self, name) for name in model_parameters} | self.store.parameters

    def learn(self, observation: Observation) -> None:
        """Add a click to its session, if this model owns the store."""
        if self._owns_store:
            self.store.learn(observation)

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose the candidates of the store with the highest scores."""
        neighbors = self.store.query_neighbors(context, hop=self.uses_second_hop)
        candidate_items, values = self.store.candidate_items(neighbors), self._masked_scores(neighbors)
        items, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        n = top_k(candidate_items, values, len(candidate_items), self._index.hashes, k, items, scores)
        if not n:
            return EMPTY_CANDIDATES
        return Candidates(items[:n], scores[:n], self.store.evidence(neighbors, items[:n]))

    def score(self, context: Context, items: Items) -> Scores:
        """Score of each item, 0 for items that are not candidates of the store."""
        neighbors = self.store.query_neighbors(context, hop=self.uses_second_hop)
        known_items = self.store.candidate_items(neighbors)
        return look_up_scores(known_items, self._masked_scores(neighbors), items, self._index.size)

    def explain(self, context: Context, item: int, evidence: int) -> Reason:
        """Name the context item whose sessions hold the item most often, or the item itself if viewed before."""
        if evidence < 0:
            return Reason(self.reason)
        source = "viewed_before" if evidence == item else self.reason
        return Reason(source, item_id=self._index.id_of(evidence))

    def _masked_scores(self, neighbors: NeighborScores) -> Scores:
        """Score of each candidate of the store; 0 for the context's newest item if there is no user."""
        values, context = self._compute_scores(neighbors), neighbors.context
        if not context.user and len(context.items):
            values[self.store.candidate_items(neighbors) == context.items[-1]] = 0.0
        return values

    def forget_user(self, user: str) -> None:
        """Drop the sessions of a user."""
        super().forget_user(user)
        if self._owns_store:
            self.store.forget_user(user)

    def forget_items(self, items: Items) -> None:
        """Remove the items from every session, and drop their postings."""
        if self._owns_store:
            self.store.forget_items(items)

    def memory(self) -> int:
        """Bytes held, to within a few percent; the store counts with its owner."""
        return self.store.memory() if self._owns_store else 0

    def _reset(self) -> None:
        """Do nothing: the store resets itself when it is restored."""

    def _get_state(self) -> State:
        return {"store": self.store.state() if self._owns_store else None}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        if self._owns_store:
            self.store.restore(state["store"])
