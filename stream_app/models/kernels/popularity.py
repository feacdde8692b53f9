"""Counts by segment, with the best items of each kept sorted."""

from typing import Any

from stream_app.models.kernels.decay import forward_weight
from stream_app.models.kernels.jit import jit
from stream_app.models.kernels.topk import ranks_before, top_k


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
