"""Shoppers who like the same things, and what else they like."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Context, Items, Observation, Scores, Times
from stream_app.models.id_index import IdIndex
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels import user_knn as user_knn_kernels
from stream_app.models.kernels.session_tails import drop_items
from stream_app.models.kernels.topk import top_k
from stream_app.models.model_state import State, grow
from stream_app.models.similarity import count_cosine, count_jaccard, count_pearson, similarity_code
from stream_app.models.sparse_scoring import SparseScoringModel
from topics.records import Reason

USER_SIMILARITIES: Final = ("cosine", "jaccard", "pearson")


class UserKNN(SparseScoringModel):
    """User-to-user k-nearest-neighbors on postings.

    Each shopper is known by their newest distinct items, and each item remembers the last shoppers who touched
    it. For a context, the shoppers who share an item with it are found through the postings and compared with
    it as sets of items. The nearest, a shared item faded by its age, propose their other items; one scores the
    sum of its shoppers' similarities, each faded by how long ago they touched it.

    A shopper is not their own neighbor, and items of the context are not proposed.

    Parameters
    ----------
    index
        The items.
    max_users
        Shoppers remembered; about 1% are forgotten, the longest inactive first, when one more comes.
    half_life
        Seconds in which a touch loses half its weight.
    user_items
        Distinct items remembered of a shopper, the newest.
    postings
        Shoppers remembered of an item, the last to come.
    neighbors
        Nearest shoppers used.
    depth
        Distinct context items used, the newest.
    similarity
        ``cosine``, ``jaccard`` or ``pearson`` (over all items of the index).

    References
    ----------
    Resnick, Iacovou, Suchak, Bergstrom, Riedl: GroupLens, CSCW 1994.
    Herlocker, Konstan, Borchers, Riedl: An algorithmic framework for collaborative filtering, SIGIR 1999.

    Examples
    --------
    >>> from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> model = UserKNN(index)
    >>> for item in (shoe, sock):
    ...     model.learn_one(Observation(
    ...         "ann", item, 0.0, Kind.VIEW, 1.0, (), 1, False, EMPTY_ITEMS, EMPTY_TIMES))
    >>> context = Context("bob", np.array([shoe], np.int32), np.array([0.0]), 0, (), 0.0)
    >>> found = model.candidates(context, 10)
    >>> [index.id_of(item) for item in found.items], round(float(found.scores[0]), 3)
    (['sock'], 0.707)
    >>> model.explain(context, sock, shoe)
    Reason(source='similar_users', item_id='shoe', segment=None, query=None)
    """

    name: ClassVar[str] = "user_knn"
    additive: ClassVar[bool] = False

    def __init__(
        self,
        index: ItemIndex,
        *,
        max_users: int = 200_000,
        half_life: float = 86_400.0,
        user_items: int = 32,
        postings: int = 64,
        neighbors: int = 50,
        depth: int = 10,
        similarity: str = "cosine",
    ) -> None:
        similarity_code(similarity, USER_SIMILARITIES)
        super().__init__(index, neighbors * user_items)
        self.max_users = max_users
        self.half_life = half_life
        self.user_items = user_items
        self.postings = postings
        self.neighbors = neighbors
        self.depth = depth
        self.similarity = similarity
        self._reset()
        capacity = depth * postings
        self._rows: Items = np.zeros(capacity, np.int32)
        self._overlaps: NDArray[np.float64] = np.zeros(capacity)
        self._newest: Times = np.zeros(capacity)
        self._matched_positions: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self._nearest: Items = np.zeros(neighbors, np.int32)
        self._nearest_scores: Scores = np.zeros(neighbors, np.float32)

    def _reset(self) -> None:
        self._users = IdIndex(self.max_users, self._drop_users)
        self._items: Items = np.zeros((64, self.user_items), np.int32)
        self._times: Times = np.zeros((64, self.user_items))
        self._sizes: NDArray[np.int32] = np.zeros(64, np.int32)
        self._row_slots: NDArray[np.int32] = np.zeros(64, np.int32)
        self._posting_rings: Items = np.zeros((64, self.postings), np.int32)
        self._posting_counts: NDArray[np.int64] = np.zeros(64, np.int64)

    def learn_one(self, observation: Observation) -> None:
        """Remember an item of a shopper and the shopper of an item; dislikes are skipped."""
        if observation.weight <= 0:
            return
        item, ts = observation.item, observation.ts
        row = self._users.index(observation.user, ts)
        if row >= len(self._sizes):
            self._reserve_users(row + 1)
        if item >= len(self._posting_counts):
            self._reserve_items(item + 1)
        user_knn_kernels.add_interaction(
            row, item, ts, self._items, self._times, self._sizes, self._posting_rings, self._posting_counts
        )

    def explain(self, context: Context, item: int, evidence: int) -> Reason:  # noqa: ARG002
        """Name the context item that the best neighbor was found by."""
        return Reason("similar_users", item_id=self._index.id_of(evidence))

    def forget_user(self, user: str) -> None:
        """Drop a shopper's items."""
        self._users.forget(user)

    def forget_items(self, items: Items) -> None:
        """Take the items out of every shopper's, and drop their postings."""
        removed_mask = np.zeros(self._index.size, np.bool_)
        removed_mask[items] = True
        drop_items(self._items, self._times, self._sizes, removed_mask)
        self._posting_counts[items[items < len(self._posting_counts)]] = 0

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return super().memory() + self._users.memory()

    def _reserve_users(self, rows: int) -> None:
        self._items = grow(self._items, rows)
        self._times = grow(self._times, rows)
        self._sizes = grow(self._sizes, rows)
        self._row_slots = grow(self._row_slots, rows)

    def _reserve_items(self, rows: int) -> None:
        self._posting_rings = grow(self._posting_rings, rows)
        self._posting_counts = grow(self._posting_counts, rows)

    def _drop_users(self, rows: Items) -> None:
        # their places in the rings stay, and are passed over: the row holds no item
        self._sizes[rows] = 0

    def _get_state(self) -> State:
        users = self._users.size
        mask = np.arange(self.user_items) < self._sizes[:users, None]
        filled = np.arange(self.postings) < self._posting_counts[:, None]
        return {
            "users": self._users.state(),
            "sizes": self._sizes[:users].copy(),
            "items": self._items[:users][mask],
            "times": self._times[:users][mask],
            "posted": self._posting_counts.copy(),
            "postings": self._posting_rings[filled],
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._users.restore(state["users"])
        users, items = len(state["sizes"]), len(state["posted"])
        self._reserve_users(users)
        self._reserve_items(items)
        self._sizes[:users] = state["sizes"]
        mask = np.arange(self.user_items) < self._sizes[:users, None]
        self._items[:users][mask] = state["items"]
        self._times[:users][mask] = state["times"]
        self._posting_counts[:items] = state["posted"]
        self._posting_rings[np.arange(self.postings) < self._posting_counts[:, None]] = state["postings"]

    def _compare(self, n: int, used: int) -> NDArray[np.float64]:
        """Similarity of each shopper met with the context."""
        overlaps, sizes = self._overlaps[:n], self._sizes[self._rows[:n]].astype(np.float64)
        context_sizes = np.full(n, float(used))
        if self.similarity == "cosine":
            return count_cosine(overlaps, context_sizes, sizes)
        if self.similarity == "jaccard":
            return count_jaccard(overlaps, context_sizes, sizes)
        # one more than there are, so that nobody has touched them all
        n_items = np.maximum(len(self._index), context_sizes + sizes - overlaps) + 1.0
        return count_pearson(overlaps, context_sizes, sizes, n_items)

    def _accumulate_scores(self, context: Context) -> int:
        own_row = self._users.find(context.user) if context.user else -1
        n, used = user_knn_kernels.find_neighbors(
            context.items,
            self.depth,
            own_row,
            self._items,
            self._times,
            self._sizes,
            self._posting_rings,
            self._posting_counts,
            self._row_slots,
            self._rows,
            self._overlaps,
            self._newest,
            self._matched_positions,
        )
        if n == 0:
            return 0
        similarities = self._compare(n, used)
        decay = np.exp2(np.maximum(0.0, context.now - self._newest[:n]) / -self.half_life)
        n_nearest = top_k(
            self._rows,
            (similarities * decay).astype(np.float32),
            n,
            self._users.hashes,
            self.neighbors,
            self._nearest,
            self._nearest_scores,
        )
        n_touched: int = user_knn_kernels.score_neighbor_items(
            context.items,
            context.now,
            self.half_life,
            self._nearest,
            n_nearest,
            self._rows,
            n,
            similarities,
            self._matched_positions,
            self._items,
            self._times,
            self._sizes,
            self._row_slots,
            self._scores,
            self._best,
            self._evidence,
            self._touched_items,
        )
        return n_touched
