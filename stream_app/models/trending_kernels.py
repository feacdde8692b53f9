"""The compiled inner loops of `trending`; see `kernels` for the rules."""

import math
from typing import Any

from stream_app.models.kernels import compiled


@compiled
def count(item: int, weight: float, bucket: int, buckets: Any, counts: Any) -> None:
    """Add to an item's count in a bucket of time; one that its ring has passed already is too old to matter."""
    place = bucket % counts.shape[1]
    if buckets[item, place] > bucket:
        return
    if buckets[item, place] < bucket:
        buckets[item, place] = bucket
        counts[item, place] = 0.0
    counts[item, place] += weight


@compiled
def surprises(
    items: Any, n: int, newest: int, expected: float, buckets: Any, counts: Any, past: Any, out: Any
) -> None:
    """Write how far each item's count in the window lies above the expected one, in standard deviations.

    `expected` turns an item's long-term sum into the count to expect in a window; 0 for what is not above it.
    """
    length = counts.shape[1]
    for at in range(n):
        item = items[at]
        out[at] = 0.0
        if not 0 <= item < len(past):
            continue
        recent = 0.0
        for place in range(length):
            if newest - length < buckets[item, place] <= newest:
                recent += counts[item, place]
        usual = past[item] * expected
        if recent > usual:
            out[at] = (recent - usual) / math.sqrt(1.0 + usual)
