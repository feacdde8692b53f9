"""Counts in a sliding window, compared with long-term counts."""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats, Items, Rows, Scores, Sizes
from stream_app.models.kernels.jit import jit

NO_BUCKET: Final = -(1 << 62)
"""Bucket of a ring slot that was never used."""


class TrendCounts(NamedTuple):
    """Counts of items over all users, and of the member items of each segment."""

    buckets: NDArray[np.int64]  # shape (n_items, buckets): time bucket that each slot of an item's ring holds
    counts: Floats  # shape (n_items, buckets): count in that bucket
    sums: Floats  # shape (n_items,): long-term decayed sums
    # shape (segments, capacity): items of each segment; row 0, which stands for all users, is not used
    members: Items
    sizes: Sizes  # shape (segments,): members of each segment
    # segment_buckets, segment_counts: shape (segments, capacity, buckets)
    segment_buckets: NDArray[np.int64]
    segment_counts: Floats
    segment_sums: Floats  # shape (segments, capacity): as above, of the members


@jit(inline=True)
def _count_in_window(weight: float, bucket: int, buckets: NDArray[np.int64], counts: Floats) -> None:
    """Add to the count of a time bucket; a bucket that has left the ring is ignored."""
    slot = bucket % len(counts)
    if buckets[slot] > bucket:
        return
    if buckets[slot] < bucket:
        buckets[slot] = bucket
        counts[slot] = 0.0
    counts[slot] += weight


@jit(inline=True)
def find_member(item: int, members: Items, size: int) -> int:
    """Slot of an item among the members of a segment, -1 if it is not a member."""
    for at in range(size):
        if members[at] == item:
            return at
    return -1


@jit()
def count_item(
    item: int,
    weight: float,
    decayed_weight: float,
    bucket: int,
    rows: Rows,
    totals: Floats,
    table: TrendCounts,
) -> int:
    """Count an item for all users and in each segment.

    Returns the largest size of a segment that has grown, 0 if none has.

    Parameters
    ----------
    weight, decayed_weight
        Weight added to the window, and the weight by forward decay added to the long-term sums.
    rows : ndarray of int32, shape (n,)
        Rows of the segments.
    totals : ndarray of float64, shape (segments,)
        Long-term sum of each segment.
    """
    table = TrendCounts(*table)
    table.sums[item] += decayed_weight
    _count_in_window(weight, bucket, table.buckets[item], table.counts[item])
    largest = 0
    for row in rows:
        totals[row] += decayed_weight
        at = find_member(item, table.members[row], table.sizes[row])
        if at < 0:
            at = table.sizes[row]
            table.sizes[row] = at + 1
            table.members[row, at] = item
            table.segment_buckets[row, at, :] = NO_BUCKET
            table.segment_sums[row, at] = 0.0
            largest = max(largest, table.sizes[row])
        table.segment_sums[row, at] += decayed_weight
        _count_in_window(weight, bucket, table.segment_buckets[row, at], table.segment_counts[row, at])
    return largest


@jit(inline=True)
def trend_score(
    newest: int, expected_per_sum: float, buckets: NDArray[np.int64], counts: Floats, long_term_sum: float
) -> float:
    """Standard deviations by which the count in the window exceeds the expected count; 0 if it does not."""
    length = len(counts)
    recent = 0.0
    for slot in range(length):
        if newest - length < buckets[slot] <= newest:
            recent += counts[slot]
    expected_count = long_term_sum * expected_per_sum
    return (recent - expected_count) / math.sqrt(1.0 + expected_count) if recent > expected_count else 0.0


@jit(inline=True)
def _overall_score(item: int, newest: int, expected_per_sum: float, table: TrendCounts) -> float:
    return trend_score(newest, expected_per_sum, table.buckets[item], table.counts[item], table.sums[item])


@jit(inline=True)
def _member_score(row: int, slot: int, newest: int, expected_per_sum: float, table: TrendCounts) -> float:
    return trend_score(
        newest,
        expected_per_sum,
        table.segment_buckets[row, slot],
        table.segment_counts[row, slot],
        table.segment_sums[row, slot],
    )


@jit()
def collect_candidates(
    pool: Items,
    rows: Rows,
    newest: int,
    expected_per_sum: float,
    table: TrendCounts,
    best: Floats,
    items: Items,
    out: Scores,
) -> int:
    """Collect the items that trend in at least one segment, with their largest score.

    Returns the number of items written.

    Parameters
    ----------
    pool : ndarray of int32, shape (n,)
        Items scored for all users.
    rows : ndarray of int32, shape (m,)
        Rows of the segments; 0 stands for all users.
    newest
        Newest time bucket.
    expected_per_sum
        Factor from a long-term sum to the expected count in a window.
    best : ndarray of float64, shape (n_items,)
        Scratch, 0 between calls.
    items, out : ndarray, shape (capacity,)
        Receive the items and their scores, unordered.
    """
    table = TrendCounts(*table)
    n = 0
    for row in rows:
        for at in range(len(pool) if row == 0 else table.sizes[row]):
            if row == 0:
                item = pool[at]
                value = _overall_score(item, newest, expected_per_sum, table)
            else:
                item = table.members[row, at]
                value = _member_score(row, at, newest, expected_per_sum, table)
            if value > 0.0 and best[item] == 0.0:
                items[n] = item
                n += 1
            best[item] = max(best[item], value)
    for at in range(n):
        out[at] = best[items[at]]
        best[items[at]] = 0.0
    return n


@jit()
def max_over_segments(
    items: Items,
    rows: Rows,
    newest: int,
    expected_per_sum: float,
    table: TrendCounts,
    out: Scores,
    top_segments: Rows,
) -> None:
    """Write the largest score of each item over the segments, and the position of that segment.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Unknown items score 0.
    rows, newest, expected_per_sum, table
        As for `collect_candidates`.
    out : ndarray of float32, shape (n,)
        Receives the scores.
    top_segments : ndarray of int32, shape (n,)
        Receives the position in `rows`; the first in a tie.
    """
    table = TrendCounts(*table)
    for each in range(len(items)):
        item = items[each]
        out[each] = 0.0
        top_segments[each] = 0
        if not 0 <= item < len(table.sums):
            continue
        largest_score = 0.0
        for at in range(len(rows)):
            row = rows[at]
            value = 0.0
            if row == 0:
                value = _overall_score(item, newest, expected_per_sum, table)
            else:
                slot = find_member(item, table.members[row], table.sizes[row])
                if slot >= 0:
                    value = _member_score(row, slot, newest, expected_per_sum, table)
            if value > largest_score:
                largest_score = value
                top_segments[each] = at
        out[each] = largest_score
