"""The compiled inner loops over remembered sessions and postings; see `stream_app.models.session_store`.

As in `stream_app.models.kernels.shared`, a kernel calls none of another file and reads no global that may change:
numba's cache on disk would not notice.
"""

# ruff: noqa: C901, PLR0912, PLR0915 - one loop, one kernel: arrays are costly to pass on

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.kernels.jit import DIVISIONS, jit


class SessionArrays(NamedTuple):
    """Sessions and postings.

    Attributes
    ----------
    items : ndarray of int32, shape (sessions, length)
        Clicks of each remembered session in order; `NO_ITEM` where an item was forgotten.
    sizes : ndarray of int32, shape (sessions,)
        Clicks held.
    serials : ndarray of int64, shape (sessions,)
        Which session a row holds, -1 for none; a row is serial modulo rows.
    owners : ndarray of uint64, shape (sessions,)
        Stable hash of the shopper.
    times : ndarray of float64, shape (sessions,)
        Event time of the newest click, seconds since the epoch.
    posting_sessions : ndarray of int64, shape (items, postings)
        Sessions of the item's last clicks, a ring.
    posting_positions : ndarray of int8, shape (items, postings)
        Places of these clicks in their sessions.
    clicks : ndarray of int64, shape (items,)
        Clicks of each item so far.
    first_session : ndarray of int64, shape (items,)
        Session of its first click.
    """

    items: NDArray[np.int32]
    sizes: NDArray[np.int32]
    serials: NDArray[np.int64]
    owners: NDArray[np.uint64]
    times: NDArray[np.float64]
    posting_sessions: NDArray[np.int64]
    posting_positions: NDArray[np.int8]
    clicks: NDArray[np.int64]
    first_session: NDArray[np.int64]


class Scratch(NamedTuple):
    """Working memory of a look around; `slots` and `session_slots` are found at -1 and left so.

    Attributes
    ----------
    slots : ndarray of int32, shape (items,)
        Place of an item among the candidates, -1 outside.
    candidate_items : ndarray of int32, shape (candidates,)
        Items of the candidates.
    sums : ndarray of float32, shape (candidates, columns)
        What was added up, see `SessionColumn`.
    session_slots : ndarray of int32, shape (sessions,)
        Place of a session row among those touched.
    rows, similarity, decayed_similarity, matches, recency, rank_weight, time_decay
        Of each session touched: its row; its similarity with the context, linear and exponential in age; which
        context items it holds, a bit each; its recency; its weight by rank among the newest item's sessions; what
        it counts by its age in event time.
    positions : ndarray of int8, shape (touched sessions, context items)
        Where in the session each context item stands.
    order, buffer
        Values to select by.
    context : ndarray of int32
        Distinct items of the context, the newest first.
    ages : ndarray of int32
        Clicks since each.
    supports : ndarray of float32
        Sessions found by each.
    """

    slots: NDArray[np.int32]
    candidate_items: NDArray[np.int32]
    sums: NDArray[np.float32]
    session_slots: NDArray[np.int32]
    rows: NDArray[np.int32]
    similarity: NDArray[np.float32]
    decayed_similarity: NDArray[np.float32]
    matches: NDArray[np.int32]
    recency: NDArray[np.float32]
    rank_weight: NDArray[np.float32]
    time_decay: NDArray[np.float32]
    positions: NDArray[np.int8]
    order: NDArray[np.float32]
    buffer: NDArray[np.float32]
    context: NDArray[np.int32]
    ages: NDArray[np.int32]
    supports: NDArray[np.float32]


@jit(fastmath=DIVISIONS, numpy_errors=True)
def add_click(memory: SessionArrays, serial: int, owner: Any, item: int, ts: float) -> bool:
    """Add a click to its session; False where the session has opened a row just now."""
    row = serial % len(memory.sizes)
    opened = memory.serials[row] != serial
    if opened:
        if memory.serials[row] > serial:
            return True
        memory.serials[row] = serial
        memory.owners[row] = owner
        memory.sizes[row] = 0
        memory.times[row] = ts
    elif ts > memory.times[row]:
        memory.times[row] = ts
    size = memory.sizes[row]
    if size < memory.items.shape[1]:
        memory.items[row, size] = item
        memory.sizes[row] = size + 1
        clicks = memory.clicks[item]
        if clicks == 0:
            memory.first_session[item] = serial
        at = clicks % memory.posting_sessions.shape[1]
        memory.posting_sessions[item, at] = serial
        memory.posting_positions[item, at] = size
        memory.clicks[item] = clicks + 1
    return not opened


@jit(fastmath=DIVISIONS, numpy_errors=True)
def kth_largest(values: Any, n: int, k: int) -> Any:
    """The k-th largest of the first n values, whose order is lost (Hoare's quickselect)."""
    low, high = 0, n - 1
    k -= 1
    while low < high:
        pivot = values[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


@jit(fastmath=DIVISIONS, numpy_errors=True)
def query_neighbors(
    memory: SessionArrays,
    scratch: Scratch,
    clicks: Any,
    own_session: int,
    now: int,
    postings: Any,
    neighbors: int,
    bridges: int,
    bridge_postings: int,
    ts: float,
    half_life: float,
) -> tuple[int, int, int]:
    """Add up what the sessions tell that share an item with the context, and the bridges' sessions.

    Parameters
    ----------
    memory, scratch
        See there.
    clicks : ndarray of int32
        Items of the context, oldest first; those below 0 are passed over.
    own_session
        Serial of the session that asks, which is not its own neighbor; -1 for none.
    now
        Serial of the newest session.
    postings : ndarray of int32
        Most postings followed of each distinct context item, the newest first.
    neighbors
        Sessions that count as nearest neighbors.
    bridges, bridge_postings
        Candidates from which a second hop is made, and the postings followed of each.
    ts, half_life
        Event time that ages are taken at, and seconds in which what a session counts halves; 0 for never.

    Returns
    -------
    tuple
        Numbers of candidates, of distinct context items and of sessions touched.
    """
    # columns, as in `SessionColumn`
    co_occurrence, older, next_to, after, before = 0, 4, 6, 5, 7
    knn, stan, pairs, by_rank, newest = 8, 9, 10, 11, 12
    after_second, before_second, all_items, support, hop, hop_newest, members = 13, 14, 15, 16, 17, 18, 19
    recent_root, recent, after_both = 20, 21, 22
    n_rows = len(memory.sizes)
    ring = memory.posting_sessions.shape[1]
    capacity, session_capacity, depth = len(scratch.candidate_items), len(scratch.rows), len(postings)
    total = len(clicks)
    # exponentials of small integers, once a look and not once a click
    nearness = np.exp(np.float32(-0.25) * np.arange(memory.items.shape[1]).astype(np.float32))
    context_weights = np.empty(depth, np.float32)
    distinct = 0
    for back in range(total):
        item = clicks[total - 1 - back]
        if item < 0 or item >= len(memory.clicks):
            continue
        new = True
        for at in range(distinct):
            if scratch.context[at] == item:
                new = False
        if new and distinct < depth:
            scratch.context[distinct] = item
            scratch.ages[distinct] = back
            distinct += 1
    n_sessions = 0
    for at in range(distinct):
        item = scratch.context[at]
        posted = memory.clicks[item]
        linear = np.float32(1.0 - scratch.ages[at] / total)
        exponential = np.float32(np.exp(-scratch.ages[at] / 1.5))
        bit = 1 << at
        valid_weight: Any = np.float32(0.0)
        for rank in range(min(posted, ring, postings[at])):
            position = (posted - 1 - rank) % ring
            serial = memory.posting_sessions[item, position]
            row = serial % n_rows
            if serial == own_session or memory.serials[row] != serial:
                continue
            slot = scratch.session_slots[row]
            if slot < 0:
                if n_sessions >= session_capacity:
                    continue
                slot = n_sessions
                n_sessions += 1
                scratch.session_slots[row] = slot
                scratch.rows[slot] = row
                scratch.similarity[slot] = 0.0
                scratch.decayed_similarity[slot] = 0.0
                scratch.matches[slot] = 0
                scratch.rank_weight[slot] = 0.0
                scratch.time_decay[slot] = 1.0
                if half_life > 0.0:
                    scratch.time_decay[slot] = np.exp2(-max(0.0, ts - memory.times[row]) / half_life)
            if scratch.matches[slot] & bit:
                continue
            scratch.matches[slot] |= bit
            scratch.positions[slot, at] = memory.posting_positions[item, position]
            weight = scratch.time_decay[slot]
            scratch.similarity[slot] += linear * weight
            scratch.decayed_similarity[slot] += exponential * weight
            if at == 0:
                scratch.rank_weight[slot] = np.exp(-rank / 40.0) * weight
            valid_weight += weight
        scratch.supports[at] = valid_weight
        context_weights[at] = np.float32(np.exp(-0.4 * scratch.ages[at])) / np.float32(valid_weight + 3.0)
    # of two sessions as similar the younger comes first
    similarity_threshold = np.float32(-1.0)
    for slot in range(n_sessions):
        serial = memory.serials[scratch.rows[slot]]
        scratch.recency[slot] = 1.0 - np.log2(1.0 + max(0, now - serial)) / 20.0
        scratch.order[slot] = scratch.similarity[slot] + 0.01 * serial / (now + 1.0)
        scratch.buffer[slot] = scratch.order[slot]
    if n_sessions > neighbors:
        similarity_threshold = kth_largest(scratch.buffer, n_sessions, neighbors)
    n = 0
    for slot in range(n_sessions):
        row = scratch.rows[slot]
        scratch.session_slots[row] = -1
        matches = scratch.matches[slot]
        similarity = scratch.similarity[slot]
        is_near = scratch.order[slot] >= similarity_threshold
        size = memory.sizes[row]
        first = 0
        while not (matches >> first) & 1:
            first += 1
        match = scratch.positions[slot, first]
        single_match = matches == (1 << first)
        step = 1.0 / (1.0 + first)
        recency = scratch.recency[slot]
        stan_weight = scratch.decayed_similarity[slot] / np.sqrt(size * 1.0) * (0.3 + recency)
        shared: Any = np.float32(0.0)
        for at in range(distinct):
            if (matches >> at) & 1:
                shared += context_weights[at]
        click_weight = scratch.time_decay[slot]  # what a click of this session counts
        shared *= click_weight
        session_recency = np.float32(1.0 / (16.0 + max(0, now - memory.serials[row])))
        shared_root, shared_new = shared * np.sqrt(session_recency), shared * session_recency
        in_order = (matches & 3) == 3 and scratch.positions[slot, 1] < scratch.positions[slot, 0]
        for position in range(size):
            if single_match and position == match:
                continue
            item = memory.items[row, position]
            if item < 0:
                continue
            candidate_slot = scratch.slots[item]
            if candidate_slot < 0:
                if n >= capacity:
                    continue
                candidate_slot = n
                n += 1
                scratch.slots[item] = candidate_slot
                scratch.candidate_items[candidate_slot] = item
                scratch.sums[candidate_slot, :] = 0.0
            sums = scratch.sums[candidate_slot]
            if matches & 1:
                distance = position - scratch.positions[slot, 0]
                if distance != 0:
                    sums[co_occurrence] += click_weight
                    sums[by_rank] += scratch.rank_weight[slot]
                if distance > 0:
                    sums[after] += click_weight / distance
                    if distance == 1:
                        sums[next_to] += click_weight
                    if in_order:
                        sums[after_both] += click_weight / distance
                elif distance < 0:
                    sums[before] -= click_weight / distance
            if matches & 2:
                distance = position - scratch.positions[slot, 1]
                if distance != 0:
                    sums[co_occurrence + 1] += click_weight
                if distance > 0:
                    sums[after_second] += click_weight / distance
                elif distance < 0:
                    sums[before_second] -= click_weight / distance
            if matches & 4 and position != scratch.positions[slot, 2]:
                sums[co_occurrence + 2] += click_weight
            if matches & 8 and position != scratch.positions[slot, 3]:
                sums[co_occurrence + 3] += click_weight
            if matches >> 4:
                sums[older] += click_weight
            if position != match:
                if is_near:
                    sums[knn] += similarity * step
                    sums[members] += click_weight
                sums[stan] += stan_weight * nearness[abs(position - match)]
                if not single_match:
                    sums[pairs] += similarity
                sums[all_items] += shared
                sums[recent_root] += shared_root
                sums[recent] += shared_new
                sums[support] += click_weight
                if recency > sums[newest]:  # noqa: PLR1730 - no write where nothing changes
                    sums[newest] = recency
    # a second hop, over the candidates that the context speaks for most
    direct = n
    if bridges > 0 and direct > 0:
        for candidate_slot in range(direct):
            scratch.order[candidate_slot] = scratch.sums[candidate_slot, all_items]
        for at in range(distinct):
            candidate_slot = scratch.slots[scratch.context[at]]
            if candidate_slot >= 0:
                scratch.order[candidate_slot] = 0.0
        for candidate_slot in range(direct):
            scratch.buffer[candidate_slot] = scratch.order[candidate_slot]
        threshold = kth_largest(scratch.buffer, direct, min(bridges, direct))
        used = 0
        for bridge in range(direct):
            weight = scratch.order[bridge]
            if weight < threshold or weight <= 0.0 or used >= bridges:
                continue
            used += 1
            item = scratch.candidate_items[bridge]
            posted = memory.clicks[item]
            followed = min(posted, ring, bridge_postings)
            weight /= followed + 3.0
            weight_newest = scratch.sums[bridge, co_occurrence] / (followed + 3.0)
            for rank in range(followed):
                at_ring = (posted - 1 - rank) % ring
                serial = memory.posting_sessions[item, at_ring]
                row = serial % n_rows
                if serial == own_session or memory.serials[row] != serial:
                    continue
                match = memory.posting_positions[item, at_ring]
                click_weight = np.float32(1.0)
                if half_life > 0.0:
                    click_weight = np.float32(np.exp2(-max(0.0, ts - memory.times[row]) / half_life))
                for position in range(memory.sizes[row]):
                    other = memory.items[row, position]
                    if position == match or other < 0:
                        continue
                    candidate_slot = scratch.slots[other]
                    if candidate_slot < 0:
                        if n >= capacity:
                            continue
                        candidate_slot = n
                        n += 1
                        scratch.slots[other] = candidate_slot
                        scratch.candidate_items[candidate_slot] = other
                        scratch.sums[candidate_slot, :] = 0.0
                    scratch.sums[candidate_slot, hop] += weight * click_weight
                    scratch.sums[candidate_slot, hop_newest] += weight_newest * click_weight
    for at in range(total):
        item = clicks[at]
        is_known = 0 <= item < len(memory.clicks) and memory.clicks[item] > 0
        if is_known and scratch.slots[item] < 0 and n < capacity:
            scratch.slots[item] = n
            scratch.candidate_items[n] = item
            scratch.sums[n, :] = 0.0
            n += 1
    return n, distinct, n_sessions


@jit(fastmath=DIVISIONS, numpy_errors=True)
def add_candidates(slots: Any, candidate_items: Any, sums: Any, n: int, items: Any) -> int:
    """Make further items candidates; return how many there are now.

    Here and below only the arrays that are needed are passed on: each costs a tenth of a microsecond.
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
def reset(slots: Any, candidate_items: Any, n: int) -> None:
    """Leave the scratch memory as it was found."""
    for at in range(n):
        slots[candidate_items[at]] = -1


@jit(fastmath=DIVISIONS, numpy_errors=True)
def scores_of_column(
    slots: Any, sums: Any, context: Any, ages: Any, distinct: int, column: int, repeat: Any, out: Any
) -> None:
    """A column of the candidates as a share of its largest value, with a bonus for what the context holds.

    The bonus is `repeat` over the root of how many clicks ago it was, counted from 1.
    """
    largest = np.float32(1e-9)
    for at in range(len(out)):
        largest = max(largest, sums[at, column])
    for at in range(len(out)):
        out[at] = sums[at, column] / largest
    for position in range(distinct):
        slot = slots[context[position]]
        if slot >= 0:
            out[slot] += np.float32(repeat / np.sqrt(1.0 + ages[position]))


@jit(fastmath=DIVISIONS, numpy_errors=True)
def find_evidence(
    slots: Any, sums: Any, context: Any, supports: Any, distinct: int, items: Any, out: Any
) -> None:
    """For each item the context item that most of its own sessions hold beside it; itself where it is one."""
    for at in range(len(items)):
        item = items[at]
        slot = slots[item]
        out[at] = -1 if distinct == 0 else context[0]
        strongest = np.float32(0.0)
        for position in range(distinct):
            if context[position] == item:
                out[at] = item
                break
            if slot >= 0 and position < 4:
                share = sums[slot, position] / (supports[position] + 3.0)
                if share > strongest:
                    strongest = share
                    out[at] = context[position]


@jit(fastmath=DIVISIONS, numpy_errors=True)
def attribute_sources(
    slots: Any,
    all_sums: Any,
    context: Any,
    supports: Any,
    distinct: int,
    items: Any,
    sources: Any,
    evidence: Any,
    unattributed: Any,
) -> int:
    """Say for each item what the sessions around the context tell of it, and the context item they tell it by.

    Parameters
    ----------
    slots, all_sums, context, supports
        Of the scratch memory, after `query_neighbors`.
    distinct
        Distinct items of the context.
    items : ndarray of int32, shape (n,)
        Candidates.
    sources : ndarray of int64, shape (n,)
        Gets -2 for an item of the context; -3 for one that mostly came next after its newest item; -4 for one that
        stood beside one of its newest four; -1 for one in sessions that share an older one; -5 for one that only the
        second hop reached, or nothing.
    evidence : ndarray of int32, shape (n,)
        Gets the item of the context; -1 where there is none.
    unattributed : ndarray of int64, shape (n,)
        Gets the places of the items that no session tells anything of.

    Returns
    -------
    int
        How many are silent.
    """
    next_to, support, hop = 6, 16, 17
    n = 0
    for at in range(len(items)):
        item = items[at]
        sums = all_sums[slots[item]]
        sources[at] = -5
        evidence[at] = -1 if distinct == 0 else context[0]
        strongest = np.float32(0.0)
        for position in range(distinct):
            if context[position] == item:
                sources[at] = -2
                evidence[at] = item
                break
            if position < 4:
                share = sums[position] / (supports[position] + np.float32(3.0))
                if share > strongest:
                    strongest = share
                    sources[at] = -4
                    evidence[at] = context[position]
        if sources[at] == -4:
            if evidence[at] == context[0] and sums[next_to] * 2 > sums[0]:
                sources[at] = -3
        elif sources[at] == -5:
            if sums[support] > 0:
                sources[at] = -1
            elif not sums[hop] > 0:
                unattributed[n] = at
                n += 1
    return n


@jit(fastmath=DIVISIONS, numpy_errors=True)
def forget(memory: SessionArrays, removed_mask: Any) -> None:
    """Take items out of every session and drop their postings."""
    rows, _ = memory.items.shape
    for row in range(rows):
        for position in range(memory.sizes[row]):
            item = memory.items[row, position]
            if item >= 0 and removed_mask[item]:
                memory.items[row, position] = -1
    for item in range(min(len(removed_mask), len(memory.clicks))):
        if removed_mask[item]:
            memory.clicks[item] = 0
            memory.first_session[item] = 0


@jit(fastmath=DIVISIONS, numpy_errors=True)
def shortlist(
    clicks: Any,
    slots: Any,
    candidate_items: Any,
    sums: Any,
    order: Any,
    buffer: Any,
    n: int,
    quotas: Any,
    vector_scores: Any,
    vector_quota: int,
    required: Any,
    allowed: Any,
    marks: Any,
    out: Any,
) -> int:
    """Choose candidates: the best of each column by quota, those nearest by vectors, and those asked for by name.

    Parameters
    ----------
    clicks
        Of the memory.
    slots, candidate_items, sums, order, buffer
        Of the scratch memory, after `query_neighbors`.
    n
        Candidates.
    quotas : ndarray of int32, shape (columns, 3)
        A column, how many of it, and whether it is divided by the root of the item's clicks.
    vector_scores : ndarray of float32
        Nearness by vectors of the first candidates.
    vector_quota
        How many of those.
    required : ndarray of int32
        Items that are chosen in any case, admitted; those below 0 are passed over.
    allowed : ndarray of bool
        Whether an item may be listed.
    marks : ndarray of uint8
        Scratch.
    out : ndarray of int32
        Gets the places of the chosen among the candidates.

    Returns
    -------
    int
        How many were chosen.
    """
    marks[:n] = 0
    for at in range(len(required)):
        slot = slots[required[at]] if required[at] >= 0 else -1
        if slot >= 0:
            marks[slot] = 1
    for each in range(len(quotas) + 1):
        vectors = each == len(quotas)
        column = 0 if vectors else quotas[each, 0]
        quota = vector_quota if vectors else quotas[each, 1]
        divided = not vectors and quotas[each, 2] > 0
        n_scanned = min(len(vector_scores), n) if vectors else n
        n_positive = 0
        for slot in range(n_scanned):
            value = vector_scores[slot] if vectors else sums[slot, column]
            if divided:
                value /= np.sqrt(clicks[candidate_items[slot]] + np.float32(5.0))
            order[slot] = value
            if value > 0:
                buffer[n_positive] = value
                n_positive += 1
        if n_positive == 0:
            continue
        threshold = kth_largest(buffer, n_positive, min(quota, n_positive))
        n_selected = 0
        for slot in range(n_scanned):
            if order[slot] >= threshold and order[slot] > 0:
                marks[slot] = 1
                n_selected += 1
                if n_selected >= quota + 8:
                    break
    n_chosen = 0
    for slot in range(n):
        if marks[slot] and n_chosen < len(out) and allowed[candidate_items[slot]]:
            out[n_chosen] = slot
            n_chosen += 1
    return n_chosen
