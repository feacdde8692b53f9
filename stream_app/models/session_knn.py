"""Sessions like this one, among the most recent, and what else was in them."""

from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Context
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels.neighbor_scores import scores_of_column
from stream_app.models.kernels.session_columns import SessionColumn
from stream_app.models.session_store import NeighborScores, SessionStore
from stream_app.models.session_store_model import SessionStoreModel
from topics.records import Reason

WEIGHTINGS: Final = {"stan": SessionColumn.STAN, "vsknn": SessionColumn.KNN}
"""What each weighting adds up."""


class SessionKNN(SessionStoreModel):
    """Session k-nearest-neighbors on posting lists (VMIS-kNN), with STAN's weights or V-SKNN's.

    The sessions that share an item with the current one are found through the items' postings. By STAN's weights
    each weighs by the items it shares, the newer the exponentially more, by its own length and by how recent it is;
    an item of it weighs the more the nearer it stands to the match. By V-SKNN's only the nearest count, each by the
    items it shares, the newer the linearly more, and by how far back the newest of them is.

    The sums are set against their largest; to that the items of the session itself are given `repeat`, falling with
    the root of the clicks since: what was looked at is often looked at again. The shopper's own session is no
    neighbor.

    Parameters
    ----------
    index, store, owns_store
        See `SessionStoreModel`.
    repeat
        What an item of the session has to begin with, relative to the best neighbor's.
    weighting
        ``stan`` or ``vsknn``.

    Raises
    ------
    ValueError
        If there is no such weighting.

    References
    ----------
    Kersbergen, Sprangers, Schelter: Serenade, SIGMOD 2022 (VMIS-kNN).
    Ludewig, Jannach: Evaluation of session-based recommendation algorithms, UMUAI 2018 (V-SKNN).
    Garg et al.: Sequence and time aware neighborhood for session-based recommendations, SIGIR 2019 (STAN).

    Examples
    --------
    >>> from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Observation
    >>> from stream_app.models.item_index import ItemIndex
    >>> from stream_app.models.registry import create
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> [model] = create(["session_knn"], index)
    >>> for ts, item in enumerate([shoe, sock]):
    ...     model.learn_one(Observation("ann", item, ts, Kind.VIEW, 1.0, (), 1, False, EMPTY_ITEMS, EMPTY_TIMES))
    >>> context = Context("bob", np.array([shoe], np.int32), np.array([90.0]), 0, (), 90.0)
    >>> [index.id_of(item) for item in model.candidates(context, 10).items]
    ['shoe', 'sock']
    """

    name: ClassVar[str] = "session_knn"
    additive: ClassVar[bool] = False
    uses_second_hop: ClassVar[bool] = False

    def __init__(
        self,
        index: ItemIndex,
        store: SessionStore,
        owns_store: bool = True,  # set by the registry, not a hyper-parameter
        *,
        repeat: float = 1.9,
        weighting: str = "stan",
    ) -> None:
        if weighting not in WEIGHTINGS:
            raise ValueError(f"weighting must be one of {', '.join(WEIGHTINGS)}, not {weighting!r}")
        super().__init__(index, store, owns_store)
        self.repeat = repeat
        self.weighting = weighting

    def _compute_scores(self, neighbors: NeighborScores) -> NDArray[np.float32]:
        scratch, values = self.store.scratch, np.empty(neighbors.n, np.float32)
        scores_of_column(
            scratch.slots,
            scratch.sums,
            scratch.context,
            scratch.ages,
            neighbors.distinct,
            int(WEIGHTINGS[self.weighting]),
            self.repeat,
            values,
        )
        return values

    def explain(self, context: Context, item: int, evidence: int) -> Reason:  # noqa: ARG002
        """Name the context item that the neighbors were found by, or say the item was seen before."""
        if evidence < 0:
            return Reason("similar_sessions")
        source = "viewed_before" if evidence == item else "similar_sessions"
        return Reason(source, item_id=self._index.id_of(evidence))
