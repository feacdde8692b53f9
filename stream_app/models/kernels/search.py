"""Scores of items that were chosen after a query and after its words."""

import math

from stream_app.models.array_types import Floats, Rows
from stream_app.models.kernels.bounded_rows import LinkRows
from stream_app.models.kernels.jit import jit
from stream_app.models.kernels.sparse_scoring import ScoreScratch, add_score


@jit()
def accumulate_choices(
    row: int,
    decay_factor: float,
    prior: float,
    queries: LinkRows,
    words: Rows,
    idf: Floats,
    word_links: LinkRows,
    scratch: ScoreScratch,
) -> int:
    """Add up the items chosen after a query and after its words; return the number of touched items.

    The choices of the query count ``n / (n + prior)``, where n is their decayed weight; the choices of the words
    count the rest, each word by its inverse document frequency.

    Parameters
    ----------
    row
        Row of the query in `queries`; -1 for an unknown query.
    decay_factor
        Factor from a stored weight to the decayed weight now.
    prior
        Decayed weight at which the query and its words count the same.
    queries, word_links
        Items chosen after each query and after each word.
    words : ndarray of int32, shape (n_words,)
        Rows of the words in `word_links`; -1 for an unknown word.
    idf : ndarray of float64, shape (n_words,)
        Inverse document frequency of each word.
    scratch
        Receives the scores. The evidence is -1 for an item chosen after the query, else -2 - w for the w-th word.
    """
    queries = LinkRows(*queries)
    word_links = LinkRows(*word_links)
    n = 0
    query_weight = 0.0
    if 0 <= row < len(queries.sizes):
        total = _total_weight(row, queries)
        if total > 0:
            query_weight = total * decay_factor / (total * decay_factor + prior)
            n = _add_query_choices(row, query_weight, total, queries, scratch)
    scores, best, evidence, touched_items = scratch
    idf_sum = 0.0
    for word in range(len(words)):
        idf_sum += idf[word]
    for word in range(len(words)):
        row = words[word]
        if not 0 <= row < len(word_links.sizes):
            continue
        total = _total_weight(row, word_links)
        if not total > 0:
            continue
        for at in range(word_links.sizes[row]):
            part = (1.0 - query_weight) * (idf[word] / idf_sum) * (word_links.weights[row, at] / total)
            if part > 0:
                item = word_links.items[row, at]
                n = add_score(item, part, -2 - word, n, scores, best, evidence, touched_items)
    return n


@jit(inline=True)
def _add_query_choices(
    row: int, query_weight: float, total: float, queries: LinkRows, scratch: ScoreScratch
) -> int:
    scores, best, evidence, touched_items = scratch
    n = 0
    for at in range(queries.sizes[row]):
        part = query_weight * queries.weights[row, at] / total
        if part > 0:
            item = queries.items[row, at]
            n = add_score(item, part, -1, n, scores, best, evidence, touched_items)
            # the query itself stays the evidence, regardless of the words
            best[item] = math.inf
    return n


@jit(inline=True)
def _total_weight(row: int, links: LinkRows) -> float:
    total = 0.0
    for at in range(links.sizes[row]):
        total += links.weights[row, at]
    return total
