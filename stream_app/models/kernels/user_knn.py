"""The compiled inner loops of `user_knn`; see `kernels` for the rules."""

# ruff: noqa: C901 - one loop, one kernel: arrays are costly to pass on

import math
from typing import Any

from stream_app.models.kernels.jit import jit


@jit()
def touch(
    row: int, item: int, ts: float, items: Any, times: Any, sizes: Any, rings: Any, posted: Any
) -> None:
    """Put an item among the newest distinct ones of a shopper, and the shopper into the item's ring.

    What the row holds in the end does not depend on the order of events, but for items of one time.
    """
    size = sizes[row]
    place = -1
    for at in range(size):
        if items[row, at] == item:
            times[row, at] = max(times[row, at], ts)
            place = at
            break
    if place < 0:
        if size < items.shape[1]:
            sizes[row] = size + 1
            place = size
        else:
            place = 0
            for at in range(1, size):
                if times[row, at] < times[row, place]:
                    place = at
            if times[row, place] > ts:
                return
        items[row, place] = item
        times[row, place] = ts
    ring = rings.shape[1]
    for at in range(min(ring, posted[item])):
        if rings[item, at] == row:
            return
    rings[item, posted[item] % ring] = row
    posted[item] += 1


@jit()
def meet(
    context: Any,
    depth: int,
    me: int,
    items: Any,
    times: Any,
    sizes: Any,
    rings: Any,
    posted: Any,
    places: Any,
    rows: Any,
    common: Any,
    newest: Any,
    matched: Any,
) -> tuple[int, int]:
    """Find the shoppers who touched the context's newest distinct items, the one in row `me` left out.

    Writes for each their row, how many items they share with the context, when they last touched one of these,
    and the place in the context of the newest shared item. `places` (place + 1 of a row in these arrays) is
    left for `favourites` to clear.

    Returns
    -------
    tuple of int
        How many shoppers, and how many items of the context were looked up.
    """
    n = 0
    used = 0
    ring = rings.shape[1]
    for at in range(len(context) - 1, -1, -1):
        item = context[at]
        if not 0 <= item < len(posted):
            continue
        again = False
        for later in range(at + 1, len(context)):
            if context[later] == item:
                again = True
                break
        if again:
            continue
        used += 1
        for back in range(min(ring, posted[item])):
            row = rings[item, (posted[item] - 1 - back) % ring]
            if row == me:
                continue
            held = -1
            for place in range(sizes[row]):
                if items[row, place] == item:
                    held = place
                    break
            # a row may have dropped the item since, or belong to another shopper now
            if held < 0:
                continue
            slot = places[row] - 1
            if slot < 0:
                slot = n
                n += 1
                places[row] = n
                rows[slot] = row
                common[slot] = 0.0
                newest[slot] = -math.inf
                matched[slot] = at
            common[slot] += 1.0
            newest[slot] = max(newest[slot], times[row, held])
        if used == depth:
            break
    return n, used


@jit()
def favourites(
    context: Any,
    now: float,
    half_life: float,
    near: Any,
    n_near: int,
    rows: Any,
    n_rows: int,
    similarities: Any,
    matched: Any,
    items: Any,
    times: Any,
    sizes: Any,
    places: Any,
    scores: Any,
    best: Any,
    evidence: Any,
    touched: Any,
) -> int:
    """Score what the near shoppers touched besides the context's items; return how many items were touched."""
    n = 0
    for rank in range(n_near):
        row = near[rank]
        slot = places[row] - 1
        similarity = similarities[slot]
        for place in range(sizes[row]):
            item = items[row, place]
            mine = False
            for at in range(len(context) - 1, -1, -1):
                if context[at] == item:
                    mine = True
                    break
            if mine:
                continue
            part = similarity * 2.0 ** (-max(0.0, now - times[row, place]) / half_life)
            if not part > 0:
                continue
            if scores[item] == 0.0:
                touched[n] = item
                n += 1
            scores[item] += part
            if part > best[item]:
                best[item] = part
                evidence[item] = context[matched[slot]]
    for slot in range(n_rows):
        places[rows[slot]] = 0
    return n
