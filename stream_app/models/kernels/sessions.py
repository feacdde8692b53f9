"""The compiled inner loops over remembered sessions and postings; see `stream_app.models.session_store`.

As in `stream_app.models.kernels.shared`, a kernel calls none of another file and reads no global that may change:
numba's cache on disk would not notice.
"""

# ruff: noqa: C901, PLR0912, PLR0915 - one loop, one kernel: arrays are costly to pass on

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.kernels.jit import DIVISIONS, jit


class Memory(NamedTuple):
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
    posted_in : ndarray of int64, shape (items, postings)
        Sessions of the item's last clicks, a ring.
    posted_at : ndarray of int8, shape (items, postings)
        Places of these clicks in their sessions.
    clicks : ndarray of int64, shape (items,)
        Clicks of each item so far.
    born : ndarray of int64, shape (items,)
        Session of its first click.
    """

    items: NDArray[np.int32]
    sizes: NDArray[np.int32]
    serials: NDArray[np.int64]
    owners: NDArray[np.uint64]
    times: NDArray[np.float64]
    posted_in: NDArray[np.int64]
    posted_at: NDArray[np.int8]
    clicks: NDArray[np.int64]
    born: NDArray[np.int64]


class Scratch(NamedTuple):
    """Working memory of a look around; `slots` and `session_slots` are found at -1 and left so.

    Attributes
    ----------
    slots : ndarray of int32, shape (items,)
        Place of an item among the candidates, -1 outside.
    found : ndarray of int32, shape (candidates,)
        Items of the candidates.
    sums : ndarray of float32, shape (candidates, columns)
        What was added up, see `Column`.
    session_slots : ndarray of int32, shape (sessions,)
        Place of a session row among those touched.
    rows, similarity, fading, matches, recency, rank_weight, ageing
        Of each session touched: its row; its similarity with the context, linear and exponential in age; which
        context items it holds, a bit each; its recency; its weight by rank among the newest item's sessions; what
        it counts by its age in event time.
    places : ndarray of int8, shape (touched sessions, context items)
        Where in the session each context item stands.
    order, spare
        Values to select by.
    context : ndarray of int32
        Distinct items of the context, the newest first.
    ages : ndarray of int32
        Clicks since each.
    supports : ndarray of float32
        Sessions found by each.
    """

    slots: NDArray[np.int32]
    found: NDArray[np.int32]
    sums: NDArray[np.float32]
    session_slots: NDArray[np.int32]
    rows: NDArray[np.int32]
    similarity: NDArray[np.float32]
    fading: NDArray[np.float32]
    matches: NDArray[np.int32]
    recency: NDArray[np.float32]
    rank_weight: NDArray[np.float32]
    ageing: NDArray[np.float32]
    places: NDArray[np.int8]
    order: NDArray[np.float32]
    spare: NDArray[np.float32]
    context: NDArray[np.int32]
    ages: NDArray[np.int32]
    supports: NDArray[np.float32]


@jit(fastmath=DIVISIONS, numpy_errors=True)
def post(memory: Memory, serial: int, owner: Any, item: int, ts: float) -> bool:
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
            memory.born[item] = serial
        at = clicks % memory.posted_in.shape[1]
        memory.posted_in[item, at] = serial
        memory.posted_at[item, at] = size
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
def look_around(
    memory: Memory,
    scratch: Scratch,
    clicks: Any,
    own: int,
    now: int,
    postings: Any,
    neighbours: int,
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
    own
        Serial of the session that asks, which is not its own neighbour; -1 for none.
    now
        Serial of the newest session.
    postings : ndarray of int32
        Most postings followed of each distinct context item, the newest first.
    neighbours
        Sessions that count as nearest neighbours.
    bridges, bridge_postings
        Candidates from which a second hop is made, and the postings followed of each.
    ts, half_life
        Event time that ages are taken at, and seconds in which what a session counts halves; 0 for never.

    Returns
    -------
    tuple
        Numbers of candidates, of distinct context items and of sessions touched.
    """
    # columns, as in `Column`
    together, older, next_to, after, before = 0, 4, 6, 5, 7
    knn, stan, pairs, by_rank, newest = 8, 9, 10, 11, 12
    after_second, before_second, all_items, support, hop, hop_newest, members = 13, 14, 15, 16, 17, 18, 19
    recent_root, recent, after_both = 20, 21, 22
    rows_held = len(memory.sizes)
    ring = memory.posted_in.shape[1]
    room, session_room, depth = len(scratch.found), len(scratch.rows), len(postings)
    total = len(clicks)
    # exponentials of small integers, once a look and not once a click
    nearness = np.exp(np.float32(-0.25) * np.arange(memory.items.shape[1]).astype(np.float32))
    freshness = np.empty(depth, np.float32)
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
    touched = 0
    for at in range(distinct):
        item = scratch.context[at]
        posted = memory.clicks[item]
        linear = np.float32(1.0 - scratch.ages[at] / total)
        exponential = np.float32(np.exp(-scratch.ages[at] / 1.5))
        bit = 1 << at
        valid: Any = np.float32(0.0)
        for rank in range(min(posted, ring, postings[at])):
            place = (posted - 1 - rank) % ring
            serial = memory.posted_in[item, place]
            row = serial % rows_held
            if serial == own or memory.serials[row] != serial:
                continue
            slot = scratch.session_slots[row]
            if slot < 0:
                if touched >= session_room:
                    continue
                slot = touched
                touched += 1
                scratch.session_slots[row] = slot
                scratch.rows[slot] = row
                scratch.similarity[slot] = 0.0
                scratch.fading[slot] = 0.0
                scratch.matches[slot] = 0
                scratch.rank_weight[slot] = 0.0
                scratch.ageing[slot] = 1.0
                if half_life > 0.0:
                    scratch.ageing[slot] = np.exp2(-max(0.0, ts - memory.times[row]) / half_life)
            if scratch.matches[slot] & bit:
                continue
            scratch.matches[slot] |= bit
            scratch.places[slot, at] = memory.posted_at[item, place]
            weight = scratch.ageing[slot]
            scratch.similarity[slot] += linear * weight
            scratch.fading[slot] += exponential * weight
            if at == 0:
                scratch.rank_weight[slot] = np.exp(-rank / 40.0) * weight
            valid += weight
        scratch.supports[at] = valid
        freshness[at] = np.float32(np.exp(-0.4 * scratch.ages[at])) / np.float32(valid + 3.0)
    # of two sessions as similar the younger comes first
    nearest = np.float32(-1.0)
    for slot in range(touched):
        serial = memory.serials[scratch.rows[slot]]
        scratch.recency[slot] = 1.0 - np.log2(1.0 + max(0, now - serial)) / 20.0
        scratch.order[slot] = scratch.similarity[slot] + 0.01 * serial / (now + 1.0)
        scratch.spare[slot] = scratch.order[slot]
    if touched > neighbours:
        nearest = kth_largest(scratch.spare, touched, neighbours)
    n = 0
    for slot in range(touched):
        row = scratch.rows[slot]
        scratch.session_slots[row] = -1
        matches = scratch.matches[slot]
        similarity = scratch.similarity[slot]
        is_near = scratch.order[slot] >= nearest
        size = memory.sizes[row]
        first = 0
        while not (matches >> first) & 1:
            first += 1
        match = scratch.places[slot, first]
        alone = matches == (1 << first)
        step = 1.0 / (1.0 + first)
        recency = scratch.recency[slot]
        faded = scratch.fading[slot] / np.sqrt(size * 1.0) * (0.3 + recency)
        shared: Any = np.float32(0.0)
        for at in range(distinct):
            if (matches >> at) & 1:
                shared += freshness[at]
        one = scratch.ageing[slot]  # what a click of this session counts
        shared *= one
        young = np.float32(1.0 / (16.0 + max(0, now - memory.serials[row])))
        shared_root, shared_new = shared * np.sqrt(young), shared * young
        in_order = (matches & 3) == 3 and scratch.places[slot, 1] < scratch.places[slot, 0]
        for place in range(size):
            if alone and place == match:
                continue
            item = memory.items[row, place]
            if item < 0:
                continue
            slot_of = scratch.slots[item]
            if slot_of < 0:
                if n >= room:
                    continue
                slot_of = n
                n += 1
                scratch.slots[item] = slot_of
                scratch.found[slot_of] = item
                scratch.sums[slot_of, :] = 0.0
            sums = scratch.sums[slot_of]
            if matches & 1:
                distance = place - scratch.places[slot, 0]
                if distance != 0:
                    sums[together] += one
                    sums[by_rank] += scratch.rank_weight[slot]
                if distance > 0:
                    sums[after] += one / distance
                    if distance == 1:
                        sums[next_to] += one
                    if in_order:
                        sums[after_both] += one / distance
                elif distance < 0:
                    sums[before] -= one / distance
            if matches & 2:
                distance = place - scratch.places[slot, 1]
                if distance != 0:
                    sums[together + 1] += one
                if distance > 0:
                    sums[after_second] += one / distance
                elif distance < 0:
                    sums[before_second] -= one / distance
            if matches & 4 and place != scratch.places[slot, 2]:
                sums[together + 2] += one
            if matches & 8 and place != scratch.places[slot, 3]:
                sums[together + 3] += one
            if matches >> 4:
                sums[older] += one
            if place != match:
                if is_near:
                    sums[knn] += similarity * step
                    sums[members] += one
                sums[stan] += faded * nearness[abs(place - match)]
                if not alone:
                    sums[pairs] += similarity
                sums[all_items] += shared
                sums[recent_root] += shared_root
                sums[recent] += shared_new
                sums[support] += one
                if recency > sums[newest]:  # noqa: PLR1730 - no write where nothing changes
                    sums[newest] = recency
    # a second hop, over the candidates that the context speaks for most
    direct = n
    if bridges > 0 and direct > 0:
        for slot_of in range(direct):
            scratch.order[slot_of] = scratch.sums[slot_of, all_items]
        for at in range(distinct):
            slot_of = scratch.slots[scratch.context[at]]
            if slot_of >= 0:
                scratch.order[slot_of] = 0.0
        for slot_of in range(direct):
            scratch.spare[slot_of] = scratch.order[slot_of]
        least = kth_largest(scratch.spare, direct, min(bridges, direct))
        used = 0
        for bridge in range(direct):
            weight = scratch.order[bridge]
            if weight < least or weight <= 0.0 or used >= bridges:
                continue
            used += 1
            item = scratch.found[bridge]
            posted = memory.clicks[item]
            followed = min(posted, ring, bridge_postings)
            weight /= followed + 3.0
            weight_newest = scratch.sums[bridge, together] / (followed + 3.0)
            for rank in range(followed):
                at_ring = (posted - 1 - rank) % ring
                serial = memory.posted_in[item, at_ring]
                row = serial % rows_held
                if serial == own or memory.serials[row] != serial:
                    continue
                match = memory.posted_at[item, at_ring]
                one = np.float32(1.0)
                if half_life > 0.0:
                    one = np.float32(np.exp2(-max(0.0, ts - memory.times[row]) / half_life))
                for place in range(memory.sizes[row]):
                    other = memory.items[row, place]
                    if place == match or other < 0:
                        continue
                    slot_of = scratch.slots[other]
                    if slot_of < 0:
                        if n >= room:
                            continue
                        slot_of = n
                        n += 1
                        scratch.slots[other] = slot_of
                        scratch.found[slot_of] = other
                        scratch.sums[slot_of, :] = 0.0
                    scratch.sums[slot_of, hop] += weight * one
                    scratch.sums[slot_of, hop_newest] += weight_newest * one
    for at in range(total):
        item = clicks[at]
        known = 0 <= item < len(memory.clicks) and memory.clicks[item] > 0
        if known and scratch.slots[item] < 0 and n < room:
            scratch.slots[item] = n
            scratch.found[n] = item
            scratch.sums[n, :] = 0.0
            n += 1
    return n, distinct, touched


@jit(fastmath=DIVISIONS, numpy_errors=True)
def admit(slots: Any, found: Any, sums: Any, n: int, items: Any) -> int:
    """Make further items candidates; return how many there are now.

    Here and below only the arrays that are needed are passed on: each costs a tenth of a microsecond.
    """
    for at in range(len(items)):
        item = items[at]
        if 0 <= item < len(slots) and slots[item] < 0 and n < len(found):
            slots[item] = n
            found[n] = item
            sums[n, :] = 0.0
            n += 1
    return n


@jit(fastmath=DIVISIONS, numpy_errors=True)
def release(slots: Any, found: Any, n: int) -> None:
    """Leave the scratch memory as it was found."""
    for at in range(n):
        slots[found[at]] = -1


@jit(fastmath=DIVISIONS, numpy_errors=True)
def similarities(
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
    for place in range(distinct):
        slot = slots[context[place]]
        if slot >= 0:
            out[slot] += np.float32(repeat / np.sqrt(1.0 + ages[place]))


@jit(fastmath=DIVISIONS, numpy_errors=True)
def evidence_of(
    slots: Any, sums: Any, context: Any, supports: Any, distinct: int, items: Any, out: Any
) -> None:
    """For each item the context item that most of its own sessions hold beside it; itself where it is one."""
    for at in range(len(items)):
        item = items[at]
        slot = slots[item]
        out[at] = -1 if distinct == 0 else context[0]
        strongest = np.float32(0.0)
        for place in range(distinct):
            if context[place] == item:
                out[at] = item
                break
            if slot >= 0 and place < 4:
                share = sums[slot, place] / (supports[place] + 3.0)
                if share > strongest:
                    strongest = share
                    out[at] = context[place]


@jit(fastmath=DIVISIONS, numpy_errors=True)
def attribute(
    slots: Any,
    all_sums: Any,
    context: Any,
    supports: Any,
    distinct: int,
    items: Any,
    voices: Any,
    evidence: Any,
    silent: Any,
) -> int:
    """Say for each item what the sessions around the context tell of it, and the context item they tell it by.

    Parameters
    ----------
    slots, all_sums, context, supports
        Of the scratch memory, after `look_around`.
    distinct
        Distinct items of the context.
    items : ndarray of int32, shape (n,)
        Candidates.
    voices : ndarray of int64, shape (n,)
        Gets -2 for an item of the context; -3 for one that mostly came next after its newest item; -4 for one that
        stood beside one of its newest four; -1 for one in sessions that share an older one; -5 for one that only the
        second hop reached, or nothing.
    evidence : ndarray of int32, shape (n,)
        Gets the item of the context; -1 where there is none.
    silent : ndarray of int64, shape (n,)
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
        voices[at] = -5
        evidence[at] = -1 if distinct == 0 else context[0]
        strongest = np.float32(0.0)
        for place in range(distinct):
            if context[place] == item:
                voices[at] = -2
                evidence[at] = item
                break
            if place < 4:
                share = sums[place] / (supports[place] + np.float32(3.0))
                if share > strongest:
                    strongest = share
                    voices[at] = -4
                    evidence[at] = context[place]
        if voices[at] == -4:
            if evidence[at] == context[0] and sums[next_to] * 2 > sums[0]:
                voices[at] = -3
        elif voices[at] == -5:
            if sums[support] > 0:
                voices[at] = -1
            elif not sums[hop] > 0:
                silent[n] = at
                n += 1
    return n


@jit(fastmath=DIVISIONS, numpy_errors=True)
def forget(memory: Memory, gone: Any) -> None:
    """Take items out of every session and drop their postings."""
    rows, _ = memory.items.shape
    for row in range(rows):
        for place in range(memory.sizes[row]):
            item = memory.items[row, place]
            if item >= 0 and gone[item]:
                memory.items[row, place] = -1
    for item in range(min(len(gone), len(memory.clicks))):
        if gone[item]:
            memory.clicks[item] = 0
            memory.born[item] = 0


@jit(fastmath=DIVISIONS, numpy_errors=True)
def shortlist(
    clicks: Any,
    slots: Any,
    found: Any,
    sums: Any,
    order: Any,
    spare: Any,
    n: int,
    quotas: Any,
    near: Any,
    near_quota: int,
    wanted: Any,
    allowed: Any,
    marks: Any,
    out: Any,
) -> int:
    """Choose candidates: the best of each column by quota, those nearest by vectors, and those asked for by name.

    Parameters
    ----------
    clicks
        Of the memory.
    slots, found, sums, order, spare
        Of the scratch memory, after `look_around`.
    n
        Candidates.
    quotas : ndarray of int32, shape (columns, 3)
        A column, how many of it, and whether it is divided by the root of the item's clicks.
    near : ndarray of float32
        Nearness by vectors of the first candidates.
    near_quota
        How many of those.
    wanted : ndarray of int32
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
    for at in range(len(wanted)):
        slot = slots[wanted[at]] if wanted[at] >= 0 else -1
        if slot >= 0:
            marks[slot] = 1
    for each in range(len(quotas) + 1):
        vectors = each == len(quotas)
        column = 0 if vectors else quotas[each, 0]
        quota = near_quota if vectors else quotas[each, 1]
        divided = not vectors and quotas[each, 2] > 0
        among = min(len(near), n) if vectors else n
        held = 0
        for slot in range(among):
            value = near[slot] if vectors else sums[slot, column]
            if divided:
                value /= np.sqrt(clicks[found[slot]] + np.float32(5.0))
            order[slot] = value
            if value > 0:
                spare[held] = value
                held += 1
        if held == 0:
            continue
        least = kth_largest(spare, held, min(quota, held))
        taken = 0
        for slot in range(among):
            if order[slot] >= least and order[slot] > 0:
                marks[slot] = 1
                taken += 1
                if taken >= quota + 8:
                    break
    chosen = 0
    for slot in range(n):
        if marks[slot] and chosen < len(out) and allowed[found[slot]]:
            out[chosen] = slot
            chosen += 1
    return chosen
