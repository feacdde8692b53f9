"""Items that follow the newest items of the context in other sessions."""

from typing import Any, ClassVar

import numpy as np

from stream_app.models.base import Context, Scores
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels.session_columns import SessionColumn
from stream_app.models.session_store import NeighborScores, SessionStore
from stream_app.models.session_store_model import SessionStoreModel
from topics.records import Reason


class SequentialRules(SessionStoreModel):
    """Sequential rules of first and higher order, counted from the postings.

    An item that follows the newest context item in a session counts 1 / distance; distance 1 alone would be a Markov
    chain of first order. Items after the second newest context item count `second_weight` times as much.

    Parameters
    ----------
    second_weight
        Weight of the second newest item, relative to the newest.

    References
    ----------
    Kamehkhosh, Jannach, Ludewig: A comparison of frequent pattern techniques and a deep learning method for
    session-based recommendation, TempRec 2017.

    Examples
    --------
    >>> from stream_app.models.base import Observation
    >>> from stream_app.models.registry import create
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> [model] = create(["sequential_rules"], index)
    >>> for ts, item in enumerate([shoe, sock]):
    ...     model.learn(Observation("ann", item, ts, Kind.VIEW))
    >>> def after(item):
    ...     context = Context("bob", np.array([item], np.int32), np.zeros(1), 0, (), 0.0)
    ...     return [index.id_of(found) for found in model.candidates(context, 10).items]
    >>> after(shoe), after(sock)
    (['sock'], [])
    """

    name: ClassVar[str] = "sequential_rules"
    additive: ClassVar[bool] = False
    uses_second_hop: ClassVar[bool] = False

    def __init__(
        self,
        index: ItemIndex | None = None,
        store: SessionStore | None = None,
        owns_store: bool = True,  # set by the registry, not a hyperparameter
        *,
        second_weight: float = 0.28,
        **store_parameters: Any,
    ) -> None:
        super().__init__(index, store, owns_store, **store_parameters)
        self.second_weight = second_weight

    def _compute_scores(self, neighbors: NeighborScores) -> Scores:
        supports = self.store.scratch.supports
        first: Scores = self.store.column(neighbors, SessionColumn.AFTER) / (supports[0] + np.float32(1.0))
        if neighbors.distinct < 2:
            return first
        first += self.store.column(neighbors, SessionColumn.AFTER_2) * np.float32(
            self.second_weight / (supports[1] + 1.0)
        )
        return first

    def explain(self, context: Context, item: int, evidence: int) -> Reason:
        """Name the newest context item."""
        newest = int(context.items[-1]) if len(context.items) else -1
        return Reason("viewed_next", item_id=self._index.id_of(newest) if newest >= 0 else None)
