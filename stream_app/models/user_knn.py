"""Shoppers who like the same things, and what else they like."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Context, Items, Observation, Scores, Times
from stream_app.models.id_index import IdIndex
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels import shared as kernels
from stream_app.models.kernels import user_knn as user_knn_kernels
from stream_app.models.model_state import State, grown
from stream_app.models.similarity import count_cosine, count_jaccard, count_pearson, measure
from stream_app.models.sparse_scoring import SpreadingModel
from topics.records import Reason

CHOICES: Final = ("cosine", "jaccard", "pearson")


class UserKNN(SpreadingModel):
    """User-to-user k-nearest-neighbours on postings.

    Each shopper is known by their newest distinct items, and each item remembers the last shoppers who touched
    it. For a context, the shoppers who share an item with it are found through the postings and compared with
    it as sets of items. The nearest, a shared item faded by its age, propose their other items; one scores the
    sum of its shoppers' similarities, each faded by how long ago they touched it.

    A shopper is not their own neighbour, and items of the context are not proposed.

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
    neighbours
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
    Reason(source='similar_shoppers', item_id='shoe', segment=None, query=None)
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
        neighbours: int = 50,
        depth: int = 10,
        similarity: str = "cosine",
    ) -> None:
        measure(similarity, CHOICES)
        super().__init__(index, neighbours * user_items)
        self.max_users = max_users
        self.half_life = half_life
        self.user_items = user_items
        self.postings = postings
        self.neighbours = neighbours
        self.depth = depth
        self.similarity = similarity
        self._clear()
        met = depth * postings
        self._rows: Items = np.zeros(met, np.int32)
        self._common: NDArray[np.float64] = np.zeros(met)
        self._newest: Times = np.zeros(met)
        self._matched: NDArray[np.int32] = np.zeros(met, np.int32)
        self._near: Items = np.zeros(neighbours, np.int32)
        self._near_scores: Scores = np.zeros(neighbours, np.float32)

    def _clear(self) -> None:
        self._users = IdIndex(self.max_users, self._drop_users)
        self._items: Items = np.zeros((64, self.user_items), np.int32)
        self._times: Times = np.zeros((64, self.user_items))
        self._sizes: NDArray[np.int32] = np.zeros(64, np.int32)
        self._places: NDArray[np.int32] = np.zeros(64, np.int32)
        self._rings: Items = np.zeros((64, self.postings), np.int32)
        self._posted: NDArray[np.int64] = np.zeros(64, np.int64)

    def learn_one(self, observation: Observation) -> None:
        """Remember an item of a shopper and the shopper of an item; dislikes are skipped."""
        if observation.weight <= 0:
            return
        item, ts = observation.item, observation.ts
        row = self._users.index(observation.user, ts)
        if row >= len(self._sizes):
            self._fit_users(row + 1)
        if item >= len(self._posted):
            self._fit_items(item + 1)
        user_knn_kernels.touch(
            row, item, ts, self._items, self._times, self._sizes, self._rings, self._posted
        )

    def explain(self, context: Context, item: int, evidence: int) -> Reason:  # noqa: ARG002
        """Name the context item that the best neighbour was found by."""
        return Reason("similar_shoppers", item_id=self._index.id_of(evidence))

    def forget_user(self, user: str) -> None:
        """Drop a shopper's items."""
        self._users.forget(user)

    def forget_items(self, items: Items) -> None:
        """Take the items out of every shopper's, and drop their postings."""
        gone = np.zeros(self._index.size, np.bool_)
        gone[items] = True
        kernels.drop_items(self._items, self._times, self._sizes, gone)
        self._posted[items[items < len(self._posted)]] = 0

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return super().memory() + self._users.memory()

    def _fit_users(self, rows: int) -> None:
        self._items = grown(self._items, rows)
        self._times = grown(self._times, rows)
        self._sizes = grown(self._sizes, rows)
        self._places = grown(self._places, rows)

    def _fit_items(self, rows: int) -> None:
        self._rings = grown(self._rings, rows)
        self._posted = grown(self._posted, rows)

    def _drop_users(self, rows: Items) -> None:
        # their places in the rings stay, and are passed over: the row holds no item
        self._sizes[rows] = 0

    def _parts(self) -> State:
        users = self._users.size
        held = np.arange(self.user_items) < self._sizes[:users, None]
        filled = np.arange(self.postings) < self._posted[:, None]
        return {
            "users": self._users.state(),
            "sizes": self._sizes[:users].copy(),
            "items": self._items[:users][held],
            "times": self._times[:users][held],
            "posted": self._posted.copy(),
            "postings": self._rings[filled],
        }

    def _fill(self, state: Mapping[str, Any]) -> None:
        self._users.restore(state["users"])
        users, items = len(state["sizes"]), len(state["posted"])
        self._fit_users(users)
        self._fit_items(items)
        self._sizes[:users] = state["sizes"]
        held = np.arange(self.user_items) < self._sizes[:users, None]
        self._items[:users][held] = state["items"]
        self._times[:users][held] = state["times"]
        self._posted[:items] = state["posted"]
        self._rings[np.arange(self.postings) < self._posted[:, None]] = state["postings"]

    def _compare(self, n: int, used: int) -> NDArray[np.float64]:
        """Similarity of each shopper met with the context."""
        common, sizes = self._common[:n], self._sizes[self._rows[:n]].astype(np.float64)
        mine = np.full(n, float(used))
        if self.similarity == "cosine":
            return count_cosine(common, mine, sizes)
        if self.similarity == "jaccard":
            return count_jaccard(common, mine, sizes)
        # one more than there are, so that nobody has touched them all
        every = np.maximum(len(self._index), mine + sizes - common) + 1.0
        return count_pearson(common, mine, sizes, every)

    def _spread(self, context: Context) -> int:
        me = self._users.find(context.user) if context.user else -1
        n, used = user_knn_kernels.meet(
            context.items,
            self.depth,
            me,
            self._items,
            self._times,
            self._sizes,
            self._rings,
            self._posted,
            self._places,
            self._rows,
            self._common,
            self._newest,
            self._matched,
        )
        if n == 0:
            return 0
        similarities = self._compare(n, used)
        faded = np.exp2(np.maximum(0.0, context.now - self._newest[:n]) / -self.half_life)
        n_near = kernels.select(
            self._rows,
            (similarities * faded).astype(np.float32),
            n,
            self._users.hashes,
            self.neighbours,
            self._near,
            self._near_scores,
        )
        touched: int = user_knn_kernels.favourites(
            context.items,
            context.now,
            self.half_life,
            self._near,
            n_near,
            self._rows,
            n,
            similarities,
            self._matched,
            self._items,
            self._times,
            self._sizes,
            self._places,
            self._scores,
            self._best,
            self._evidence,
            self._touched,
        )
        return touched
