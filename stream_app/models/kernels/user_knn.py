"""The compiled inner loops of `user_knn`; see `kernels` for the rules."""

# ruff: noqa: C901 - one loop, one kernel: arrays are costly to pass on

import math
from typing import Any

from stream_app.models.kernels.jit import jit


@jit()
def add_interaction(
    row: int, item: int, ts: float, items: Any, times: Any, sizes: Any, rings: Any, posted: Any
) -> None:
    """Put an item among the newest distinct ones of a shopper, and the shopper into the item's ring.

    What the row holds in the end does not depend on the order of events, but for items of one time.
    """
    size = sizes[row]
    position = -1
    for at in range(size):
        if items[row, at] == item:
            times[row, at] = max(times[row, at], ts)
            position = at
            break
    if position < 0:
        if size < items.shape[1]:
            sizes[row] = size + 1
            position = size
        else:
            position = 0
            for at in range(1, size):
                if times[row, at] < times[row, position]:
                    position = at
            if times[row, position] > ts:
                return
        items[row, position] = item
        times[row, position] = ts
    ring = rings.shape[1]
    for at in range(min(ring, posted[item])):
        if rings[item, at] == row:
            return
    rings[item, posted[item] % ring] = row
    posted[item] += 1


@jit()
def find_neighbors(
    context: Any,
    depth: int,
    own_row: int,
    items: Any,
    times: Any,
    sizes: Any,
    rings: Any,
    posted: Any,
    row_slots: Any,
    rows: Any,
    overlaps: Any,
    newest: Any,
    matched_positions: Any,
) -> tuple[int, int]:
    """Find the shoppers who touched the context's newest distinct items, the one in row `own_row` left out.

    Writes for each their row, how many items they share with the context, when they last touched one of these,
    and the place in the context of the newest shared item. `row_slots` (slot + 1 of a row in these arrays) is
    left for `score_neighbor_items` to clear.

    Returns
    -------
    tuple of int
        How many shoppers, and how many items of the context were looked up.
    """
    n = 0
    n_context = 0
    ring = rings.shape[1]
    for at in range(len(context) - 1, -1, -1):
        item = context[at]
        if not 0 <= item < len(posted):
            continue
        duplicate = False
        for newer in range(at + 1, len(context)):
            if context[newer] == item:
                duplicate = True
                break
        if duplicate:
            continue
        n_context += 1
        for back in range(min(ring, posted[item])):
            row = rings[item, (posted[item] - 1 - back) % ring]
            if row == own_row:
                continue
            match = -1
            for position in range(sizes[row]):
                if items[row, position] == item:
                    match = position
                    break
            # a row may have dropped the item since, or belong to another shopper now
            if match < 0:
                continue
            slot = row_slots[row] - 1
            if slot < 0:
                slot = n
                n += 1
                row_slots[row] = n
                rows[slot] = row
                overlaps[slot] = 0.0
                newest[slot] = -math.inf
                matched_positions[slot] = at
            overlaps[slot] += 1.0
            newest[slot] = max(newest[slot], times[row, match])
        if n_context == depth:
            break
    return n, n_context


@jit()
def score_neighbor_items(
    context: Any,
    now: float,
    half_life: float,
    nearest: Any,
    n_nearest: int,
    rows: Any,
    n_rows: int,
    similarities: Any,
    matched_positions: Any,
    items: Any,
    times: Any,
    sizes: Any,
    row_slots: Any,
    scores: Any,
    best: Any,
    evidence: Any,
    touched_items: Any,
) -> int:
    """Score what the near shoppers touched besides the context's items; return how many items were touched."""
    n = 0
    for rank in range(n_nearest):
        row = nearest[rank]
        slot = row_slots[row] - 1
        similarity = similarities[slot]
        for position in range(sizes[row]):
            item = items[row, position]
            in_context = False
            for at in range(len(context) - 1, -1, -1):
                if context[at] == item:
                    in_context = True
                    break
            if in_context:
                continue
            value = similarity * 2.0 ** (-max(0.0, now - times[row, position]) / half_life)
            if not value > 0:
                continue
            if scores[item] == 0.0:
                touched_items[n] = item
                n += 1
            scores[item] += value
            if value > best[item]:
                best[item] = value
                evidence[item] = context[matched_positions[slot]]
    for slot in range(n_rows):
        row_slots[rows[slot]] = 0
    return n
