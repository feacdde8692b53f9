"""The kernel of `stream_app.ranking.diversity`: a list from ordered candidates by diversity, caps and floors."""

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats, Integers, Items, Mask
from stream_app.models.kernels.jit import jit
from stream_app.ranking.kernels.facets import ItemColumns, extract_facets


class FloorKind(IntEnum):
    """The kinds of groups that a floor can be for."""

    NEW = 0
    LONG_TAIL = 1
    CATEGORY = 2
    BRAND = 3
    SELLER = 4


class CappedLabel(IntEnum):
    """The labels that a cap can be for; columns of `SelectionRules.caps`."""

    CATEGORY = 0
    """The narrowest category."""
    BRAND = 1
    SELLER = 2


_N_CAPS: Final = len(CappedLabel)


class SelectionRules(NamedTuple):
    """The rules of a list."""

    diversity: float  # weight of dissimilarity, from 0 to 1
    # shape (len(CappedLabel),): most items of one label; 0 for no cap
    caps: NDArray[np.int64]
    # floor_kinds, floor_codes, floor_sizes, shape (floors,): each a `FloorKind`, the code of its label (-1
    # for an unknown one), and its ranks
    floor_kinds: NDArray[np.int64]
    floor_codes: NDArray[np.int64]
    floor_sizes: NDArray[np.int64]
    new_after: float  # event time after which the first interaction of a new item lies


class SelectionScratch(NamedTuple):
    """Scratch memory, all 0 between calls."""

    facet_marks: NDArray[np.bool_]  # shape (labels + price bands,)
    label_counts: NDArray[np.int64]  # shape (labels,)


@jit()
def _cap_codes(items: Items, leaf_categories: Integers, columns: ItemColumns) -> Integers:
    """Labels of each candidate that caps count, shape (n, len(CappedLabel))."""
    brand_codes, seller_codes = columns.brand_codes, columns.seller_codes
    codes = np.empty((len(items), _N_CAPS), np.int64)
    for c in range(len(items)):
        codes[c, CappedLabel.CATEGORY] = leaf_categories[c]
        codes[c, CappedLabel.BRAND] = brand_codes[items[c]]
        codes[c, CappedLabel.SELLER] = seller_codes[items[c]]
    return codes


@jit()
def _mark_members(items: Items, labels: NDArray[np.int32], code: int, members: Mask) -> None:
    """Mark the candidates that have a label; `labels` has shape (items,) of one code or (items, m) of several."""
    flat = labels.reshape(len(labels), -1)
    for c in range(len(items)):
        for at in range(flat.shape[1]):
            members[c] = members[c] or flat[items[c], at] == code


@jit()
def _form_groups(items: Items, columns: ItemColumns, tail: Mask, rules: SelectionRules) -> Mask:
    """Compute whether each candidate is a member of each group, shape (groups, n)."""
    n_groups = len(rules.floor_kinds)
    is_member = np.zeros((n_groups, len(items)), np.bool_)
    first_seen = columns.first_seen
    for g in range(n_groups):
        kind, code = rules.floor_kinds[g], rules.floor_codes[g]
        members = is_member[g]
        if kind == FloorKind.NEW:
            for c in range(len(items)):
                members[c] = not first_seen[items[c]] <= rules.new_after
        elif kind == FloorKind.LONG_TAIL:
            for c in range(len(items)):
                members[c] = tail[items[c]] if items[c] < len(tail) else True
        elif code >= 0 and kind == FloorKind.CATEGORY:
            _mark_members(items, columns.category_codes, code, members)
        elif code >= 0 and kind == FloorKind.BRAND:
            _mark_members(items, columns.brand_codes, code, members)
        elif code >= 0:
            _mark_members(items, columns.seller_codes, code, members)
    return is_member


@jit()
def _update_due(
    floor_sizes: Integers, listed: Integers, left: Integers, due: Mask, filled: int, length: int
) -> bool:
    """Write which groups are due at the next rank; return whether any is.

    A group is due when it has fewer than its share of the ranks so far. All unmet groups are due when no more ranks
    are left than they need.
    """
    needed = 0
    for g in range(len(floor_sizes)):
        needed += max(0, min(floor_sizes[g] - listed[g], left[g]))
    must_fill = needed >= length - filled
    any_due = False
    for g in range(len(floor_sizes)):
        share = int(np.floor(floor_sizes[g] * (filled + 1) / length + 0.5))
        due[g] = left[g] > 0 and listed[g] < floor_sizes[g] and (must_fill or listed[g] < share)
        any_due = any_due or due[g]
    return any_due


@jit()
def _best_candidate(values: Floats, selectable: Mask, is_member: Mask, due: Mask, any_due: bool) -> int:
    """Find the candidate of the most due groups, then of the largest marginal relevance; -1 for none."""
    best, best_value, best_met = -1, -np.inf, 0
    for c in range(len(values)):
        if not selectable[c]:
            continue
        met = 0
        if any_due:
            for g in range(len(due)):
                met += due[g] & is_member[g, c]
        if met > best_met or (met == best_met and values[c] > best_value):
            best, best_value, best_met = c, values[c], met
    return best


@jit()
def _remove(c: int, selectable: Mask, is_member: Mask, left: Integers) -> None:
    selectable[c] = False
    for g in range(len(left)):
        left[g] -= is_member[g, c]


@jit()
def _apply_caps(
    chosen: int,
    cap_codes: Integers,
    caps: Integers,
    label_counts: Integers,
    selectable: Mask,
    is_member: Mask,
    left: Integers,
) -> None:
    """Count the labels of the chosen candidate; remove the candidates of the labels that reach their cap."""
    for rule in range(len(caps)):
        code = cap_codes[chosen, rule]
        if caps[rule] == 0 or code < 0:
            continue
        label_counts[code] += 1
        if label_counts[code] < caps[rule]:
            continue
        for c in range(len(selectable)):
            if selectable[c] and cap_codes[c, rule] == code:
                _remove(c, selectable, is_member, left)


@jit()
def _update_similarity(
    chosen: int,
    facets: Integers,
    facet_counts: Integers,
    facet_marks: Mask,
    selectable: Mask,
    max_similarity: Floats,
) -> None:
    """Raise the similarity of each candidate with the list to its Jaccard similarity with the chosen one."""
    n_facets = facet_counts[chosen]
    for at in range(n_facets):
        facet_marks[facets[chosen, at]] = True
    for c in range(len(selectable)):
        if not selectable[c]:
            continue
        shared = 0
        for at in range(facet_counts[c]):
            shared += facet_marks[facets[c, at]]
        if shared:
            similarity = shared / (facet_counts[c] + n_facets - shared)
            max_similarity[c] = max(max_similarity[c], similarity)
    for at in range(n_facets):
        facet_marks[facets[chosen, at]] = False


@jit()
def _relevance(scores: Floats, weight: float) -> Floats:
    """Scale scores from 0 for the least to `weight` for the largest."""
    low, high = scores[0], scores[0]
    for c in range(len(scores)):
        low, high = min(low, scores[c]), max(high, scores[c])
    score_range = high - low if high > low else 1.0
    relevance = np.empty(len(scores))
    for c in range(len(scores)):
        relevance[c] = weight * (scores[c] - low) / score_range
    return relevance


@jit()
def _reset_counts(order: Integers, cap_codes: Integers, label_counts: Integers) -> None:
    for c in order:
        for rule in range(cap_codes.shape[1]):
            if cap_codes[c, rule] >= 0:
                label_counts[cap_codes[c, rule]] = 0


@jit()
def select_list(
    items: Items,
    scores: Floats,
    length: int,
    columns: ItemColumns,
    tail: Mask,
    rules: SelectionRules,
    first_band: int,
    scratch: SelectionScratch,
) -> Integers:
    """Select and order a list.

    Parameters
    ----------
    items : ndarray of int32, shape (n,)
        Distinct candidates, best first.
    scores : ndarray of float64, shape (n,)
    length
        Most items of the list.
    tail : ndarray of bool, shape (m,)
        Whether an item is of the long tail; items beyond the end are.
    first_band
        Code of the lowest price band, see `extract_facets`.
    scratch
        All 0 before and after.

    Returns
    -------
    ndarray of int64, shape (at most length,)
        Indices of `items`, in the order of the list.
    """
    n = len(items)
    length = min(length, n)
    order = np.empty(length, np.int64)
    if length == 0:
        return order
    facets, facet_counts, leaf_categories = extract_facets(items, columns, first_band)
    cap_codes = _cap_codes(items, leaf_categories, columns)
    is_member = _form_groups(items, columns, tail, rules)
    n_groups = len(is_member)
    # members of each group: on the list, left among the candidates; whether the group is due at this rank
    listed, left, due = (
        np.zeros(n_groups, np.int64),
        np.zeros(n_groups, np.int64),
        np.zeros(n_groups, np.bool_),
    )
    for g in range(n_groups):
        left[g] = is_member[g].sum()
    diversity, caps, floor_sizes = rules.diversity, rules.caps, rules.floor_sizes
    facet_marks, label_counts = scratch.facet_marks, scratch.label_counts
    relevance = _relevance(scores, 1.0 - diversity)
    values, max_similarity = relevance.copy(), np.zeros(n)
    selectable = np.ones(n, np.bool_)
    filled = 0
    while filled < length:
        any_due = _update_due(floor_sizes, listed, left, due, filled, length)
        best = _best_candidate(values, selectable, is_member, due, any_due)
        if best < 0:
            break
        order[filled] = best
        filled += 1
        _remove(best, selectable, is_member, left)
        for g in range(n_groups):
            listed[g] += is_member[g, best]
        _apply_caps(best, cap_codes, caps, label_counts, selectable, is_member, left)
        if diversity > 0.0:
            _update_similarity(best, facets, facet_counts, facet_marks, selectable, max_similarity)
            for c in range(n):
                values[c] = relevance[c] - diversity * max_similarity[c]
    _reset_counts(order[:filled], cap_codes, label_counts)
    return order[:filled]
