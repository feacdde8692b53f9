"""The compiled inner loops of `content`; see `kernels` for the rules.

A query is sparse: `slot_rows` (row + 1 of each slot, found zeroed, cleared by `clear_query`) leads from a slot to
its row in `weights` (what it weighs in the query) and `contributions` (what each context item, and in the last
column the search words, put in).
"""

import math
from typing import Any

from stream_app.models.kernels.jit import jit


@jit()
def add_vector(
    slots: Any,
    counts: Any,
    size: int,
    factor: float,
    column: int,
    log_documents: float,
    log_frequencies: Any,
    slot_rows: Any,
    terms: Any,
    weights: Any,
    contributions: Any,
    n: int,
) -> int:
    """Add a vector of length `factor` to the query, in one column; return how many slots the query has."""
    square = 0.0
    for at in range(size):
        square += (counts[at] * (log_documents - log_frequencies[slots[at]])) ** 2
    if not square > 0:
        return n
    factor /= math.sqrt(square)
    for at in range(size):
        slot = slots[at]
        row = slot_rows[slot] - 1
        if row < 0:
            row = n
            n += 1
            slot_rows[slot] = n
            terms[row] = slot
            weights[row] = 0.0
            contributions[row, :] = 0.0
        value = factor * counts[at] * (log_documents - log_frequencies[slot])
        weights[row] += value
        contributions[row, column] += value
    return n


@jit()
def build_query(
    context: Any,
    depth: int,
    context_decay: float,
    log_documents: float,
    slots: Any,
    counts: Any,
    sizes: Any,
    log_frequencies: Any,
    query_terms: Any,
    ones: Any,
    n_query_terms: int,
    slot_rows: Any,
    terms: Any,
    weights: Any,
    contributions: Any,
    context_items: Any,
) -> tuple[int, int, float]:
    """Sum up the context's newest distinct items, fading, and the search words.

    `log_documents` is 1 + log(1 + number of items), so that less `log_frequencies` it is the idf of a slot.

    Returns
    -------
    tuple of int, int and float
        How many slots the query has, how many context items went in, and the query's length.
    """
    n = 0
    n_context = 0
    factor = 1.0
    for at in range(len(context) - 1, -1, -1):
        item = context[at]
        if not 0 <= item < len(sizes) or sizes[item] == 0:
            continue
        duplicate = False
        for earlier in range(n_context):
            if context_items[earlier] == item:
                duplicate = True
                break
        if duplicate:
            continue
        n = add_vector(
            slots[item],
            counts[item],
            sizes[item],
            factor,
            n_context,
            log_documents,
            log_frequencies,
            slot_rows,
            terms,
            weights,
            contributions,
            n,
        )
        context_items[n_context] = item
        n_context += 1
        factor *= context_decay
        if n_context == depth:
            break
    n = add_vector(
        query_terms,
        ones,
        n_query_terms,
        1.0,
        depth,
        log_documents,
        log_frequencies,
        slot_rows,
        terms,
        weights,
        contributions,
        n,
    )
    square = 0.0
    for row in range(n):
        square += weights[row] ** 2
    return n, n_context, math.sqrt(square)


@jit()
def cosines(
    items: Any,
    n: int,
    context_items: Any,
    n_context: int,
    length: float,
    log_documents: float,
    slots: Any,
    counts: Any,
    sizes: Any,
    log_frequencies: Any,
    slot_rows: Any,
    weights: Any,
    out: Any,
) -> None:
    """Write the cosine of each item with the query; 0 for an item without words or of the context."""
    for at in range(n):
        item = items[at]
        out[at] = 0.0
        if not 0 <= item < len(sizes):
            continue
        in_context = False
        for earlier in range(n_context):
            in_context |= context_items[earlier] == item
        if in_context:
            continue
        product = 0.0
        square = 0.0
        for each in range(sizes[item]):
            slot = slots[item, each]
            value = counts[item, each] * (log_documents - log_frequencies[slot])
            square += value * value
            row = slot_rows[slot] - 1
            if row >= 0:
                product += value * weights[row]
        if product > 0:
            out[at] = product / (length * math.sqrt(square))


@jit()
def collect_candidates(
    n_slots: int,
    query_terms_used: int,
    terms: Any,
    weights: Any,
    remaining: Any,
    rings: Any,
    posted: Any,
    seen: Any,
    touched_items: Any,
) -> int:
    """Collect the newest items of the query's strongest slots; return how many."""
    n = 0
    ring = rings.shape[1]
    remaining[:n_slots] = True
    for _ in range(min(query_terms_used, n_slots)):
        best = -1
        for row in range(n_slots):
            if remaining[row] and (
                best < 0
                or weights[row] > weights[best]
                or (weights[row] == weights[best] and terms[row] < terms[best])
            ):
                best = row
        remaining[best] = False
        slot = terms[best]
        for back in range(min(ring, posted[slot])):
            item = rings[slot, (posted[slot] - 1 - back) % ring]
            if not seen[item]:
                seen[item] = True
                touched_items[n] = item
                n += 1
    for at in range(n):
        seen[touched_items[at]] = False
    return n


@jit()
def find_evidence(
    items: Any,
    n: int,
    context_items: Any,
    n_context: int,
    log_documents: float,
    slots: Any,
    counts: Any,
    sizes: Any,
    log_frequencies: Any,
    slot_rows: Any,
    contributions: Any,
    sums: Any,
    out: Any,
) -> None:
    """Write the context item that gave most to each item's cosine, -2 where the search words did."""
    last = contributions.shape[1] - 1
    for at in range(n):
        item = items[at]
        sums[:] = 0.0
        for each in range(sizes[item]):
            slot = slots[item, each]
            row = slot_rows[slot] - 1
            if row >= 0:
                value = counts[item, each] * (log_documents - log_frequencies[slot])
                for column in range(n_context):
                    sums[column] += value * contributions[row, column]
                sums[last] += value * contributions[row, last]
        best = last
        for column in range(n_context):
            if sums[column] > sums[best]:
                best = column
        out[at] = -2 if best == last else context_items[best]


@jit()
def clear_query(n: int, terms: Any, slot_rows: Any) -> None:
    """Forget the query."""
    for row in range(n):
        slot_rows[terms[row]] = 0
