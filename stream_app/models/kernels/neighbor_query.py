"""Sums over the sessions that share items with a context; see `stream_app.models.session_store`.

A query runs in stages: distinct context items, the sessions in their postings (first hop), the candidates in these
sessions, and optionally the sessions of the candidates with the largest co-visit shares (second hop).
"""

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Items, Rows, Scores
from stream_app.models.kernels.jit import DIVISIONS, jit
from stream_app.models.kernels.neighbor_scratch import NeighborQuery, Scratch
from stream_app.models.kernels.neighbor_sums import (
    SessionMatch,
    add_co_occurrence,
    add_similarity,
    context_share,
    first_match,
)
from stream_app.models.kernels.session_columns import SessionColumn
from stream_app.models.kernels.sessions import SessionArrays
from stream_app.models.kernels.topk import kth_largest

SUPPORT_PRIOR = 3.0
"""Clicks added to the support of an item, so that few sessions give no large share."""


@jit(fastmath=DIVISIONS, numpy_errors=True, inline=True)
def _time_decay(ts: float, time: float, half_life: float) -> np.float32:
    if half_life > 0.0:
        return np.float32(np.exp2(-max(0.0, ts - time) / half_life))
    return np.float32(1.0)


@jit(fastmath=DIVISIONS, numpy_errors=True, inline=True)
def _candidate_slot(item: int, n: int, slots: Rows, candidate_items: Items, sums: Scores) -> tuple[int, int]:
    """Find or add an item among the `n` candidates; return its index, -1 if there is no room, and their number."""
    slot = slots[item]
    if slot < 0 and n < len(candidate_items):
        slot = n
        n += 1
        slots[item] = slot
        candidate_items[slot] = item
        sums[slot, :] = 0.0
    return slot, n


@jit(fastmath=DIVISIONS, numpy_errors=True, inline=True)
def _read_context(clicks: Items, n_items: int, depth: int, scratch: Scratch) -> int:
    """Write the newest distinct items of the context and their ages; return how many."""
    total = len(clicks)
    distinct = 0
    for back in range(total):
        item = clicks[total - 1 - back]
        if item < 0 or item >= n_items:
            continue
        new = True
        for at in range(distinct):
            if scratch.context[at] == item:
                new = False
        if new and distinct < depth:
            scratch.context[distinct] = item
            scratch.ages[distinct] = back
            distinct += 1
    return distinct


@jit(fastmath=DIVISIONS, numpy_errors=True, inline=True)
def _collect_sessions(
    memory: SessionArrays,
    scratch: Scratch,
    query: NeighborQuery,
    total: int,
    postings: NDArray[np.int64],
    distinct: int,
) -> int:
    """Collect the sessions in the newest postings of each context item; return their number."""
    n_rows, ring = len(memory.sizes), memory.posting_sessions.shape[1]
    n_sessions = 0
    for at in range(distinct):
        item = scratch.context[at]
        posted = memory.clicks[item]
        linear = np.float32(1.0 - scratch.ages[at] / total)
        exponential = np.float32(np.exp(-scratch.ages[at] / 1.5))
        bit = 1 << at
        support = np.float32(0.0)
        for rank in range(min(posted, ring, postings[at])):
            position = (posted - 1 - rank) % ring
            serial = memory.posting_sessions[item, position]
            row = serial % n_rows
            if serial == query.own_session or memory.serials[row] != serial:
                continue
            slot = scratch.session_slots[row]
            if slot < 0:
                if n_sessions >= len(scratch.rows):
                    continue
                slot = n_sessions
                n_sessions += 1
                scratch.session_slots[row] = slot
                scratch.rows[slot] = row
                scratch.similarity[slot] = 0.0
                scratch.decayed_similarity[slot] = 0.0
                scratch.matches[slot] = 0
                scratch.rank_weight[slot] = 0.0
                scratch.time_decay[slot] = _time_decay(query.ts, memory.times[row], query.half_life)
            if scratch.matches[slot] & bit:
                continue
            scratch.matches[slot] |= bit
            scratch.positions[slot, at] = memory.posting_positions[item, position]
            weight = scratch.time_decay[slot]
            scratch.similarity[slot] += linear * weight
            scratch.decayed_similarity[slot] += exponential * weight
            if at == 0:
                scratch.rank_weight[slot] = np.exp(-rank / 40.0) * weight
            support += weight
        scratch.supports[at] = support
    return n_sessions


@jit(fastmath=DIVISIONS, numpy_errors=True, inline=True)
def _order_sessions(
    memory: SessionArrays, scratch: Scratch, query: NeighborQuery, n_sessions: int
) -> np.float32:
    """Write the recency and order of the touched sessions; return the order from which on they are nearest."""
    newest = query.newest_session
    threshold = np.float32(-1.0)
    for slot in range(n_sessions):
        serial = memory.serials[scratch.rows[slot]]
        scratch.recency[slot] = 1.0 - np.log2(1.0 + max(0, newest - serial)) / 20.0
        # of two sessions of equal similarity the newer ranks first
        scratch.order[slot] = scratch.similarity[slot] + 0.01 * serial / (newest + 1.0)
        scratch.buffer[slot] = scratch.order[slot]
    if n_sessions > query.neighbors:
        threshold = kth_largest(scratch.buffer, n_sessions, query.neighbors)
    return threshold


@jit(fastmath=DIVISIONS, numpy_errors=True)
def _add_sessions(
    memory: SessionArrays,
    scratch: Scratch,
    context_weights: Scores,
    newest_session: int,
    threshold: np.float32,
    n_sessions: int,
) -> int:
    """Add the clicks of the touched sessions to the candidates, and reset `session_slots`; return their number.

    `context_weights`, shape (distinct,), weights the context items in the co-visit shares; sessions of an order from
    `threshold` on are near.
    """
    # exponentials of small integers, computed once per query and not once per click
    nearness = np.exp(np.float32(-0.25) * np.arange(memory.items.shape[1]).astype(np.float32))
    slots, candidate_items, all_sums = scratch.slots, scratch.candidate_items, scratch.sums
    n = 0
    for slot in range(n_sessions):
        row = scratch.rows[slot]
        scratch.session_slots[row] = -1
        size, positions = memory.sizes[row], scratch.positions[slot]
        matches, recency, click_weight = (
            scratch.matches[slot],
            scratch.recency[slot],
            scratch.time_decay[slot],
        )
        first = first_match(matches)
        share = context_share(matches, context_weights) * click_weight
        session_recency = np.float32(1.0 / (16.0 + max(0, newest_session - memory.serials[row])))
        match = SessionMatch(
            matches,
            positions[first],
            matches == (1 << first),
            scratch.order[slot] >= threshold,
            (matches & 3) == 3 and positions[1] < positions[0],
            scratch.similarity[slot],
            1.0 / (1.0 + first),
            recency,
            scratch.decayed_similarity[slot] / np.sqrt(size * 1.0) * (0.3 + recency),
            click_weight,
            share,
            share * np.sqrt(session_recency),
            share * session_recency,
        )
        for position in range(size):
            item = memory.items[row, position]
            if item < 0 or (match.is_single and position == match.position):
                continue
            candidate, n = _candidate_slot(item, n, slots, candidate_items, all_sums)
            if candidate < 0:
                continue
            sums = all_sums[candidate]
            add_co_occurrence(sums, position, positions, scratch.rank_weight[slot], match)
            if position != match.position:
                add_similarity(sums, position, nearness, match)
    return n


@jit(fastmath=DIVISIONS, numpy_errors=True)
def _choose_bridges(scratch: Scratch, n_bridges: int, distinct: int, n: int) -> NDArray[np.int64]:
    """Choose the candidates with the largest `COVISIT_SHARE`, except the context's own items.

    `Scratch.order` holds the shares afterwards.
    """
    order = scratch.order
    for candidate in range(n):
        order[candidate] = scratch.sums[candidate, SessionColumn.COVISIT_SHARE]
    for at in range(distinct):
        candidate = scratch.slots[scratch.context[at]]
        if candidate >= 0:
            order[candidate] = 0.0
    for candidate in range(n):
        scratch.buffer[candidate] = order[candidate]
    threshold = kth_largest(scratch.buffer, n, min(n_bridges, n))
    bridges = np.empty(n_bridges, np.int64)
    n_used = 0
    for candidate in range(n):
        if order[candidate] >= threshold and order[candidate] > 0.0 and n_used < n_bridges:
            bridges[n_used] = candidate
            n_used += 1
    return bridges[:n_used]


@jit(fastmath=DIVISIONS, numpy_errors=True)
def _follow_bridges(
    memory: SessionArrays, scratch: Scratch, query: NeighborQuery, bridges: NDArray[np.int64], n: int
) -> int:
    """Add the sessions of the bridges to the second-hop sums; return the number of candidates."""
    n_rows, ring = len(memory.sizes), memory.posting_sessions.shape[1]
    slots, candidate_items, sums = scratch.slots, scratch.candidate_items, scratch.sums
    for bridge in bridges:
        item = candidate_items[bridge]
        posted = memory.clicks[item]
        followed = min(posted, ring, query.bridge_postings)
        share = scratch.order[bridge] / (followed + SUPPORT_PRIOR)
        newest_share = sums[bridge, SessionColumn.CO_OCCURRENCE] / (followed + SUPPORT_PRIOR)
        for rank in range(followed):
            at_ring = (posted - 1 - rank) % ring
            serial = memory.posting_sessions[item, at_ring]
            row = serial % n_rows
            if serial == query.own_session or memory.serials[row] != serial:
                continue
            match = memory.posting_positions[item, at_ring]
            click_weight = _time_decay(query.ts, memory.times[row], query.half_life)
            for position in range(memory.sizes[row]):
                other = memory.items[row, position]
                if position == match or other < 0:
                    continue
                candidate, n = _candidate_slot(other, n, slots, candidate_items, sums)
                if candidate >= 0:
                    sums[candidate, SessionColumn.SECOND_HOP] += share * click_weight
                    sums[candidate, SessionColumn.SECOND_HOP_NEWEST] += newest_share * click_weight
    return n


@jit(fastmath=DIVISIONS, numpy_errors=True)
def query_neighbors(
    memory: SessionArrays, scratch: Scratch, clicks: Items, postings: NDArray[np.int64], query: NeighborQuery
) -> tuple[int, int, int]:
    """Add up the sums of `SessionColumn` for the items of the sessions that share an item with the context.

    Returns the numbers of candidates, of distinct context items, and of touched sessions.

    Parameters
    ----------
    memory, scratch
        Sessions, and working memory that receives the result; reset it by `reset`.
    clicks : ndarray of int32, shape (n,)
        Items of the context's session, oldest first; items below 0 are skipped.
    postings : ndarray of int64, shape (depth,)
        Largest number of postings followed of each distinct context item, newest first.
    """
    memory = SessionArrays(*memory)
    scratch = Scratch(*scratch)
    query = NeighborQuery(*query)
    total = len(clicks)
    distinct = _read_context(clicks, len(memory.clicks), len(postings), scratch)
    n_sessions = _collect_sessions(memory, scratch, query, total, postings, distinct)
    context_weights = np.empty(distinct, np.float32)
    for at in range(distinct):
        context_weights[at] = np.float32(np.exp(-0.4 * scratch.ages[at])) / np.float32(
            scratch.supports[at] + SUPPORT_PRIOR
        )
    threshold = _order_sessions(memory, scratch, query, n_sessions)
    n = _add_sessions(memory, scratch, context_weights, query.newest_session, threshold, n_sessions)
    if query.bridges > 0 and n > 0:
        bridges = _choose_bridges(scratch, query.bridges, distinct, n)
        n = _follow_bridges(memory, scratch, query, bridges, n)
    for at in range(total):
        item = clicks[at]
        if 0 <= item < len(memory.clicks) and memory.clicks[item] > 0:
            _, n = _candidate_slot(item, n, scratch.slots, scratch.candidate_items, scratch.sums)
    return n, distinct, n_sessions


@jit(fastmath=DIVISIONS, numpy_errors=True)
def add_candidates(slots: Rows, candidate_items: Items, sums: Scores, n: int, items: Items) -> int:
    """Add items to the candidates, with sums of 0; return the number of candidates.

    Only the arrays that are needed are passed, here and below: each array of a call costs 0.1 microseconds.

    Parameters
    ----------
    slots, candidate_items, sums
        Of the `Scratch` after a query; changed.
    n
        Number of candidates before the call.
    items : ndarray of int32, shape (m,)
        Unknown items are skipped.
    """
    for at in range(len(items)):
        item = items[at]
        if 0 <= item < len(slots) and slots[item] < 0 and n < len(candidate_items):
            slots[item] = n
            candidate_items[n] = item
            sums[n, :] = 0.0
            n += 1
    return n


@jit(fastmath=DIVISIONS, numpy_errors=True)
def reset(slots: Rows, candidate_items: Items, n: int) -> None:
    """Reset `Scratch.slots` for the next query.

    Parameters
    ----------
    slots, candidate_items
        Of the `Scratch` after a query; `slots` is changed.
    n
        Number of candidates.
    """
    for at in range(n):
        slots[candidate_items[at]] = -1
