"""The compiled inner loops of `trending`; see `kernels` for the rules."""

import math
from typing import Any, NamedTuple

from stream_app.models.kernels.jit import jit


class Counts(NamedTuple):
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
    own_buckets, own_counts, own_sums
        As above, of the members.
    """

    buckets: Any
    counts: Any
    sums: Any
    members: Any
    sizes: Any
    own_buckets: Any
    own_counts: Any
    own_sums: Any


@jit()
def tick(weight: float, bucket: int, buckets: Any, counts: Any) -> None:
    """Count in a bucket of time; one that the ring has passed already is too old to matter."""
    place = bucket % len(counts)
    if buckets[place] > bucket:
        return
    if buckets[place] < bucket:
        buckets[place] = bucket
        counts[place] = 0.0
    counts[place] += weight


@jit()
def place_of(item: int, members: Any, size: int) -> int:
    """Place of an item among the members of a segment, -1 for none."""
    for at in range(size):
        if members[at] == item:
            return at
    return -1


@jit()
def count(item: int, weight: float, grown: float, bucket: int, never: int, rows: Any, held: Counts) -> int:
    """Count an item for everybody and in each segment; return the largest size of a segment that has grown.

    `weight` goes into the window, `grown`, the weight by forward decay, into the sums.
    """
    held.sums[item] += grown
    tick(weight, bucket, held.buckets[item], held.counts[item])
    largest = 0
    for row in rows:
        at = place_of(item, held.members[row], held.sizes[row])
        if at < 0:
            at = held.sizes[row]
            held.sizes[row] = at + 1
            held.members[row, at] = item
            held.own_buckets[row, at, :] = never
            held.own_sums[row, at] = 0.0
            largest = max(largest, held.sizes[row])
        held.own_sums[row, at] += grown
        tick(weight, bucket, held.own_buckets[row, at], held.own_counts[row, at])
    return largest


@jit()
def surprise(newest: int, expected: float, buckets: Any, counts: Any, past: float) -> float:
    """How far the count in the window lies above the expected one, in standard deviations; 0 if it does not.

    `expected` turns a long-term sum into the count to expect in a window.
    """
    length = len(counts)
    recent = 0.0
    for place in range(length):
        if newest - length < buckets[place] <= newest:
            recent += counts[place]
    usual = past * expected
    return (recent - usual) / math.sqrt(1.0 + usual) if recent > usual else 0.0


@jit()
def gather(
    pool: Any, n: int, rows: Any, newest: int, expected: float, held: Counts, best: Any, items: Any, out: Any
) -> int:
    """Write the items that any of the audiences is surprised by, and how much at most; return how many.

    `best` has a zero for each item, and is left so.
    """
    touched = 0
    for row in rows:
        for at in range(n if row == 0 else held.sizes[row]):
            if row == 0:
                item = pool[at]
                value = surprise(newest, expected, held.buckets[item], held.counts[item], held.sums[item])
            else:
                item = held.members[row, at]
                value = surprise(
                    newest,
                    expected,
                    held.own_buckets[row, at],
                    held.own_counts[row, at],
                    held.own_sums[row, at],
                )
            if value > 0.0 and best[item] == 0.0:
                items[touched] = item
                touched += 1
            best[item] = max(best[item], value)
    for at in range(touched):
        out[at] = best[items[at]]
        best[items[at]] = 0.0
    return touched


@jit()
def loudest(items: Any, rows: Any, newest: int, expected: float, held: Counts, out: Any, voices: Any) -> None:
    """Write how much each item surprises the audience that it surprises most, and the place of that in `rows`."""
    for each in range(len(items)):
        item = items[each]
        out[each] = 0.0
        voices[each] = 0
        if not 0 <= item < len(held.sums):
            continue
        most = 0.0
        for at in range(len(rows)):
            row = rows[at]
            value = 0.0
            if row == 0:
                value = surprise(newest, expected, held.buckets[item], held.counts[item], held.sums[item])
            else:
                place = place_of(item, held.members[row], held.sizes[row])
                if place >= 0:
                    value = surprise(
                        newest,
                        expected,
                        held.own_buckets[row, place],
                        held.own_counts[row, place],
                        held.own_sums[row, place],
                    )
            if value > most:
                most = value
                voices[each] = at
        out[each] = most
