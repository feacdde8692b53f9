"""Items that a walk from item to item over the sessions arrives at, seen with the context's or not."""

from typing import Any, ClassVar

import numpy as np

from stream_app.models.base import Scores
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels.session_columns import SessionColumn
from stream_app.models.session_store import NeighborScores, SessionStore
from stream_app.models.session_store_model import SessionStoreModel


class TwoHop(SessionStoreModel):
    """Co-visits of the context, and co-visits of its largest co-visits.

    A random walk of one or two steps over the postings: from the context's items to items of the same sessions, and
    from those with the largest shares (the bridges) to items of their sessions. Each step is weighted by the share
    of the sessions. The score is divided by a power of the item's clicks, since walks favor popular items in any
    context.

    Parameters
    ----------
    direct_weight
        Weight of walks of one step, relative to those of two.
    penalty
        Power of the clicks, from 0 to 1.

    References
    ----------
    Cooper et al.: Random walks in recommender systems, WWW 2014 (P3, and RP3 with the penalty by Paudel et al. 2017).

    Examples
    --------
    >>> from stream_app.models.base import Context, Observation
    >>> from stream_app.models.registry import create
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> [model] = create(["two_hop"], index)
    >>> for session, names in enumerate([("shoe", "sock"), ("sock", "hat")]):
    ...     for name in names:
    ...         model.learn(Observation("u", index.index(name, 0.0), 0.0, Kind.VIEW, session=session))
    >>> context = Context("bob", np.array([index.find("shoe")], np.int32), np.zeros(1), 0, (), 0.0)
    >>> [index.id_of(item) for item in model.candidates(context, 10).items]
    ['sock', 'hat', 'shoe']
    """

    name: ClassVar[str] = "two_hop"
    additive: ClassVar[bool] = False

    def __init__(
        self,
        index: ItemIndex | None = None,
        store: SessionStore | None = None,
        owns_store: bool = True,  # set by the registry, not a hyperparameter
        *,
        direct_weight: float = 2.7,
        penalty: float = 0.42,
        **store_parameters: Any,
    ) -> None:
        super().__init__(index, store, owns_store, **store_parameters)
        self.direct_weight = direct_weight
        self.penalty = penalty

    def _compute_scores(self, neighbors: NeighborScores) -> Scores:
        store = self.store
        clicks = store.arrays.clicks[store.candidate_items(neighbors)]
        walks = np.float32(self.direct_weight) * store.column(
            neighbors, SessionColumn.COVISIT_SHARE
        ) + store.column(neighbors, SessionColumn.SECOND_HOP)
        scores: Scores = walks / (clicks + 5.0).astype(np.float32) ** np.float32(self.penalty)
        return scores
