"""The compiled inner loops of the models.

Numba's on-disk cache notices a change of the kernel's own file and of nothing else. So everything a kernel
needs comes in as an argument, no global, and all kernels live in this one file, since they call one another.

Kernels that take scratch arrays (`seen`, `scores`, `best`) find them zeroed and leave
them zeroed.
"""

# ruff: noqa: C901, PLR0912 - one loop, one kernel: arrays are costly to pass on

import math
from typing import Any

import numpy as np

from stream_app.models.kernels.jit import SUMS, jit

# --- decay -----------------------------------------------------------------------------------------------


@jit()
def forward_weight(ts: float, half_life: float, landmark: float) -> float:
    """Weigh an event by its time; `landmark` is a whole number of half-lives.

    The whole part goes into the exponent and only the fraction through the power, so that weights by two
    landmarks differ by an exact power of two.
    """
    age = ts / half_life
    whole = math.floor(age)
    return math.ldexp(2.0 ** (age - whole), int(min(max(whole - landmark, -2000.0), 2000.0)))


# --- the best k ------------------------------------------------------------------------------------------


@jit()
def ranks_before(score: Any, item: Any, other_score: Any, other: Any, ties: Any) -> bool:
    """Whether an item ranks before another: by score, then by the smaller tie value."""
    if score != other_score:
        return bool(score > other_score)
    return bool(ties[item] < ties[other])


@jit()
def sift_down(scores: Any, items: Any, ties: Any, score: Any, item: Any, size: int) -> None:
    """Put an entry at the root of a heap (the last in rank on top) of `size` and let it sink."""
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size and ranks_before(scores[child], items[child], scores[right], items[right], ties):
            child = right
        if ranks_before(score, item, scores[child], items[child], ties):
            scores[at] = scores[child]
            items[at] = items[child]
            at = child
        else:
            break
    scores[at] = score
    items[at] = item


@jit()
def top_k(items: Any, scores: Any, n: int, ties: Any, k: int, out_items: Any, out_scores: Any) -> int:
    """Write the best `k` of the first `n` entries with a score above 0, best first; return how many."""
    size = 0
    for entry in range(n):
        score = scores[entry]
        if not score > 0:
            continue
        item = items[entry]
        if size < k:
            at = size
            size += 1
            while at > 0:
                parent = (at - 1) // 2
                if not ranks_before(out_scores[parent], out_items[parent], score, item, ties):
                    break
                out_scores[at] = out_scores[parent]
                out_items[at] = out_items[parent]
                at = parent
            out_scores[at] = score
            out_items[at] = item
        elif ranks_before(score, item, out_scores[0], out_items[0], ties):
            sift_down(out_scores, out_items, ties, score, item, size)
    for end in range(size - 1, 0, -1):
        score = out_scores[end]
        item = out_items[end]
        out_scores[end] = out_scores[0]
        out_items[end] = out_items[0]
        sift_down(out_scores, out_items, ties, score, item, end)
    return size


# --- tails of sessions -----------------------------------------------------------------------------------


@jit()
def open_session(
    row: int, ts: float, gap: float, newest: int, serials: Any, starts: Any, lasts: Any
) -> tuple[int, int]:
    """Find the session of an event of the shopper in `row`; return its serial and the newest serial."""
    if lasts[row] == -math.inf or ts > lasts[row] + gap:
        newest += 1
        serials[row] = newest
        starts[row] = ts
        lasts[row] = ts
        return newest, newest
    if ts < starts[row] - gap:
        return newest + 1, newest + 1
    starts[row] = min(starts[row], ts)
    lasts[row] = max(lasts[row], ts)
    return serials[row], newest


@jit()
def insert_event(
    row: int,
    item: int,
    ts: float,
    gap: float,
    items: Any,
    times: Any,
    sizes: Any,
    ties: Any,
    out_items: Any,
    out_times: Any,
) -> tuple[int, bool]:
    """Write what lies within the gap of `ts`, then put the item in its place.

    Returns
    -------
    tuple of int and bool
        How many entries were written, and whether the item is one of them.
    """
    size = sizes[row]
    length = items.shape[1]
    n = 0
    repeat = False
    slot = 0
    for at in range(size):
        other_ts = times[row, at]
        if abs(ts - other_ts) <= gap:
            out_items[n] = items[row, at]
            out_times[n] = other_ts
            n += 1
            repeat |= items[row, at] == item
        if other_ts < ts or (other_ts == ts and ties[items[row, at]] <= ties[item]):
            slot = at + 1
    if size == length:
        if slot == 0:
            return n, repeat
        slot -= 1
        for at in range(slot):
            items[row, at] = items[row, at + 1]
            times[row, at] = times[row, at + 1]
    else:
        for at in range(size, slot, -1):
            items[row, at] = items[row, at - 1]
            times[row, at] = times[row, at - 1]
        sizes[row] = size + 1
    items[row, slot] = item
    times[row, slot] = ts
    return n, repeat


@jit()
def drop_items(items: Any, times: Any, sizes: Any, removed_mask: Any) -> None:
    """Take the items marked in `removed_mask` out of every row, closing the ranks."""
    for row in range(len(sizes)):
        kept = 0
        for at in range(sizes[row]):
            item = items[row, at]
            if item < len(removed_mask) and removed_mask[item]:
                continue
            items[row, kept] = item
            times[row, kept] = times[row, at]
            kept += 1
        sizes[row] = kept


# --- popularity ------------------------------------------------------------------------------------------


@jit()
def find_slot(keys: Any, item: int) -> int:
    """Find the slot of an item in an open-addressing table, or the free one it would take.

    `keys` has a power of two of slots and holds item + 1, 0 where free.
    """
    mask = len(keys) - 1
    slot = (item * 0x9E3779B1 >> 7) & mask
    while keys[slot] != 0 and keys[slot] != item + 1:
        slot = (slot + 1) & mask
    return slot


@jit()
def update_head(items: Any, counts: Any, size: int, item: int, count: float, ties: Any) -> int:
    """Move an item whose count has grown to its place in a sorted head; return the head's size."""
    capacity = len(items)
    if size == capacity and not ranks_before(count, item, counts[size - 1], items[size - 1], ties):
        return size
    slot = -1
    for at in range(size):
        if items[at] == item:
            slot = at
            break
    if slot < 0:
        if size < capacity:
            size += 1
        slot = size - 1
    while slot > 0 and ranks_before(count, item, counts[slot - 1], items[slot - 1], ties):
        items[slot] = items[slot - 1]
        counts[slot] = counts[slot - 1]
        slot -= 1
    items[slot] = item
    counts[slot] = count
    return size


@jit()
def count_item(
    item: int,
    weight: float,
    ts: float,
    half_life: float,
    landmark: float,
    segments: Any,
    overall: Any,
    totals: Any,
    keys: Any,
    values: Any,
    sizes: Any,
    head_items: Any,
    head_counts: Any,
    head_sizes: Any,
    ties: Any,
) -> int:
    """Count an item overall (row 0 of totals and heads) and in each segment; return the largest size."""
    weight = weight * forward_weight(ts, half_life, landmark)
    overall[item] += weight
    totals[0] += weight
    head_sizes[0] = update_head(head_items[0], head_counts[0], head_sizes[0], item, overall[item], ties)
    largest = 0
    for segment in segments:
        slot = find_slot(keys[segment], item)
        if keys[segment, slot] == 0:
            keys[segment, slot] = item + 1
            values[segment, slot] = 0.0
            sizes[segment] += 1
            largest = max(largest, sizes[segment])
        values[segment, slot] += weight
        totals[segment] += weight
        count = values[segment, slot]
        head_sizes[segment] = update_head(
            head_items[segment], head_counts[segment], head_sizes[segment], item, count, ties
        )
    return largest


@jit()
def rebuild_segment(
    segment: int,
    items: Any,
    counts: Any,
    keys: Any,
    values: Any,
    sizes: Any,
    head_items: Any,
    head_counts: Any,
    head_sizes: Any,
    ties: Any,
) -> None:
    """Make the given items and counts the whole of a segment, head included."""
    keys[segment, :] = 0
    sizes[segment] = len(items)
    head_sizes[segment] = 0
    for at in range(len(items)):
        item = items[at]
        slot = find_slot(keys[segment], item)
        keys[segment, slot] = item + 1
        values[segment, slot] = counts[at]
        head_sizes[segment] = update_head(
            head_items[segment], head_counts[segment], head_sizes[segment], item, counts[at], ties
        )


@jit()
def rebuild_overall_head(overall: Any, head_items: Any, head_counts: Any, head_sizes: Any, ties: Any) -> None:
    """Build the overall head anew."""
    head_sizes[0] = 0
    for item in range(len(overall)):
        if overall[item] > 0:
            head_sizes[0] = update_head(
                head_items[0], head_counts[0], head_sizes[0], item, overall[item], ties
            )


@jit()
def share(item: int, segments: Any, overall: Any, totals: Any, keys: Any, values: Any) -> float:
    """Sum of an item's shares of the segments (0 stands for all)."""
    total = 0.0
    for segment in segments:
        if totals[segment] <= 0:
            continue
        if segment == 0:
            total += overall[item] / totals[0]
        else:
            slot = find_slot(keys[segment], item)
            if keys[segment, slot] != 0:
                total += values[segment, slot] / totals[segment]
    return total


@jit()
def top_segment(item: int, segments: Any, overall: Any, totals: Any, keys: Any, values: Any) -> int:
    """Place in `segments` of the one in which the item has its largest share; the first of equals."""
    best, slot = -1.0, 0
    for at in range(len(segments)):
        part = share(item, segments[at : at + 1], overall, totals, keys, values)
        if part > best:
            best, slot = part, at
    return slot


@jit()
def shares(items: Any, segments: Any, overall: Any, totals: Any, keys: Any, values: Any, out: Any) -> None:
    """Write `share` of each item; 0 for an unknown one."""
    for at in range(len(items)):
        item = items[at]
        out[at] = 0.0
        if 0 <= item < len(overall):
            out[at] = share(item, segments, overall, totals, keys, values)


@jit()
def most_popular(
    segments: Any,
    depth: int,
    k: int,
    overall: Any,
    totals: Any,
    keys: Any,
    values: Any,
    head_items: Any,
    head_sizes: Any,
    seen: Any,
    pool_items: Any,
    pool_scores: Any,
    ties: Any,
    out_items: Any,
    out_scores: Any,
) -> int:
    """Rank the items at the head of any of the segments by the sum of their shares; return how many."""
    n = 0
    for segment in segments:
        for at in range(min(depth, head_sizes[segment])):
            item = head_items[segment, at]
            if not seen[item]:
                seen[item] = True
                pool_items[n] = item
                pool_scores[n] = share(item, segments, overall, totals, keys, values)
                n += 1
    for at in range(n):
        seen[pool_items[at]] = False
    return top_k(pool_items, pool_scores, n, ties, k, out_items, out_scores)


# --- item to item ----------------------------------------------------------------------------------------


@jit()
def add_weight(row: int, item: int, weight: float, items: Any, weights: Any, sizes: Any, ties: Any) -> None:
    """Add to the weight of a neighbor of `row`; a full row gives up its last in rank for a new one."""
    size = sizes[row]
    for at in range(size):
        if items[row, at] == item:
            weights[row, at] += weight
            return
    if size < items.shape[1]:
        sizes[row] = size + 1
        slot = size
    else:
        slot = 0
        for at in range(1, size):
            if ranks_before(weights[row, slot], items[row, slot], weights[row, at], items[row, at], ties):
                slot = at
    items[row, slot] = item
    weights[row, slot] = weight


@jit()
def covisit(
    item: int,
    ts: float,
    previous_items: Any,
    previous_times: Any,
    time_scale: float,
    half_life: float,
    landmark: float,
    exponent: float,
    items: Any,
    weights: Any,
    sizes: Any,
    counts: Any,
    norms: Any,
    ties: Any,
) -> None:
    """Count an item and link it both ways with each distinct earlier one, the nearer in time the more."""
    counts[item] += forward_weight(ts, half_life, landmark)
    norms[item] = counts[item] ** -exponent if counts[item] > 0 else 0.0
    for at in range(len(previous_items)):
        other = previous_items[at]
        newest = other != item
        for later in range(at + 1, len(previous_items)):
            if previous_items[later] == other:
                newest = False
                break
        if newest:
            other_ts = previous_times[at]
            weight = forward_weight(max(ts, other_ts), half_life, landmark) / (
                1.0 + abs(ts - other_ts) / time_scale
            )
            add_weight(item, other, weight, items, weights, sizes, ties)
            add_weight(other, item, weight, items, weights, sizes, ties)


@jit()
def accumulate_neighbors(
    context: Any,
    depth: int,
    context_decay: float,
    initial_weight: float,
    exponent: float,
    similarity_code: int,
    total: float,
    items: Any,
    weights: Any,
    sizes: Any,
    counts: Any,
    norms: Any,
    scores: Any,
    best: Any,
    evidence: Any,
    touched_items: Any,
    n: int,
    is_purchase: bool,
) -> int:
    """Add each neighbor's similarity to its score, newest context item first; return how many.

    `similarity_code` is an index in `similarity.SIMILARITIES`; `norms` are counts to the power of -`exponent`. Sums
    over time need not be consistent to the last event: `total` counts at least what the two items make up.

    The evidence for a neighbor is the context item x that spoke loudest, written as -2 - x if they were bought
    together.
    """
    used = 0
    factor = initial_weight
    for at in range(len(context) - 1, -1, -1):
        item = context[at]
        if not 0 <= item < len(sizes):
            continue
        duplicate = False
        for later in range(at + 1, len(context)):
            if context[later] == item:
                duplicate = True
                break
        if duplicate:
            continue
        count = counts[item]
        if count > 0:
            scale = factor * count ** (exponent - 1.0)
            for neighbor in range(sizes[item]):
                other = items[item, neighbor]
                weight = weights[item, neighbor]
                if similarity_code == 0:
                    part = scale * weight * norms[other]
                else:
                    other_count = counts[other]
                    union = max(count + other_count - weight, count, other_count)
                    if not other_count > 0:
                        continue
                    if similarity_code == 1:
                        part = factor * weight / union
                    elif similarity_code == 2:
                        # what is in every basket correlates with nothing: some are taken to hold neither. By
                        # ratios: products of decayed sums would leave the range of a float
                        n_total = max(total, 1.01 * union)
                        normalizer = math.sqrt((n_total / count - 1.0) * (n_total / other_count - 1.0))
                        part = factor * ((weight / count) * (n_total / other_count) - 1.0) / normalizer
                    else:
                        part = factor * (weight / count) * (max(total, union) / other_count)
                if not part > 0:
                    continue
                if scores[other] == 0.0:
                    touched_items[n] = other
                    n += 1
                scores[other] += part
                if part > best[other]:
                    best[other] = part
                    evidence[other] = -2 - item if is_purchase else item
        factor *= context_decay
        used += 1
        if used == depth:
            break
    return n


@jit()
def rank_and_reset(
    n: int,
    k: int,
    scores: Any,
    best: Any,
    evidence: Any,
    touched_items: Any,
    ties: Any,
    pool: Any,
    out_items: Any,
    out_scores: Any,
    out_evidence: Any,
) -> int:
    """Rank the touched items and clear the scratch arrays; return how many were written."""
    for at in range(n):
        pool[at] = scores[touched_items[at]]
    size = top_k(touched_items, pool, n, ties, k, out_items, out_scores)
    for at in range(size):
        out_evidence[at] = evidence[out_items[at]]
    for at in range(n):
        scores[touched_items[at]] = 0.0
        best[touched_items[at]] = 0.0
    return size


@jit()
def read_and_reset(n: int, items: Any, scores: Any, best: Any, touched_items: Any, out: Any) -> None:
    """Write the scores of given items and clear the scratch arrays."""
    for at in range(len(items)):
        item = items[at]
        out[at] = scores[item] if 0 <= item < len(scores) else 0.0
    for at in range(n):
        scores[touched_items[at]] = 0.0
        best[touched_items[at]] = 0.0


# --- factors ---------------------------------------------------------------------------------------------


@jit()
def uniform(state: Any, width: float, out: Any) -> None:
    """Fill `out` with noise around 0 of the given width from a 64-bit state that is not 0 (xorshift64)."""
    for at in range(len(out)):
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        out[at] = width * (float(state >> 11) / 9007199254740992.0 - 0.5)


@jit()
def insert_by_clock(
    item: int, hand: int, size: int, pool: Any, slots: Any, referenced: Any
) -> tuple[int, int]:
    """Keep an item in the pool by the clock rule (second chance); return the hand and the pool's size.

    `slots` holds slot + 1 of each item, 0 outside the pool.
    """
    if slots[item] != 0:
        referenced[slots[item] - 1] = True
        return hand, size
    if size < len(pool):
        slot = size
        size += 1
    else:
        while referenced[hand]:
            referenced[hand] = False
            hand = (hand + 1) % size
        slot = hand
        hand = (hand + 1) % size
        slots[pool[slot]] = 0
    pool[slot] = item
    referenced[slot] = False
    slots[item] = slot + 1
    return hand, size


@jit()
def user_vector(
    row: int,
    items: Any,
    context_decay: float,
    has_vector: Any,
    user_latents: Any,
    item_latents: Any,
    out: Any,
) -> bool:
    """Sum the vector of a shopper (none for a row below 0) and those of items, the newest item first."""
    found = row >= 0
    if found:
        out += user_latents[row]
    factor = 1.0
    for at in range(len(items) - 1, -1, -1):
        item = items[at]
        if 0 <= item < len(has_vector) and has_vector[item]:
            for slot in range(len(out)):
                out[slot] += factor * item_latents[item, slot]
            found = True
            factor *= context_decay
    return found


@jit(fastmath=SUMS)
def dot(left: Any, right: Any) -> Any:
    """Multiply two vectors; the terms may be summed in any order, several at a time."""
    total = np.float32(0.0)
    for at in range(len(left)):
        total += left[at] * right[at]
    return total


@jit()
def affinity(vector: Any, item: int, latents: Any, biases: Any) -> float:
    """Press bias plus dot product into (0, 1), rising."""
    total = biases[item] + dot(vector, latents[item])
    return float(0.5 + 0.5 * total / (1.0 + abs(total)))


@jit()
def top_k_by_factors(
    vector: Any,
    pool: Any,
    size: int,
    latents: Any,
    biases: Any,
    ties: Any,
    k: int,
    scores: Any,
    out_items: Any,
    out_scores: Any,
) -> int:
    """Rank the pool by affinity with `vector`; return how many were written."""
    for at in range(size):
        scores[at] = affinity(vector, pool[at], latents, biases)
    return top_k(pool, scores, size, ties, k, out_items, out_scores)


@jit()
def affinities(vector: Any, items: Any, has_vector: Any, latents: Any, biases: Any, out: Any) -> None:
    """Write the affinity of each item; 0 for an unknown one."""
    for at in range(len(items)):
        item = items[at]
        out[at] = 0.0
        if 0 <= item < len(has_vector) and has_vector[item]:
            out[at] = affinity(vector, item, latents, biases)
