"""TF-IDF vectors of items and queries.

A query is sparse: `Query.slot_rows` maps a term slot to its row in the other arrays.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats, Items, Mask, Rows, Scores, Sizes
from stream_app.models.kernels.context import is_newest_occurrence
from stream_app.models.kernels.jit import jit


class Documents(NamedTuple):
    """Terms of each item."""

    slots: Rows  # shape (n_items, terms): distinct term slots of each item
    counts: Scores  # shape (n_items, terms): weighted count of each term
    sizes: Sizes  # shape (n_items,): terms held; 0 for an item without a description
    log_frequencies: Scores  # shape (slots,): logarithm of 1 + document frequency of each slot


class Query(NamedTuple):
    """A sum of item vectors and of a vector of search words."""

    slot_rows: Rows  # shape (slots,): row + 1 of each term slot, 0 outside the query; all 0 between calls
    terms: Rows  # shape (capacity,): term slot of each row
    weights: Floats  # shape (capacity,): weight of each row
    # shape (capacity, depth + 1): part of the weight that comes from each context item; the last column is
    # that of the search words
    contributions: Floats
    context_items: Items  # shape (depth,): context items used, newest first


@jit(inline=True)
def _add_vector(
    slots: Rows,
    counts: Scores,
    factor: float,
    column: int,
    log_documents: float,
    log_frequencies: Scores,
    query: Query,
    n: int,
) -> int:
    """Add a TF-IDF vector, scaled to length `factor`, to one column of the query; return the number of rows."""
    square = 0.0
    for at in range(len(slots)):
        square += (counts[at] * (log_documents - log_frequencies[slots[at]])) ** 2
    if not square > 0:
        return n
    factor /= math.sqrt(square)
    for at in range(len(slots)):
        slot = slots[at]
        row = query.slot_rows[slot] - 1
        if row < 0:
            row = n
            n += 1
            query.slot_rows[slot] = n
            query.terms[row] = slot
            query.weights[row] = 0.0
            query.contributions[row, :] = 0.0
        value = factor * counts[at] * (log_documents - log_frequencies[slot])
        query.weights[row] += value
        query.contributions[row, column] += value
    return n


@jit()
def build_query(
    context: Items,
    context_decay: float,
    log_documents: float,
    documents: Documents,
    query_terms: Rows,
    query: Query,
) -> tuple[int, int, float]:
    """Add up the vectors of the context's newest distinct items, each decayed, and of the search words.

    Returns the number of rows, the number of context items used, and the Euclidean length of the query.

    Parameters
    ----------
    context : ndarray of int32, shape (n,)
        Oldest first; items without a description are skipped.
    context_decay
        Factor from a context item to the next older one.
    log_documents
        ``1 + log(1 + number of items)``; minus `log_frequencies` it is the inverse document frequency.
    query_terms : ndarray of int32, shape (m,)
        Term slots of the search words.
    query
        Receives the sum; reset it by `clear_query`.
    """
    query = Query(*query)
    slots, counts, sizes, log_frequencies = documents
    depth = len(query.context_items)
    n = 0
    n_context = 0
    factor = 1.0
    for at in range(len(context) - 1, -1, -1):
        item = context[at]
        if not 0 <= item < len(sizes) or sizes[item] == 0 or not is_newest_occurrence(context, at):
            continue
        size = sizes[item]
        n = _add_vector(
            slots[item, :size],
            counts[item, :size],
            factor,
            n_context,
            log_documents,
            log_frequencies,
            query,
            n,
        )
        query.context_items[n_context] = item
        n_context += 1
        factor *= context_decay
        if n_context == depth:
            break
    ones = np.ones(len(query_terms), np.float32)
    n = _add_vector(query_terms, ones, 1.0, depth, log_documents, log_frequencies, query, n)
    square = 0.0
    for row in range(n):
        square += query.weights[row] ** 2
    return n, n_context, math.sqrt(square)


@jit()
def cosines(
    items: Items,
    n_context: int,
    length: float,
    log_documents: float,
    documents: Documents,
    query: Query,
    out: Scores,
) -> None:
    """Write the cosine of each item with the query.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Items without a description, and items of the context, get 0.
    n_context, length, log_documents, documents, query
        As `build_query` took and returned them.
    out : ndarray of float32, shape (n,)
        Receives the cosines.
    """
    documents = Documents(*documents)
    query = Query(*query)
    for at in range(len(items)):
        item = items[at]
        out[at] = 0.0
        if not 0 <= item < len(documents.sizes):
            continue
        in_context = False
        for earlier in range(n_context):
            in_context |= query.context_items[earlier] == item
        if in_context:
            continue
        product = 0.0
        square = 0.0
        for each in range(documents.sizes[item]):
            slot = documents.slots[item, each]
            value = documents.counts[item, each] * (log_documents - documents.log_frequencies[slot])
            square += value * value
            row = query.slot_rows[slot] - 1
            if row >= 0:
                product += value * query.weights[row]
        if product > 0:
            out[at] = product / (length * math.sqrt(square))


@jit()
def collect_candidates(
    n_rows: int,
    n_terms: int,
    query: Query,
    rings: Items,
    posted: NDArray[np.int32],
    seen: Mask,
    touched_items: Items,
) -> int:
    """Collect the newest items of the query's terms with the largest weights; return the number of items written.

    Parameters
    ----------
    n_rows, query
        As `build_query` returned them.
    n_terms
        Terms used.
    rings : ndarray of int32, shape (slots, postings)
        Newest items of each term slot.
    posted : ndarray of int32, shape (slots,)
        Items written to each ring.
    seen : ndarray of bool, shape (n_items,)
        Scratch, False between calls.
    touched_items : ndarray of int32, shape (n_terms * postings,)
        Receives the items.
    """
    query = Query(*query)
    n = 0
    ring = rings.shape[1]
    remaining = np.ones(n_rows, np.bool_)
    for _ in range(min(n_terms, n_rows)):
        best = _heaviest(remaining, query.weights, query.terms)
        remaining[best] = False
        slot = query.terms[best]
        for back in range(min(ring, posted[slot])):
            item = rings[slot, (posted[slot] - 1 - back) % ring]
            if not seen[item]:
                seen[item] = True
                touched_items[n] = item
                n += 1
    for at in range(n):
        seen[touched_items[at]] = False
    return n


@jit(inline=True)
def _heaviest(remaining: Mask, weights: Floats, terms: Rows) -> int:
    """Remaining row of the largest weight; the smaller term slot in a tie."""
    best = -1
    for row in range(len(remaining)):
        if remaining[row] and (
            best < 0
            or weights[row] > weights[best]
            or (weights[row] == weights[best] and terms[row] < terms[best])
        ):
            best = row
    return best


@jit()
def find_evidence(
    items: Items, n_context: int, log_documents: float, documents: Documents, query: Query, out: Items
) -> None:
    """Write the context item that contributes most to each item's cosine; -2 for the search words.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Items with a description.
    n_context, log_documents, documents, query
        As for `cosines`.
    out : ndarray of int32, shape (n,)
        Receives the evidence.
    """
    documents = Documents(*documents)
    query = Query(*query)
    last = query.contributions.shape[1] - 1
    sums = np.empty(last + 1, np.float64)
    for at in range(len(items)):
        item = items[at]
        sums[:] = 0.0
        for each in range(documents.sizes[item]):
            slot = documents.slots[item, each]
            row = query.slot_rows[slot] - 1
            if row >= 0:
                value = documents.counts[item, each] * (log_documents - documents.log_frequencies[slot])
                for column in range(n_context):
                    sums[column] += value * query.contributions[row, column]
                sums[last] += value * query.contributions[row, last]
        best = last
        for column in range(n_context):
            if sums[column] > sums[best]:
                best = column
        out[at] = -2 if best == last else query.context_items[best]


@jit()
def clear_query(n_rows: int, terms: Rows, slot_rows: Rows) -> None:
    """Reset `Query.slot_rows` for the next query.

    Parameters
    ----------
    n_rows
        Rows of the query in use.
    terms : ndarray of int32, shape (rows,)
        Term slot of each row.
    slot_rows : ndarray of int32, shape (term slots,)
        Changed: 0 at the slots of the query.
    """
    for row in range(n_rows):
        slot_rows[terms[row]] = 0
