"""Each user's newest events, and the session an event belongs to."""

import math
from typing import Any

from stream_app.models.kernels.jit import jit


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
