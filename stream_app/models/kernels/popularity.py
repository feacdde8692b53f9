"""Counts by segment, with the best items of each segment kept sorted.

Row 0 of every table stands for all users, whose counts are stored densely; the other rows are open-addressing hash
tables.
"""

from typing import NamedTuple

from stream_app.models.array_types import Floats, Hashes, Items, Mask, Rows, Scores, Sizes
from stream_app.models.kernels.decay import forward_weight
from stream_app.models.kernels.jit import jit
from stream_app.models.kernels.topk import ranks_before, top_k


class SegmentCounts(NamedTuple):
    """Decayed counts of items."""

    overall: Floats  # shape (n_items,): count of each item over all users
    totals: Floats  # shape (rows,): sum of the counts of each segment
    # shape (rows, slots): item + 1 in each slot of a segment's hash table, 0 in a free slot; `slots` is a
    # power of two
    keys: Items
    values: Floats  # shape (rows, slots): count of the item
    sizes: Sizes  # shape (rows,): items in each hash table


class Heads(NamedTuple):
    """Items with the largest counts of each segment, in order."""

    items: Items  # shape (rows, length)
    counts: Floats  # shape (rows, length)
    sizes: Sizes  # shape (rows,)


class MergeScratch(NamedTuple):
    """Working memory to merge heads."""

    seen: Mask  # shape (n_items,): False between calls
    items: Items  # shape (capacity,)
    scores: Scores  # shape (capacity,)


@jit()
def find_slot(keys: Items, item: int) -> int:
    """Find the slot of an item in a hash table, or the free slot for it.

    Parameters
    ----------
    keys : ndarray of int32, shape (slots,)
        A row of `SegmentCounts.keys`; must have a free slot.
    """
    mask = len(keys) - 1
    slot = (item * 0x9E3779B1 >> 7) & mask
    while keys[slot] != 0 and keys[slot] != item + 1:
        slot = (slot + 1) & mask
    return slot


@jit()
def update_head(items: Items, counts: Floats, size: int, item: int, count: float, ties: Hashes) -> int:
    """Move an item whose count has grown to its rank in a head; return the size of the head now.

    Parameters
    ----------
    items, counts : ndarray, shape (length,)
        A row of `Heads`.
    size
        Items in it.
    item, count
        The item and its count now.
    """
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
    decay: tuple[float, float],
    segments: Rows,
    counts: SegmentCounts,
    heads: Heads,
    ties: Hashes,
) -> int:
    """Count an item for all users and in each segment.

    Returns the largest size of a segment that has grown, 0 if none has.

    Parameters
    ----------
    decay
        Half-life and landmark, see `forward_weight`.
    segments : ndarray of int32, shape (n,)
        Rows of the segments, without row 0.
    """
    counts = SegmentCounts(*counts)
    heads = Heads(*heads)
    weight = weight * forward_weight(ts, decay[0], decay[1])
    counts.overall[item] += weight
    counts.totals[0] += weight
    _update_head_of(0, item, counts.overall[item], heads, ties)
    largest = 0
    for segment in segments:
        largest = max(largest, _add(item, weight, segment, counts, heads, ties))
    return largest


@jit()
def count_in_segment(
    item: int,
    weight: float,
    ts: float,
    decay: tuple[float, float],
    segment: int,
    counts: SegmentCounts,
    heads: Heads,
    ties: Hashes,
) -> int:
    """Count an item in one segment alone, as `count_item` does; return the size of the segment if it has grown."""
    weight = weight * forward_weight(ts, decay[0], decay[1])
    return _add(item, weight, segment, SegmentCounts(*counts), Heads(*heads), ties)


@jit(inline=True)
def _add(item: int, weight: float, segment: int, counts: SegmentCounts, heads: Heads, ties: Hashes) -> int:
    """Add to the count of an item in a segment; return the size of the segment if it has grown, else 0."""
    grown = 0
    slot = find_slot(counts.keys[segment], item)
    if counts.keys[segment, slot] == 0:
        counts.keys[segment, slot] = item + 1
        counts.values[segment, slot] = 0.0
        counts.sizes[segment] += 1
        grown = counts.sizes[segment]
    counts.values[segment, slot] += weight
    counts.totals[segment] += weight
    _update_head_of(segment, item, counts.values[segment, slot], heads, ties)
    return grown


@jit(inline=True)
def _update_head_of(segment: int, item: int, count: float, heads: Heads, ties: Hashes) -> None:
    heads.sizes[segment] = update_head(
        heads.items[segment], heads.counts[segment], heads.sizes[segment], item, count, ties
    )


@jit()
def rebuild_segment(
    segment: int, items: Items, values: Floats, counts: SegmentCounts, heads: Heads, ties: Hashes
) -> None:
    """Replace the counts of a segment, and its head.

    Parameters
    ----------
    segment
        Row of the segment.
    items, values : ndarray, shape (n,)
        Distinct items and their counts.
    """
    counts = SegmentCounts(*counts)
    heads = Heads(*heads)
    counts.keys[segment, :] = 0
    counts.sizes[segment] = len(items)
    heads.sizes[segment] = 0
    for at in range(len(items)):
        item = items[at]
        slot = find_slot(counts.keys[segment], item)
        counts.keys[segment, slot] = item + 1
        counts.values[segment, slot] = values[at]
        _update_head_of(segment, item, values[at], heads, ties)


@jit()
def rebuild_overall_head(counts: SegmentCounts, heads: Heads, ties: Hashes) -> None:
    """Compute the head of row 0 from the counts of all items.

    Parameters
    ----------
    heads
        Row 0 is changed.
    """
    counts = SegmentCounts(*counts)
    heads = Heads(*heads)
    heads.sizes[0] = 0
    for item in range(len(counts.overall)):
        if counts.overall[item] > 0:
            _update_head_of(0, item, counts.overall[item], heads, ties)


@jit(inline=True)
def share(item: int, segments: Rows, counts: SegmentCounts) -> float:
    """Sum of an item's shares of the counts of segments.

    Parameters
    ----------
    item
        A known item.
    segments : ndarray of int32, shape (n,)
        Rows of segments; row 0 stands for all users.
    """
    total = 0.0
    for segment in segments:
        if counts.totals[segment] <= 0:
            continue
        if segment == 0:
            total += counts.overall[item] / counts.totals[0]
        else:
            slot = find_slot(counts.keys[segment], item)
            if counts.keys[segment, slot] != 0:
                total += counts.values[segment, slot] / counts.totals[segment]
    return total


@jit()
def top_segment(item: int, segments: Rows, counts: SegmentCounts) -> int:
    """Position in `segments` of the segment in which the item has its largest share; the first in a tie.

    Parameters
    ----------
    item
        A known item.
    segments : ndarray of int32, shape (segments,)
        Rows of segments; row 0 stands for all users.
    """
    counts = SegmentCounts(*counts)
    best, slot = -1.0, 0
    for at in range(len(segments)):
        part = share(item, segments[at : at + 1], counts)
        if part > best:
            best, slot = part, at
    return slot


@jit()
def shares(items: Items, segments: Rows, counts: SegmentCounts, out: Scores) -> None:
    """Write the `share` of each of `items` to `out`, 0 for an unknown item.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Items; those below 0 or beyond the counts are unknown.
    segments : ndarray of int32, shape (segments,)
        Rows of segments; row 0 stands for all users.
    out : ndarray of float32, shape (n,)
    """
    counts = SegmentCounts(*counts)
    for at in range(len(items)):
        item = items[at]
        out[at] = 0.0
        if 0 <= item < len(counts.overall):
            out[at] = share(item, segments, counts)


@jit()
def most_popular(
    segments: Rows,
    depth: int,
    counts: SegmentCounts,
    heads: Heads,
    scratch: MergeScratch,
    ties: Hashes,
    out_items: Items,
    out_scores: Scores,
) -> int:
    """Rank the items at the heads of segments by the sum of their shares; return the number of items written.

    Parameters
    ----------
    segments : ndarray of int32, shape (n,)
        Rows of the segments.
    depth
        Items used of each head.
    scratch
        Working memory for n * depth items.
    """
    counts = SegmentCounts(*counts)
    heads = Heads(*heads)
    scratch = MergeScratch(*scratch)
    n = 0
    for segment in segments:
        for at in range(min(depth, heads.sizes[segment])):
            item = heads.items[segment, at]
            if not scratch.seen[item]:
                scratch.seen[item] = True
                scratch.items[n] = item
                scratch.scores[n] = share(item, segments, counts)
                n += 1
    for at in range(n):
        scratch.seen[scratch.items[at]] = False
    return top_k(scratch.items, scratch.scores, n, ties, len(out_items), out_items, out_scores)
