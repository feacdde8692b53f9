"""Sessions like this one, among the most recent, and what else was in them."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_app.models import kernels
from stream_app.models.arrays import State, grown
from stream_app.models.base import NO_ITEM, Context, Items, Observation, Scores
from stream_app.models.ids import stable_hash
from stream_app.models.items import ItemIndex
from stream_app.models.spreading import SpreadingModel
from topics.records import Reason

_NEWEST = (1 << 64) - 1


class SessionKNN(SpreadingModel):
    """Session k-nearest-neighbours on posting lists (VMIS-kNN).

    Each item remembers its last sessions and each session its items. For a context, the sessions that share
    an item with the current session are found through the items' postings; one is the more similar the more
    items it shares and the more recent these are in the context. The items of the nearest sessions score by
    the similarity, faded by how far back in the context the match lies.

    The shopper's own open session is no neighbour. For a context with no user (an item's list), the newest
    item itself is left out.

    Parameters
    ----------
    index
        The items.
    sessions
        Sessions remembered; each new one takes the place of the oldest.
    session_items
        Distinct items of a session, the newest.
    postings
        Sessions remembered of an item, the newest.
    neighbours
        Nearest sessions used.
    depth
        Distinct context items used, the newest.

    References
    ----------
    Kersbergen, Sprangers, Schelter: Serenade, SIGMOD 2022 (VMIS-kNN).
    Ludewig, Jannach: Evaluation of session-based recommendation algorithms, UMUAI 2018 (VSKNN).

    Examples
    --------
    >>> from stream_app.models.base import EMPTY_TIMES
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> model = SessionKNN(index)
    >>> for ts, item in enumerate([shoe, sock]):
    ...     model.learn_one(Observation(
    ...         "ann", item, ts, Kind.VIEW, 1.0, (), 1, False, np.zeros(0, np.int32), EMPTY_TIMES))
    >>> context = Context("bob", np.array([shoe], np.int32), np.array([90.0]), 0, (), 90.0)
    >>> found = model.candidates(context, 10)
    >>> [index.id_of(item) for item in found.items], found.scores.tolist()
    (['shoe', 'sock'], [1.0, 1.0])
    """

    name: ClassVar[str] = "session_knn"
    additive: ClassVar[bool] = False

    def __init__(
        self,
        index: ItemIndex,
        *,
        sessions: int = 50_000,
        session_items: int = 20,
        postings: int = 128,
        neighbours: int = 100,
        depth: int = 10,
    ) -> None:
        super().__init__(index, neighbours * session_items)
        self.sessions = sessions
        self.session_items = session_items
        self.postings = postings
        self.neighbours = neighbours
        self.depth = depth
        self._clear()
        self._similarity: Scores = np.zeros(sessions, np.float32)
        self._matched: NDArray[np.int32] = np.zeros(sessions, np.int32)
        self._passes: NDArray[np.int32] = np.zeros(sessions, np.int32)
        self._slots: Items = np.zeros(depth * postings, np.int32)
        self._slot_scores: Scores = np.zeros(depth * postings, np.float32)
        self._near: Items = np.zeros(neighbours, np.int32)
        self._near_scores: Scores = np.zeros(neighbours, np.float32)

    def _clear(self) -> None:
        self._items: Items = np.zeros((self.sessions, self.session_items), np.int32)
        self._sizes: NDArray[np.int32] = np.zeros(self.sessions, np.int32)
        self._lasts: NDArray[np.float64] = np.zeros(self.sessions)
        self._owners: NDArray[np.uint64] = np.zeros(self.sessions, np.uint64)
        # counts down with the serial, so that of two sessions as similar the newer ranks first
        self._ties: NDArray[np.uint64] = np.full(self.sessions, _NEWEST, np.uint64)
        self._serials: NDArray[np.int64] = np.full(self.sessions, -1, np.int64)
        self._rings: Items = np.zeros((0, self.postings), np.int32)
        self._posted: NDArray[np.int64] = np.zeros(0, np.int64)

    def learn_one(self, observation: Observation) -> None:
        """Add one item to its session; dislikes and sessions that have left the ring are skipped."""
        if observation.weight <= 0:
            return
        serial, item, ts = observation.session, observation.item, observation.ts
        slot = serial % self.sessions
        held = self._serials[slot]
        if held != serial:
            if held > serial:
                return
            self._serials[slot] = serial
            self._ties[slot] = _NEWEST - serial
            self._owners[slot] = stable_hash(observation.user)
            self._sizes[slot] = 0
            self._lasts[slot] = ts
        if item >= len(self._posted):
            self._rings = grown(self._rings, max(item + 1, 64))
            self._posted = grown(self._posted, max(item + 1, 64))
        kernels.post(slot, item, ts, self._items, self._sizes, self._lasts, self._rings, self._posted)

    def explain(self, context: Context, item: int, evidence: int) -> Reason:  # noqa: ARG002
        """Name the context item that the best neighbour session was found by, or say it was seen before."""
        source = "viewed_before" if evidence == item else "similar_sessions"
        return Reason(source, item_id=self._index.id_of(evidence))

    def forget_user(self, user: str) -> None:
        """Empty the shopper's sessions."""
        mine = self._owners == np.uint64(stable_hash(user))
        self._sizes[mine] = 0
        self._owners[mine] = 0
        self._lasts[mine] = 0.0

    def forget_items(self, items: Items) -> None:
        """Take the items out of every session, and drop their postings."""
        gone = np.zeros(self._index.size, np.bool_)
        gone[items] = True
        lost = self._items < len(gone)
        lost &= gone[np.where(lost, self._items, 0)]
        lost &= np.arange(self.session_items) < self._sizes[:, None]
        for slot in np.flatnonzero(lost.any(axis=1)).tolist():
            kept = self._items[slot, : self._sizes[slot]][~lost[slot, : self._sizes[slot]]]
            self._items[slot, : len(kept)] = kept
            self._sizes[slot] = len(kept)
        held = items[items < len(self._posted)]
        self._posted[held] = 0

    def _parts(self) -> State:
        used = np.flatnonzero(self._serials >= 0)
        held = np.arange(self.session_items) < self._sizes[used, None]
        filled = np.arange(self.postings) < self._posted[:, None]
        return {
            "slots": used,
            "serials": self._serials[used],
            "owners": self._owners[used],
            "lasts": self._lasts[used],
            "sizes": self._sizes[used],
            "items": self._items[used][held],
            "posted": self._posted.copy(),
            "postings": self._rings[filled],
        }

    def _fill(self, state: Mapping[str, Any]) -> None:
        used = state["slots"]
        self._serials[used] = state["serials"]
        self._ties[used] = np.uint64(_NEWEST) - state["serials"].astype(np.uint64)
        self._owners[used] = state["owners"]
        self._lasts[used] = state["lasts"]
        self._sizes[used] = state["sizes"]
        rows = np.zeros((len(used), self.session_items), np.int32)
        rows[np.arange(self.session_items) < self._sizes[used, None]] = state["items"]
        self._items[used] = rows
        self._posted = state["posted"].copy()
        self._rings = np.zeros((len(self._posted), self.postings), np.int32)
        self._rings[np.arange(self.postings) < self._posted[:, None]] = state["postings"]

    def _spread(self, context: Context) -> int:
        start = context.session_start if context.session_start < len(context.items) else 0
        session = context.items[start:]
        since = context.times[start] if len(session) else context.now
        without = NO_ITEM
        if not context.user and len(session):
            without = int(session[-1])
        owner = np.uint64(stable_hash(context.user) if context.user else 0)
        n: int = kernels.neighbour_scores(
            session,
            self.depth,
            self.neighbours,
            owner,
            since,
            without,
            self._items,
            self._sizes,
            self._lasts,
            self._owners,
            self._ties,
            self._rings,
            self._posted,
            self._similarity,
            self._matched,
            self._passes,
            self._slots,
            self._slot_scores,
            self._near,
            self._near_scores,
            self._scores,
            self._best,
            self._evidence,
            self._touched,
        )
        return n
