"""Co-visit counts and item-to-item scores."""

# ruff: noqa: C901, PLR0912

import math
from typing import Any

from stream_app.models.kernels.decay import forward_weight
from stream_app.models.kernels.jit import jit
from stream_app.models.kernels.links import add_weight


@jit()
def covisit(
    item: int,
    ts: float,
    previous_items: Any,
    previous_times: Any,
    time_scale: float,
    half_life: float,
    landmark: float,
    exponent: float,
    items: Any,
    weights: Any,
    sizes: Any,
    counts: Any,
    norms: Any,
    ties: Any,
) -> None:
    """Count an item and link it both ways with each distinct earlier one, the nearer in time the more."""
    counts[item] += forward_weight(ts, half_life, landmark)
    norms[item] = counts[item] ** -exponent if counts[item] > 0 else 0.0
    for at in range(len(previous_items)):
        other = previous_items[at]
        newest = other != item
        for later in range(at + 1, len(previous_items)):
            if previous_items[later] == other:
                newest = False
                break
        if newest:
            other_ts = previous_times[at]
            weight = forward_weight(max(ts, other_ts), half_life, landmark) / (
                1.0 + abs(ts - other_ts) / time_scale
            )
            add_weight(item, other, weight, items, weights, sizes, ties)
            add_weight(other, item, weight, items, weights, sizes, ties)


@jit()
def accumulate_neighbors(
    context: Any,
    depth: int,
    context_decay: float,
    initial_weight: float,
    exponent: float,
    similarity_code: int,
    total: float,
    items: Any,
    weights: Any,
    sizes: Any,
    counts: Any,
    norms: Any,
    scores: Any,
    best: Any,
    evidence: Any,
    touched_items: Any,
    n: int,
    is_purchase: bool,
) -> int:
    """Add each neighbor's similarity to its score, newest context item first; return how many.

    `similarity_code` is an index in `similarity.SIMILARITIES`; `norms` are counts to the power of -`exponent`. Sums
    over time need not be consistent to the last event: `total` counts at least what the two items make up.

    The evidence for a neighbor is the context item x that spoke loudest, written as -2 - x if they were bought
    together.
    """
    used = 0
    factor = initial_weight
    for at in range(len(context) - 1, -1, -1):
        item = context[at]
        if not 0 <= item < len(sizes):
            continue
        duplicate = False
        for later in range(at + 1, len(context)):
            if context[later] == item:
                duplicate = True
                break
        if duplicate:
            continue
        count = counts[item]
        if count > 0:
            scale = factor * count ** (exponent - 1.0)
            for neighbor in range(sizes[item]):
                other = items[item, neighbor]
                weight = weights[item, neighbor]
                if similarity_code == 0:
                    part = scale * weight * norms[other]
                else:
                    other_count = counts[other]
                    union = max(count + other_count - weight, count, other_count)
                    if not other_count > 0:
                        continue
                    if similarity_code == 1:
                        part = factor * weight / union
                    elif similarity_code == 2:
                        # what is in every basket correlates with nothing: some are taken to hold neither. By
                        # ratios: products of decayed sums would leave the range of a float
                        n_total = max(total, 1.01 * union)
                        normalizer = math.sqrt((n_total / count - 1.0) * (n_total / other_count - 1.0))
                        part = factor * ((weight / count) * (n_total / other_count) - 1.0) / normalizer
                    else:
                        part = factor * (weight / count) * (max(total, union) / other_count)
                if not part > 0:
                    continue
                if scores[other] == 0.0:
                    touched_items[n] = other
                    n += 1
                scores[other] += part
                if part > best[other]:
                    best[other] = part
                    evidence[other] = -2 - item if is_purchase else item
        factor *= context_decay
        used += 1
        if used == depth:
            break
    return n
