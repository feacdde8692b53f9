"""Co-visit counts and item-to-item scores."""

import math
from enum import IntEnum
from typing import NamedTuple

from stream_app.models.array_types import Floats, Hashes, Items, Sizes, Times
from stream_app.models.kernels.bounded_rows import add_weight
from stream_app.models.kernels.context import is_newest_occurrence
from stream_app.models.kernels.decay import forward_weight
from stream_app.models.kernels.jit import jit
from stream_app.models.kernels.sparse_scoring import ScoreScratch, add_score


class Similarity(IntEnum):
    """Similarities of two items by their counts."""

    COSINE = 0
    JACCARD = 1
    PEARSON = 2
    LIFT = 3


class CovisitTable(NamedTuple):
    """Decayed counts of items and of pairs."""

    items: Items  # shape (n_items, neighbors): neighbors of each item
    # shape (n_items, neighbors): decayed count of each pair, weighted by its distance in time
    weights: Floats
    sizes: Sizes  # shape (n_items,): neighbors held
    counts: Floats  # shape (n_items,): decayed count of each item
    norms: Floats  # shape (n_items,): counts to the power of -exponent; 0 where the count is 0


class CovisitWeights(NamedTuple):
    """Weights of new co-visits."""

    time_scale: float  # distance in seconds at which a pair has half the weight of a simultaneous one
    # half_life, landmark: of the forward decay, see `forward_weight`
    half_life: float
    landmark: float
    exponent: float  # penalty on the count of the proposed item


class CovisitScoring(NamedTuple):
    """How the neighbors of a context are scored."""

    depth: int  # largest number of distinct context items used
    context_decay: float  # factor from a context item to the next older one
    exponent: float  # penalty on the count of the proposed item, for the cosine
    similarity: int  # a value of `Similarity`


@jit()
def learn_covisits(
    item: int,
    ts: float,
    previous_items: Items,
    previous_times: Times,
    decay_time: float,
    previous_decay_times: Times,
    settings: CovisitWeights,
    table: CovisitTable,
    ties: Hashes,
) -> None:
    """Count an item and link it both ways with each distinct previous item; a short distance in time weighs more.

    Parameters
    ----------
    previous_items : ndarray of int32, shape (n,)
    previous_times : ndarray of float64, shape (n,)
        Items of the same session and stream, oldest first, and their event times.
    decay_time, previous_decay_times
        The same times by the clock of the decay.
    """
    settings = CovisitWeights(*settings)
    table = CovisitTable(*table)
    table.counts[item] += forward_weight(decay_time, settings.half_life, settings.landmark)
    table.norms[item] = table.counts[item] ** -settings.exponent if table.counts[item] > 0 else 0.0
    for at in range(len(previous_items)):
        other = previous_items[at]
        if other == item or not is_newest_occurrence(previous_items, at):
            continue
        other_ts = previous_times[at]
        newer = max(decay_time, previous_decay_times[at])
        weight = forward_weight(newer, settings.half_life, settings.landmark) / (
            1.0 + abs(ts - other_ts) / settings.time_scale
        )
        add_weight(item, other, weight, table.items, table.weights, table.sizes, ties)
        add_weight(other, item, weight, table.items, table.weights, table.sizes, ties)


@jit(inline=True)
def _set_similarity(
    similarity: int, factor: float, weight: float, count: float, other_count: float, total: float
) -> float:
    """`factor` times the similarity of two items by their counts; see `ItemToItem` for the formulas.

    The sums of a decayed table are not exactly consistent, so `total` and the union have lower bounds.
    """
    union = max(count + other_count - weight, count, other_count)
    if similarity == Similarity.JACCARD:
        return factor * weight / union
    if similarity == Similarity.PEARSON:
        # An item of every basket has no correlation, so some baskets are assumed to hold neither item. Ratios,
        # since products of decayed sums exceed the range of a float.
        n_total = max(total, 1.01 * union)
        normalizer = math.sqrt((n_total / count - 1.0) * (n_total / other_count - 1.0))
        return factor * ((weight / count) * (n_total / other_count) - 1.0) / normalizer
    return factor * (weight / count) * (max(total, union) / other_count)


@jit()
def accumulate_neighbors(
    context: Items,
    query: CovisitScoring,
    total: float,
    table: CovisitTable,
    is_purchase: bool,
    n: int,
    scratch: ScoreScratch,
) -> int:
    """Add the similarity with each context item to the scores of its neighbors, newest context item first.

    Returns the number of touched items.

    Parameters
    ----------
    context : ndarray of int32, shape (m,)
        Oldest first; unknown items are skipped.
    total
        Decayed number of baskets.
    is_purchase
        Whether the evidence is written as -2 - item, which means bought together.
    n
        Number of touched items before the call.
    scratch
        Receives the scores. The evidence is the context item with the largest part.
    """
    query = CovisitScoring(*query)
    items, weights, sizes, counts, norms = table
    scores, best, evidence, touched_items = scratch
    n_used = 0
    factor = 1.0
    for at in range(len(context) - 1, -1, -1):
        item = context[at]
        if not 0 <= item < len(sizes) or not is_newest_occurrence(context, at):
            continue
        count = counts[item]
        if count > 0:
            scale = factor * count ** (query.exponent - 1.0)
            source = -2 - item if is_purchase else item
            for neighbor in range(sizes[item]):
                other = items[item, neighbor]
                weight = weights[item, neighbor]
                if query.similarity == Similarity.COSINE:
                    part = scale * weight * norms[other]
                elif counts[other] > 0:
                    part = _set_similarity(query.similarity, factor, weight, count, counts[other], total)
                else:
                    continue
                if part > 0:
                    n = add_score(other, part, source, n, scores, best, evidence, touched_items)
        factor *= query.context_decay
        n_used += 1
        if n_used == query.depth:
            break
    return n
