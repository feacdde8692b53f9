"""Items of recent sessions that are similar to the current one."""

from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels.neighbor_scores import scores_of_column
from stream_app.models.kernels.session_columns import SessionColumn
from stream_app.models.session_store import NeighborScores, SessionStore
from stream_app.models.session_store_model import SessionStoreModel

WEIGHTINGS: Final = {"stan": SessionColumn.STAN, "vsknn": SessionColumn.KNN}
"""Column of the session store by weighting."""


class SessionKNN(SessionStoreModel):
    """Session k-nearest neighbors on postings (VMIS-kNN), with the weights of STAN or of V-SKNN.

    The sessions that share an item with the current one are found through the postings of its items. STAN weights a
    session by the shared items (exponentially decayed by age), by its length and by its recency, and its items by
    their distance from the match. V-SKNN uses the nearest sessions only, weighted by the shared items (linearly
    decayed by age) and by the age of the newest of these.

    Scores are shares of the largest sum. The items of the session itself get a bonus of `repeat`, divided by the
    root of the clicks since, because items are often viewed again. The user's own session is not a neighbor.

    Parameters
    ----------
    repeat
        Bonus of the session's newest item, relative to the largest sum.
    weighting
        ``stan`` or ``vsknn``.

    Raises
    ------
    ValueError
        If the weighting is unknown.

    References
    ----------
    Kersbergen, Sprangers, Schelter: Serenade, SIGMOD 2022 (VMIS-kNN).
    Ludewig, Jannach: Evaluation of session-based recommendation algorithms, UMUAI 2018 (V-SKNN).
    Garg et al.: Sequence and time aware neighborhood for session-based recommendations, SIGIR 2019 (STAN).

    Examples
    --------
    >>> from stream_app.models.base import Context, Observation
    >>> from stream_app.models.item_index import ItemIndex
    >>> from stream_app.models.registry import create
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> [model] = create(["session_knn"], index)
    >>> for ts, item in enumerate([shoe, sock]):
    ...     model.learn(Observation("ann", item, ts, Kind.VIEW))
    >>> context = Context("bob", np.array([shoe], np.int32), np.array([90.0]), 0, (), 90.0)
    >>> [index.id_of(item) for item in model.candidates(context, 10).items]
    ['shoe', 'sock']
    """

    name: ClassVar[str] = "session_knn"
    additive: ClassVar[bool] = False
    uses_second_hop: ClassVar[bool] = False
    reason: ClassVar[str] = "similar_sessions"

    def __init__(
        self,
        index: ItemIndex | None = None,
        store: SessionStore | None = None,
        owns_store: bool = True,  # set by the registry, not a hyperparameter
        *,
        repeat: float = 1.9,
        weighting: str = "stan",
        **store_parameters: Any,
    ) -> None:
        if weighting not in WEIGHTINGS:
            raise ValueError(f"weighting must be one of {', '.join(WEIGHTINGS)}, not {weighting!r}")
        super().__init__(index, store, owns_store, **store_parameters)
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
