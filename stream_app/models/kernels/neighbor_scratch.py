"""Working memory and scalars of a neighbor query."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Items, Rows, Scores


class Scratch(NamedTuple):
    """Working memory of a neighbor query; `slots` and `session_slots` are -1 between queries."""

    slots: Rows  # shape (n_items,): index of each item among the candidates, -1 outside
    candidate_items: Items  # shape (candidates,): items of the candidates
    sums: Scores  # shape (candidates, columns): sums of each candidate, see `SessionColumn`
    session_slots: Rows  # shape (sessions,): index of each session row among the touched sessions, -1 outside
    rows: Rows  # shape (touched,): row of each touched session
    # similarity, decayed_similarity, shape (touched,): similarity with the context; context items weighted
    # linearly and exponentially by age
    similarity: Scores
    decayed_similarity: Scores
    matches: NDArray[np.int32]  # shape (touched,): context items that the session holds, a bit each
    recency: Scores  # shape (touched,): decreases with the number of sessions since
    rank_weight: Scores  # shape (touched,): weight by rank among the sessions of the newest context item
    time_decay: Scores  # shape (touched,): weight by age in event time
    positions: NDArray[np.int8]  # shape (touched, depth): position of each context item in the session
    # order, buffer, shape (candidates,): values to select by
    order: Scores
    buffer: Scores
    context: Items  # shape (depth,): distinct context items, newest first
    ages: NDArray[np.int32]  # shape (depth,): clicks since each
    supports: Scores  # shape (depth,): weight of the sessions found through each


class NeighborQuery(NamedTuple):
    """Scalars of a query."""

    own_session: int  # serial of the context's session, which is not its own neighbor; -1 for none
    newest_session: int  # newest serial
    neighbors: int  # number of sessions that count as nearest neighbors
    # bridges, bridge_postings: candidates followed in the second hop, and postings followed of each; no
    # bridges, no second hop
    bridges: int
    bridge_postings: int
    # ts, half_life: event time of the query, and seconds in which the weight of a session halves; 0 for no
    # decay
    ts: float
    half_life: float
