"""Unit vectors of items, such that the vector of a session is near the item clicked next."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import NO_ITEM, Items, Observation, Scores
from stream_app.models.columns import grow
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels import item_vectors as kernels
from stream_app.models.kernels.item_vectors import Vectors, VectorScratch
from stream_app.models.kernels.jit import plain
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes
from stream_app.models.session_store import NeighborScores, SessionStore
from stream_app.models.session_store_model import SessionStoreModel

STEPS_BACK = 8
"""Newest items of a session that its vector is computed from."""


class ItemVectors(SessionStoreModel):
    """Item vectors learned by a sampled softmax over cosines, one click at a time.

    The vector of a session is the sum of its newest items' vectors, scaled to length 1; each dimension has a learned
    weight per number of clicks since (a gate). A click moves its item's vector towards the session's vector, and the
    vectors of sampled recent clicks away from it.

    The first vector of an item is near the session of its first click.

    Candidates are those of the session store, ranked by cosine: a scan over all items would cost more than it gains.

    Parameters
    ----------
    n_factors
        Length of the vectors.
    negatives
        Samples per step.
    recent_clicks
        Newest clicks, which samples are drawn from.
    scale
        Factor of the cosines in the softmax.
    learning_rate
        Adagrad's step size.
    seed
        Of the first vectors and of the samples.

    References
    ----------
    Hou et al.: CORE, SIGIR 2022 (session vectors in the space of items, cosine softmax).
    Jean et al.: On using very large target vocabulary, ACL 2015 (sampled softmax).

    Examples
    --------
    >>> from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES, Context
    >>> from stream_app.models.registry import create
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> [model] = create(["item_vectors"], index)
    >>> for session in range(200):
    ...     pair = ("shoe", "sock") if session % 2 else ("pot", "pan")
    ...     for at, name in enumerate(pair):
    ...         before = np.array([index.find(each) for each in pair[:at]], np.int32)
    ...         model.learn(Observation("u", index.index(name, 0.0), 0.0, Kind.VIEW, 1.0, (), session, False,
    ...                                     before, np.zeros(at)))
    >>> context = Context("bob", np.array([index.find("shoe")], np.int32), np.zeros(1), 0, (), 0.0)
    >>> sock, pan = model.score(context, np.array([index.find("sock"), index.find("pan")], np.int32))
    >>> bool(sock > pan)
    True
    """

    name: ClassVar[str] = "item_vectors"
    additive: ClassVar[bool] = False

    def __init__(
        self,
        index: ItemIndex | None = None,
        store: SessionStore | None = None,
        owns_store: bool = True,  # set by the registry, not a hyperparameter
        *,
        n_factors: int = 64,
        negatives: int = 128,
        recent_clicks: int = 8_192,
        scale: float = 6.0,
        learning_rate: float = 0.4,
        seed: int = 7,
        **store_parameters: Any,
    ) -> None:
        super().__init__(index, store, owns_store, **store_parameters)
        self.n_factors = n_factors
        self.negatives = negatives
        self.recent_clicks = recent_clicks
        self.scale = scale
        self.learning_rate = learning_rate
        self.seed = seed
        self._reset()

    def _reset(self) -> None:
        gates = np.exp(-0.5 * np.arange(STEPS_BACK))[:, None].repeat(self.n_factors, 1).astype(np.float32)
        self.vectors = Vectors(
            np.zeros((0, self.n_factors), np.float32),
            np.zeros(0, np.float32),
            gates,
            np.full(STEPS_BACK, 1e-3, np.float32),
            np.zeros(self.recent_clicks, np.int32),
            np.array([0, self.seed], np.int64),
        )
        self._scratch = VectorScratch(
            np.zeros(self.n_factors, np.float32),
            np.zeros(self.n_factors, np.float32),
            np.zeros(self.negatives + 1, np.int32),
            np.zeros(self.negatives + 1, np.float32),
        )

    def learn(self, observation: Observation) -> None:
        """Learn a click after the earlier clicks of its session."""
        if observation.weight > 0:
            item = observation.item
            if item >= len(self.vectors.sums):
                arrays, rows = self.vectors, max(item + 1, 64)
                # the norm of a vector that was never learned is 0: such items are not known
                self.vectors = arrays._replace(
                    items=grow(arrays.items, rows), sums=grow(arrays.sums, rows, 1e-3)
                )
            kernels.learn_click(
                plain(self.vectors),
                item,
                self._index.hashes[item],
                observation.previous_items,
                np.float32(self.scale),
                np.float32(self.learning_rate),
                plain(self._scratch),
            )
        super().learn(observation)

    def _compute_scores(self, neighbors: NeighborScores) -> NDArray[np.float32]:
        context = neighbors.context
        start = context.session_index
        return self.cosines(context.items[start:], self.store.candidate_items(neighbors))

    def cosines(self, clicks: Items, items: Items) -> Scores:
        """1 + cosine of each item with the session of `clicks`; 0 where the item or the session is unknown.

        Parameters
        ----------
        clicks : ndarray of int32, shape (m,)
            The session, oldest first.
        items : ndarray of int32, shape (n,)

        Returns
        -------
        ndarray of float32, shape (n,)
        """
        out = np.zeros(len(items), np.float32)
        kernels.cosines(plain(self.vectors), clicks, items, self._scratch.session, out)
        return out

    def pairwise_cosines(self, others: Items, items: Items) -> NDArray[np.float32]:
        """1 + cosine of each item with each of some others, 2 for an item with itself; 0 where one is unknown.

        Parameters
        ----------
        others : ndarray of int32, shape (m,)
        items : ndarray of int32, shape (n,)

        Returns
        -------
        ndarray of float32, shape (m, n)
        """
        out = np.zeros((len(others), len(items)), np.float32)
        kernels.pairwise_cosines(plain(self.vectors), others, items, out)
        return out

    def forget_items(self, items: Items) -> None:
        """Drop the items' vectors, and remove the items from the samples."""
        super().forget_items(items)
        arrays = items[items < len(self.vectors.sums)]
        self.vectors.items[arrays] = 0.0
        self.vectors.sums[arrays] = 1e-3
        ring = self.vectors.ring
        ring[np.isin(ring, items)] = NO_ITEM

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return super().memory() + resident_bytes((*self.vectors, *self._scratch))

    def _get_state(self) -> State:
        vectors = {name: array.copy() for name, array in self.vectors._asdict().items()}
        return super()._get_state() | {"vectors": vectors}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        super()._set_state(state)
        # copied, since kernels are compiled again for read-only arrays
        self.vectors = Vectors(**{name: np.array(array) for name, array in state["vectors"].items()})
