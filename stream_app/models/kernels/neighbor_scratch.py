"""Working memory and scalars of a neighbor query."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Items, Rows, Scores


class Scratch(NamedTuple):
    """Working memory of a neighbor query; `slots` and `session_slots` are -1 between queries.

    Attributes
    ----------
    slots : ndarray of int32, shape (n_items,)
        Index of each item among the candidates, -1 outside.
    candidate_items : ndarray of int32, shape (candidates,)
        Items of the candidates.
    sums : ndarray of float32, shape (candidates, columns)
        Sums of each candidate, see `SessionColumn`.
    session_slots : ndarray of int32, shape (sessions,)
        Index of each session row among the touched sessions, -1 outside.
    rows : ndarray of int32, shape (touched,)
        Row of each touched session.
    similarity, decayed_similarity : ndarray of float32, shape (touched,)
        Similarity with the context; context items weighted linearly and exponentially by age.
    matches : ndarray of int32, shape (touched,)
        Context items that the session holds, a bit each.
    recency : ndarray of float32, shape (touched,)
        Decreases with the number of sessions since.
    rank_weight : ndarray of float32, shape (touched,)
        Weight by rank among the sessions of the newest context item.
    time_decay : ndarray of float32, shape (touched,)
        Weight by age in event time.
    positions : ndarray of int8, shape (touched, depth)
        Position of each context item in the session.
    order, buffer : ndarray of float32, shape (candidates,)
        Values to select by.
    context : ndarray of int32, shape (depth,)
        Distinct context items, newest first.
    ages : ndarray of int32, shape (depth,)
        Clicks since each.
    supports : ndarray of float32, shape (depth,)
        Weight of the sessions found through each.
    """

    slots: Rows
    candidate_items: Items
    sums: Scores
    session_slots: Rows
    rows: Rows
    similarity: Scores
    decayed_similarity: Scores
    matches: NDArray[np.int32]
    recency: Scores
    rank_weight: Scores
    time_decay: Scores
    positions: NDArray[np.int8]
    order: Scores
    buffer: Scores
    context: Items
    ages: NDArray[np.int32]
    supports: Scores


class NeighborQuery(NamedTuple):
    """Scalars of a query.

    Attributes
    ----------
    own_session
        Serial of the context's session, which is not its own neighbor; -1 for none.
    newest_session
        Newest serial.
    neighbors
        Number of sessions that count as nearest neighbors.
    bridges, bridge_postings
        Candidates followed in the second hop, and postings followed of each; no bridges, no second hop.
    ts, half_life
        Event time of the query, and seconds in which the weight of a session halves; 0 for no decay.
    """

    own_session: int
    newest_session: int
    neighbors: int
    bridges: int
    bridge_postings: int
    ts: float
    half_life: float
