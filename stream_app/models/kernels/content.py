"""The compiled inner loops of `content`; see `kernels` for the rules.

A query is sparse: `places` (place + 1 of each slot, found zeroed, cleared by `clear`) leads from a slot to its row in
`weights` (what it weighs in the query) and `parts` (what each context item, and in the last column the search
words, put in).
"""

import math
from typing import Any

from stream_app.models.kernels.jit import jit


@jit()
def blend(
    slots: Any,
    counts: Any,
    size: int,
    factor: float,
    column: int,
    documents: float,
    logs: Any,
    places: Any,
    terms: Any,
    weights: Any,
    parts: Any,
    n: int,
) -> int:
    """Add a vector of length `factor` to the query, in one column; return how many slots the query has."""
    square = 0.0
    for at in range(size):
        square += (counts[at] * (documents - logs[slots[at]])) ** 2
    if not square > 0:
        return n
    factor /= math.sqrt(square)
    for at in range(size):
        slot = slots[at]
        place = places[slot] - 1
        if place < 0:
            place = n
            n += 1
            places[slot] = n
            terms[place] = slot
            weights[place] = 0.0
            parts[place, :] = 0.0
        value = factor * counts[at] * (documents - logs[slot])
        weights[place] += value
        parts[place, column] += value
    return n


@jit()
def compose(
    context: Any,
    depth: int,
    fade: float,
    documents: float,
    slots: Any,
    counts: Any,
    sizes: Any,
    logs: Any,
    searched: Any,
    ones: Any,
    n_searched: int,
    places: Any,
    terms: Any,
    weights: Any,
    parts: Any,
    used_items: Any,
) -> tuple[int, int, float]:
    """Sum up the context's newest distinct items, fading, and the search words.

    `documents` is 1 + log(1 + number of items), so that less `logs` it is the idf of a slot.

    Returns
    -------
    tuple of int, int and float
        How many slots the query has, how many context items went in, and the query's length.
    """
    n = 0
    used = 0
    factor = 1.0
    for at in range(len(context) - 1, -1, -1):
        item = context[at]
        if not 0 <= item < len(sizes) or sizes[item] == 0:
            continue
        again = False
        for before in range(used):
            if used_items[before] == item:
                again = True
                break
        if again:
            continue
        n = blend(
            slots[item],
            counts[item],
            sizes[item],
            factor,
            used,
            documents,
            logs,
            places,
            terms,
            weights,
            parts,
            n,
        )
        used_items[used] = item
        used += 1
        factor *= fade
        if used == depth:
            break
    n = blend(searched, ones, n_searched, 1.0, depth, documents, logs, places, terms, weights, parts, n)
    square = 0.0
    for place in range(n):
        square += weights[place] ** 2
    return n, used, math.sqrt(square)


@jit()
def cosines(
    items: Any,
    n: int,
    used_items: Any,
    used: int,
    length: float,
    documents: float,
    slots: Any,
    counts: Any,
    sizes: Any,
    logs: Any,
    places: Any,
    weights: Any,
    out: Any,
) -> None:
    """Write the cosine of each item with the query; 0 for an item without words or of the context."""
    for at in range(n):
        item = items[at]
        out[at] = 0.0
        if not 0 <= item < len(sizes):
            continue
        mine = False
        for before in range(used):
            mine |= used_items[before] == item
        if mine:
            continue
        product = 0.0
        square = 0.0
        for each in range(sizes[item]):
            slot = slots[item, each]
            value = counts[item, each] * (documents - logs[slot])
            square += value * value
            place = places[slot] - 1
            if place >= 0:
                product += value * weights[place]
        if product > 0:
            out[at] = product / (length * math.sqrt(square))


@jit()
def reach(
    n_slots: int,
    strongest: int,
    terms: Any,
    weights: Any,
    open_places: Any,
    rings: Any,
    posted: Any,
    seen: Any,
    touched: Any,
) -> int:
    """Collect the newest items of the query's strongest slots; return how many."""
    n = 0
    ring = rings.shape[1]
    open_places[:n_slots] = True
    for _ in range(min(strongest, n_slots)):
        best = -1
        for place in range(n_slots):
            if open_places[place] and (
                best < 0
                or weights[place] > weights[best]
                or (weights[place] == weights[best] and terms[place] < terms[best])
            ):
                best = place
        open_places[best] = False
        slot = terms[best]
        for back in range(min(ring, posted[slot])):
            item = rings[slot, (posted[slot] - 1 - back) % ring]
            if not seen[item]:
                seen[item] = True
                touched[n] = item
                n += 1
    for at in range(n):
        seen[touched[at]] = False
    return n


@jit()
def nearest(
    items: Any,
    n: int,
    used_items: Any,
    used: int,
    documents: float,
    slots: Any,
    counts: Any,
    sizes: Any,
    logs: Any,
    places: Any,
    parts: Any,
    sums: Any,
    out: Any,
) -> None:
    """Write the context item that gave most to each item's cosine, -2 where the search words did."""
    last = parts.shape[1] - 1
    for at in range(n):
        item = items[at]
        sums[:] = 0.0
        for each in range(sizes[item]):
            slot = slots[item, each]
            place = places[slot] - 1
            if place >= 0:
                value = counts[item, each] * (documents - logs[slot])
                for column in range(used):
                    sums[column] += value * parts[place, column]
                sums[last] += value * parts[place, last]
        best = last
        for column in range(used):
            if sums[column] > sums[best]:
                best = column
        out[at] = -2 if best == last else used_items[best]


@jit()
def clear(n: int, terms: Any, places: Any) -> None:
    """Forget the query."""
    for place in range(n):
        places[terms[place]] = 0
