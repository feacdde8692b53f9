"""Items of users with similar interactions."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np

from stream_app.models.array_types import Floats
from stream_app.models.base import Context, Items, Observation, Scores
from stream_app.models.columns import MIN_ROWS, grow_columns, item_mask, pack_rows, unpack_rows
from stream_app.models.id_index import IdIndex
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels import user_knn as kernels
from stream_app.models.kernels.bounded_rows import drop_items
from stream_app.models.kernels.jit import plain
from stream_app.models.kernels.topk import top_k
from stream_app.models.kernels.user_knn import ItemUsers, Neighbors, UserItems
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes
from stream_app.models.similarity import count_cosine, count_jaccard, count_pearson, similarity_named
from stream_app.models.sparse_scoring import SparseScoringModel
from topics.records import Reason

USER_SIMILARITIES: Final = ("cosine", "jaccard", "pearson")


class UserKNN(SparseScoringModel):
    """User-to-user k-nearest-neighbors on postings.

    A user is represented by their newest distinct items; each item stores its last users (postings). The users who
    share an item with the context are found through the postings and compared with the context as sets of items.
    The nearest users, by similarity decayed by the age of the newest shared item, propose their other items. The
    score of an item is the sum of its users' similarities, each decayed by the age of the interaction.

    A user is not their own neighbor, and items of the context are not proposed.

    Parameters
    ----------
    max_users
        Users remembered; a full index evicts about 1%, the longest inactive first.
    half_life
        Seconds in which an interaction loses half its weight.
    user_items
        Newest distinct items stored per user.
    postings
        Last users stored per item.
    neighbors
        Number of nearest users.
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
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> model = UserKNN(index)
    >>> for item in (shoe, sock):
    ...     model.learn(Observation("ann", item, 0.0, Kind.VIEW))
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
        index: ItemIndex | None = None,
        *,
        max_users: int = 200_000,
        half_life: float = 86_400.0,
        user_items: int = 32,
        postings: int = 64,
        neighbors: int = 50,
        depth: int = 10,
        similarity: str = "cosine",
    ) -> None:
        similarity_named(similarity, USER_SIMILARITIES)
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
        self._neighbors = Neighbors(
            np.zeros(capacity, np.int32), np.zeros(capacity), np.zeros(capacity), np.zeros(capacity, np.int32)
        )
        self._nearest: Items = np.zeros(neighbors, np.int32)
        self._nearest_scores: Scores = np.zeros(neighbors, np.float32)

    def _reset(self) -> None:
        self._users = IdIndex(self.max_users, self._drop_users)
        shape = (MIN_ROWS, self.user_items)
        self._user_items = UserItems(
            np.zeros(shape, np.int32),
            np.zeros(shape),
            np.zeros(MIN_ROWS, np.int32),
            np.zeros(MIN_ROWS, np.int32),
        )
        self._postings = ItemUsers(
            np.zeros((MIN_ROWS, self.postings), np.int32), np.zeros(MIN_ROWS, np.int64)
        )

    def learn(self, observation: Observation) -> None:
        """Store the item for the user and the user for the item; dislikes are skipped."""
        if observation.weight <= 0:
            return
        item, ts = observation.item, observation.ts
        row = self._users.index(observation.user, ts)
        self._reserve(row + 1, item + 1)
        kernels.add_interaction(row, item, ts, plain(self._user_items), plain(self._postings))

    def explain(self, context: Context, item: int, evidence: int) -> Reason:
        """Name the newest context item that the most similar user shares."""
        return Reason("similar_users", item_id=self._index.id_of(evidence))

    def forget_user(self, user: str) -> None:
        """Drop a user's items, and the user from the rings of items."""
        super().forget_user(user)
        row = self._users.find(user)
        if row >= 0:
            self._users.forget(user)
            rings = self._postings.rings
            rings[rings == row] = kernels.NO_ROW

    def forget_items(self, items: Items) -> None:
        """Remove the items from every user, and drop their postings."""
        users, posted = self._user_items, self._postings.posted
        drop_items(users.items, users.times, users.sizes, item_mask(items, self._index.size))
        posted[items[items < len(posted)]] = 0

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        arrays = (*self._user_items, *self._postings, *self._neighbors)
        return super().memory() + self._users.memory() + resident_bytes(arrays)

    def _reserve(self, users: int, items: int) -> None:
        if users > len(self._user_items.sizes):
            self._user_items = grow_columns(self._user_items, users)
        if items > len(self._postings.posted):
            self._postings = grow_columns(self._postings, items)

    def _drop_users(self, rows: Items) -> None:
        # they stay in the rings, but are skipped, since their rows are empty
        self._user_items.sizes[rows] = 0

    def _get_state(self) -> State:
        users, (rings, posted) = self._user_items, self._postings
        sizes = users.sizes[: self._users.size]
        return {
            "users": self._users.state(),
            "sizes": sizes.copy(),
            "items": pack_rows(users.items, sizes),
            "times": pack_rows(users.times, sizes),
            "posted": posted.copy(),
            "postings": pack_rows(rings, posted),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._users.restore(state["users"])
        sizes, posted = state["sizes"], state["posted"]
        self._reserve(len(sizes), len(posted))
        users, postings = self._user_items, self._postings
        users.sizes[: len(sizes)] = sizes
        unpack_rows(state["items"], sizes, users.items)
        unpack_rows(state["times"], sizes, users.times)
        postings.posted[: len(posted)] = posted
        unpack_rows(state["postings"], posted, postings.rings)

    def _compare(self, n: int, used: int) -> Floats:
        """Similarity of each neighbor with the context, shape (n,)."""
        overlaps = self._neighbors.overlaps[:n]
        sizes = self._user_items.sizes[self._neighbors.rows[:n]].astype(np.float64)
        context_sizes = np.full(n, float(used))
        if self.similarity == "cosine":
            return count_cosine(overlaps, context_sizes, sizes)
        if self.similarity == "jaccard":
            return count_jaccard(overlaps, context_sizes, sizes)
        # one more, so that no set holds all items
        n_items = np.maximum(len(self._index), context_sizes + sizes - overlaps) + 1.0
        return count_pearson(overlaps, context_sizes, sizes, n_items)

    def _accumulate_scores(self, context: Context) -> int:
        own_row = self._users.find(context.user) if context.user else -1
        n, used = kernels.find_neighbors(
            context.items,
            self.depth,
            own_row,
            plain(self._user_items),
            plain(self._postings),
            plain(self._neighbors),
        )
        if n == 0:
            return 0
        similarities = self._compare(n, used)
        decay = np.exp2(np.maximum(0.0, context.now - self._neighbors.newest[:n]) / -self.half_life)
        n_nearest = top_k(
            self._neighbors.rows,
            (similarities * decay).astype(np.float32),
            n,
            self._users.hashes,
            self.neighbors,
            self._nearest,
            self._nearest_scores,
        )
        n_touched: int = kernels.score_neighbor_items(
            context.items,
            context.now,
            self.half_life,
            self._nearest[:n_nearest],
            similarities,
            plain(self._neighbors),
            plain(self._user_items),
            plain(self._scratch),
        )
        return n_touched
