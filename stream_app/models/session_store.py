"""Sessions and postings that session kNN, sequential rules, two-hop co-visits and the learned fusion share.

Stores the last clicks of each item (session and position) and the clicks of each session. A query computes all sums
that these models need from the two in one pass, so that learning is an append.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import NO_ITEM, NO_SESSION, Context, Items, Observation
from stream_app.models.columns import grow, item_mask, pack_rows, unpack_rows
from stream_app.models.id_index import stable_hash
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels.jit import plain
from stream_app.models.kernels.neighbor_query import add_candidates, query_neighbors, reset
from stream_app.models.kernels.neighbor_scores import find_evidence
from stream_app.models.kernels.neighbor_scratch import NeighborQuery, Scratch
from stream_app.models.kernels.session_columns import SessionColumn
from stream_app.models.kernels.sessions import SessionArrays, add_click, forget_items
from stream_app.models.model_state import Restorable, State
from stream_app.models.resident import resident_bytes

_CANDIDATES = 16_384
_TOUCHED = 2_048

_ERASED = -2
"""Session of a posting whose session was erased: neither a session nor `NO_SESSION`, as an unused row has."""


class NeighborScores:
    """Result of a neighbor query; valid until the next query of the store.

    Attributes
    ----------
    n
        Candidates: the first `n` of `Scratch.candidate_items` and the rows of `Scratch.sums`.
    distinct
        Distinct context items used: the first of `Scratch.context`.
    n_sessions
        Sessions that share an item with the context.
    own_session
        Serial of the context's session, `NO_SESSION` for none.
    hop
        Whether the second hop was made.
    """

    __slots__ = ("context", "distinct", "hop", "n", "n_sessions", "own_session", "version")

    def __init__(
        self, context: Context, version: int, own_session: int, counts: tuple[int, int, int], hop: bool
    ) -> None:
        self.context = context
        self.hop = hop
        self.version = version
        self.own_session = own_session
        self.n, self.distinct, self.n_sessions = counts


class SessionStore(Restorable):
    """Remembered sessions and postings.

    Parameters
    ----------
    sessions
        Sessions remembered; each new one replaces the oldest.
    length
        Clicks remembered of a session, the first.
    postings
        Clicks remembered of an item, the newest.
    depth
        Distinct context items looked up, the newest; at most 8.
    neighbors
        Sessions that count as the nearest.
    bridges, bridge_postings
        Candidates from which a second hop is made, and postings followed of each.
    session_half_life
        Seconds of event time, from its newest click to the context, in which a session comes to count half in every
        sum; 0 for never. Independently of it, newer sessions always weigh more by their order, see
        `SessionColumn`.

    References
    ----------
    Kersbergen, Sprangers, Schelter: Serenade, SIGMOD 2022 (VMIS-kNN: postings of recent sessions).
    Ludewig, Jannach: Evaluation of session-based recommendation algorithms, UMUAI 2018 (V-SKNN).
    Garg et al.: Sequence and time aware neighborhood for session-based recommendations, SIGIR 2019 (STAN).

    Examples
    --------
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> store = SessionStore(index)
    >>> for item in (shoe, sock):
    ...     store.learn(Observation("ann", item, 0.0, Kind.VIEW))
    >>> neighbors = store.query_neighbors(Context("bob", np.array([shoe], np.int32), np.zeros(1), 0, (), 0.0))
    >>> {index.id_of(item): float(store.column(neighbors, SessionColumn.NEXT)[at])
    ...     for at, item in enumerate(store.candidate_items(neighbors).tolist())}
    {'sock': 1.0, 'shoe': 0.0}
    """

    def __init__(
        self,
        index: ItemIndex,
        *,
        sessions: int = 200_000,
        length: int = 32,
        postings: int = 150,
        depth: int = 8,
        neighbors: int = 500,
        bridges: int = 12,
        bridge_postings: int = 24,
        session_half_life: float = 0.0,
    ) -> None:
        if not 1 <= depth <= 8:
            raise ValueError(f"depth must be from 1 to 8, not {depth}")
        if not 1 <= length <= 127:
            raise ValueError(f"length must be from 1 to 127, not {length}")
        self._index = index
        self.parameters: dict[str, Any] = {
            "sessions": sessions,
            "length": length,
            "postings": postings,
            "depth": depth,
            "neighbors": neighbors,
            "bridges": bridges,
            "bridge_postings": bridge_postings,
            "session_half_life": session_half_life,
        }
        # the postings of older context items add less
        self._postings_followed = np.array(
            [postings, postings, *[postings * 3 // 4] * 2, *[postings // 2] * 4][:depth]
        )
        self._neighbors, self._bridges = neighbors, bridges
        self._bridge_postings, self._session_half_life = bridge_postings, session_half_life
        self._last_query: NeighborScores | None = None
        self._reserve_scratch()
        self._reset()

    def _reset(self) -> None:
        if self._last_query is not None:
            reset(self.scratch.slots, self.scratch.candidate_items, self._last_query.n)
            self._last_query = None
        sessions, length = self.parameters["sessions"], self.parameters["length"]
        ring = self.parameters["postings"]
        self.arrays = SessionArrays(
            np.full((sessions, length), -1, np.int32),
            np.zeros(sessions, np.int32),
            np.full(sessions, -1, np.int64),
            np.zeros(sessions, np.uint64),
            np.zeros(sessions),
            np.zeros((0, ring), np.int64),
            np.zeros((0, ring), np.int8),
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
        )
        self.sessions_seen = 0
        self.clicks_seen = 0
        self.newest = 0
        self._version = 0

    def _reserve_scratch(self) -> None:
        sessions, depth = self.parameters["sessions"], self.parameters["depth"]
        self.scratch = Scratch(
            np.full(64, -1, np.int32),
            np.zeros(_CANDIDATES, np.int32),
            np.zeros((_CANDIDATES, len(SessionColumn)), np.float32),
            np.full(sessions, -1, np.int32),
            np.zeros(_TOUCHED, np.int32),
            np.zeros(_TOUCHED, np.float32),
            np.zeros(_TOUCHED, np.float32),
            np.zeros(_TOUCHED, np.int32),
            np.zeros(_TOUCHED, np.float32),
            np.zeros(_TOUCHED, np.float32),
            np.zeros(_TOUCHED, np.float32),
            np.zeros((_TOUCHED, depth), np.int8),
            np.zeros(_CANDIDATES, np.float32),
            np.zeros(_CANDIDATES, np.float32),
            np.zeros(depth, np.int32),
            np.zeros(depth, np.int32),
            np.zeros(depth, np.float32),
        )

    def _reserve(self, items: int) -> None:
        """Allocate a row for each item: kernels do not check bounds."""
        arrays = self.arrays
        if items > len(arrays.clicks):
            rows = max(items, 64)
            self.arrays = arrays._replace(
                posting_sessions=grow(arrays.posting_sessions, rows),
                posting_positions=grow(arrays.posting_positions, rows),
                clicks=grow(arrays.clicks, rows),
                first_session=grow(arrays.first_session, rows),
            )

    def learn(self, observation: Observation) -> None:
        """Add a click to its session; dislikes, and sessions that are no longer stored, are skipped."""
        if observation.weight <= 0:
            return
        item, serial = observation.item, observation.session
        self._reserve(item + 1)
        self._version += 1
        self.clicks_seen += 1
        self.newest = max(self.newest, serial)
        if not add_click(
            plain(self.arrays), serial, np.uint64(stable_hash(observation.user)), item, observation.ts
        ):
            self.sessions_seen += 1

    def query_neighbors(self, context: Context, *, hop: bool = True) -> NeighborScores:
        """Add up the sums of the sessions that share items with a context; the last result is cached.

        Parameters
        ----------
        context
            User and items of the list.
        hop
            Whether to make the second hop; without it, `SessionColumn.SECOND_HOP` and
            `SessionColumn.SECOND_HOP_NEWEST` are 0, and items that only the second hop reaches are not candidates.
        """
        last = self._last_query
        if last is not None:
            if last.context is context and last.version == self._version and (last.hop or not hop):
                return last
            reset(self.scratch.slots, self.scratch.candidate_items, last.n)
        size = self._index.size
        # candidates of other models may be in no session
        self._reserve(size)
        if size > len(self.scratch.slots):
            self.scratch = self.scratch._replace(slots=np.full(2 * size, -1, np.int32))
        start = context.session_index
        query = NeighborQuery(
            context.session,
            self.newest,
            self._neighbors,
            self._bridges if hop else 0,
            self._bridge_postings,
            context.now,
            self._session_half_life,
        )
        clicks = context.items[start:]
        counts = query_neighbors(
            plain(self.arrays), plain(self.scratch), clicks, self._postings_followed, plain(query)
        )
        self._last_query = NeighborScores(context, self._version, context.session, counts, hop)
        return self._last_query

    def candidate_items(self, neighbors: NeighborScores) -> Items:
        """Items of the candidates, shape (n,); valid until the next query."""
        return self.scratch.candidate_items[: neighbors.n]

    def column(self, neighbors: NeighborScores, column: SessionColumn) -> NDArray[np.float32]:
        """A column of the candidates, shape (n,); valid until the next query."""
        return self.scratch.sums[: neighbors.n, column]

    def add_candidates(self, neighbors: NeighborScores, items: Items) -> None:
        """Add items of other models to the candidates, with sums of 0."""
        scratch = self.scratch
        neighbors.n = add_candidates(scratch.slots, scratch.candidate_items, scratch.sums, neighbors.n, items)

    def evidence(self, neighbors: NeighborScores, items: Items) -> Items:
        """Context item whose sessions hold each item most often; the item itself if it is in the context."""
        out, scratch = np.empty(len(items), np.int32), self.scratch
        context = scratch.context[: neighbors.distinct]
        find_evidence(scratch.slots, scratch.sums, context, scratch.supports, items, out)
        return out

    def forget_user(self, user: str) -> None:
        """Drop the sessions of a user, and their postings."""
        memory = self.arrays
        own_rows = np.flatnonzero(memory.owners == np.uint64(stable_hash(user)))
        for row in own_rows.tolist():
            clicked = memory.items[row, : memory.sizes[row]]
            items = np.unique(clicked[clicked >= 0])
            postings = memory.posting_sessions[items]
            postings[postings == memory.serials[row]] = _ERASED
            memory.posting_sessions[items] = postings
        memory.items[own_rows] = NO_ITEM
        memory.sizes[own_rows] = memory.owners[own_rows] = 0
        memory.times[own_rows] = 0.0
        memory.serials[own_rows] = NO_SESSION
        self._version += 1

    def forget_items(self, items: Items) -> None:
        """Remove items from every session, and drop their postings."""
        size = max(self._index.size, int(items.max(initial=0)) + 1)
        forget_items(plain(self.arrays), item_mask(items, size))
        self._version += 1

    def _state_header(self) -> tuple[str, Mapping[str, Any]]:
        return "session_store", self.parameters

    def _get_state(self) -> State:
        memory = self.arrays
        used = np.flatnonzero(memory.serials >= 0)
        sizes = memory.sizes[used]
        return {
            "rows": used,
            "serials": memory.serials[used],
            "owners": memory.owners[used],
            "times": memory.times[used],
            "sizes": sizes,
            "items": pack_rows(memory.items[used], sizes),
            "clicks": memory.clicks.copy(),
            "first_session": memory.first_session.copy(),
            "posting_sessions": pack_rows(memory.posting_sessions, memory.clicks),
            "posting_positions": pack_rows(memory.posting_positions, memory.clicks),
            "seen": [self.sessions_seen, self.clicks_seen, self.newest],
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        memory, used = self.arrays, state["rows"]
        memory.serials[used] = state["serials"]
        memory.owners[used] = state["owners"]
        memory.times[used] = state["times"]
        memory.sizes[used] = state["sizes"]
        rows = np.full((len(used), memory.items.shape[1]), -1, np.int32)
        unpack_rows(state["items"], state["sizes"], rows)
        memory.items[used] = rows
        # copied, since kernels are compiled again for read-only arrays
        clicks, first_session = np.array(state["clicks"]), np.array(state["first_session"])
        shape = (len(clicks), memory.posting_sessions.shape[1])
        posting_sessions, posting_positions = np.zeros(shape, np.int64), np.zeros(shape, np.int8)
        unpack_rows(state["posting_sessions"], clicks, posting_sessions)
        unpack_rows(state["posting_positions"], clicks, posting_positions)
        self.arrays = memory._replace(
            posting_sessions=posting_sessions,
            posting_positions=posting_positions,
            clicks=clicks,
            first_session=first_session,
        )
        self.sessions_seen, self.clicks_seen, self.newest = (int(each) for each in state["seen"])

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        context = (
            ()
            if self._last_query is None
            else (self._last_query.context.items, self._last_query.context.times)
        )
        return resident_bytes((*self.arrays, *self.scratch, self._postings_followed, *context))
