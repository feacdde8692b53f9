"""The compiled inner loops of `trending`; see `kernels` for the rules."""

import math
from typing import Any, NamedTuple

from stream_app.models.kernels.jit import jit


class TrendCounts(NamedTuple):
    """Counts of the items of every audience.

    Attributes
    ----------
    buckets : ndarray of int64, shape (items, buckets)
        Of everybody: the bucket of time that each place of an item's ring holds.
    counts : ndarray of float64, shape (items, buckets)
        What was counted in it.
    sums : ndarray of float64, shape (items,)
        Decayed sums.
    members : ndarray of int32, shape (segments, room)
        Items of each segment; row 0, which would be everybody's, is not used.
    sizes : ndarray of int32, shape (segments,)
        How many there are.
    segment_buckets, segment_counts, segment_sums
        As above, of the members.
    """

    buckets: Any
    counts: Any
    sums: Any
    members: Any
    sizes: Any
    segment_buckets: Any
    segment_counts: Any
    segment_sums: Any


@jit()
def count_in_window(weight: float, bucket: int, buckets: Any, counts: Any) -> None:
    """Count in a bucket of time; one that the ring has passed already is too old to matter."""
    slot = bucket % len(counts)
    if buckets[slot] > bucket:
        return
    if buckets[slot] < bucket:
        buckets[slot] = bucket
        counts[slot] = 0.0
    counts[slot] += weight


@jit()
def find_member(item: int, members: Any, size: int) -> int:
    """Place of an item among the members of a segment, -1 for none."""
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
    no_bucket: int,
    rows: Any,
    table: TrendCounts,
) -> int:
    """Count an item for everybody and in each segment; return the largest size of a segment that has grown.

    `weight` goes into the window, `decayed_weight`, the weight by forward decay, into the sums.
    """
    table.sums[item] += decayed_weight
    count_in_window(weight, bucket, table.buckets[item], table.counts[item])
    largest = 0
    for row in rows:
        at = find_member(item, table.members[row], table.sizes[row])
        if at < 0:
            at = table.sizes[row]
            table.sizes[row] = at + 1
            table.members[row, at] = item
            table.segment_buckets[row, at, :] = no_bucket
            table.segment_sums[row, at] = 0.0
            largest = max(largest, table.sizes[row])
        table.segment_sums[row, at] += decayed_weight
        count_in_window(weight, bucket, table.segment_buckets[row, at], table.segment_counts[row, at])
    return largest


@jit()
def trend_score(
    newest: int, expected_per_sum: float, buckets: Any, counts: Any, long_term_sum: float
) -> float:
    """How far the count in the window lies above the expected one, in standard deviations; 0 if it does not.

    `expected_per_sum` turns a long-term sum into the count to expect in a window.
    """
    length = len(counts)
    recent = 0.0
    for slot in range(length):
        if newest - length < buckets[slot] <= newest:
            recent += counts[slot]
    expected_count = long_term_sum * expected_per_sum
    return (recent - expected_count) / math.sqrt(1.0 + expected_count) if recent > expected_count else 0.0


@jit()
def collect_candidates(
    pool: Any,
    n: int,
    rows: Any,
    newest: int,
    expected_per_sum: float,
    table: TrendCounts,
    best: Any,
    items: Any,
    out: Any,
) -> int:
    """Write the items that any of the audiences is surprised by, and how much at most; return how many.

    `best` has a zero for each item, and is left so.
    """
    n_touched = 0
    for row in rows:
        for at in range(n if row == 0 else table.sizes[row]):
            if row == 0:
                item = pool[at]
                value = trend_score(
                    newest, expected_per_sum, table.buckets[item], table.counts[item], table.sums[item]
                )
            else:
                item = table.members[row, at]
                value = trend_score(
                    newest,
                    expected_per_sum,
                    table.segment_buckets[row, at],
                    table.segment_counts[row, at],
                    table.segment_sums[row, at],
                )
            if value > 0.0 and best[item] == 0.0:
                items[n_touched] = item
                n_touched += 1
            best[item] = max(best[item], value)
    for at in range(n_touched):
        out[at] = best[items[at]]
        best[items[at]] = 0.0
    return n_touched


@jit()
def max_over_segments(
    items: Any,
    rows: Any,
    newest: int,
    expected_per_sum: float,
    table: TrendCounts,
    out: Any,
    top_segments: Any,
) -> None:
    """Write how much each item surprises the audience that it surprises most, and the place of that in `rows`."""
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
                value = trend_score(
                    newest, expected_per_sum, table.buckets[item], table.counts[item], table.sums[item]
                )
            else:
                slot = find_member(item, table.members[row], table.sizes[row])
                if slot >= 0:
                    value = trend_score(
                        newest,
                        expected_per_sum,
                        table.segment_buckets[row, slot],
                        table.segment_counts[row, slot],
                        table.segment_sums[row, slot],
                    )
            if value > largest_score:
                largest_score = value
                top_segments[each] = at
        out[each] = largest_score
