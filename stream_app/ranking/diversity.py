"""A list that is more than its best single items: unlike one another, capped, with places for chosen groups.

The candidates come ordered, best first. Places are filled one after the other, each by the candidate with the
greatest maximal marginal relevance (Carbonell and Goldstein 1998) among those that no cap keeps out, and where a
group's floor is due, among that group's.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import NO_ITEM, Context, Items
from stream_app.models.item_index import MAX_LABELS
from stream_app.models.kernels.jit import jit
from stream_app.models.model_set import ModelSet
from stream_app.ranking.list_rules import HEAD_SHARE, NEW_ITEM_SECONDS, ListRules

PRICE_BANDS: Final = 128
"""Price bands: each reaches to twice the price, plus one, of the band below it."""

_MIN_REFRESH_INTERVAL: Final = 1_000
"""Interactions between two looks at which items are the long tail, at the least."""

_GROUP_CODES: Final = {"new": 0, "long_tail": 1, "category": 2, "brand": 3, "seller": 4}

Permutation = NDArray[np.int64]
"""Places on the list of candidates, in the order of the list that was made of them."""


@jit()
def extract_facets(
    items: NDArray[np.int32],
    category_codes: NDArray[np.int32],
    brand_codes: NDArray[np.int32],
    prices: NDArray[np.float32],
    first_band: int,
    n_bands: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """What each item is filed under (categories, brand, price band), under how many, its narrowest category or -1."""
    n, width = len(items), category_codes.shape[1]
    facets = np.empty((n, width + 2), np.int64)
    facet_counts = np.zeros(n, np.int64)
    leaf_categories = np.full(n, -1, np.int64)
    for c in range(n):
        item = items[c]
        for at in range(width):
            code = category_codes[item, at]
            if code < 0:
                continue
            leaf_categories[c] = code
            in_index = False
            for earlier in range(facet_counts[c]):
                in_index = in_index or facets[c, earlier] == code
            if not in_index:
                facets[c, facet_counts[c]] = code
                facet_counts[c] += 1
        if brand_codes[item] >= 0:
            facets[c, facet_counts[c]] = brand_codes[item]
            facet_counts[c] += 1
        price = prices[item]
        if price >= 0:
            band = n_bands - 1 if price > 1e30 else min(n_bands - 1, int(np.log2(1.0 + price)))
            facets[c, facet_counts[c]] = first_band + band
            facet_counts[c] += 1
    return facets, facet_counts, leaf_categories


@jit()
def _select_list(  # noqa: C901, PLR0912, PLR0915  # one kernel: calls between kernels would cost more than they tell
    items: NDArray[np.int32],
    scores: NDArray[np.float64],
    length: int,
    diversity: float,
    caps: NDArray[np.int64],
    floor_kinds: NDArray[np.int64],
    floor_codes: NDArray[np.int64],
    floor_sizes: NDArray[np.int64],
    new_after: float,
    category_codes: NDArray[np.int32],
    brand_codes: NDArray[np.int32],
    seller_codes: NDArray[np.int32],
    prices: NDArray[np.float32],
    first_seen: NDArray[np.float64],
    tail: NDArray[np.bool_],
    first_band: int,
    n_bands: int,
    facet_marks: NDArray[np.bool_],
    label_counts: NDArray[np.int64],
) -> NDArray[np.int64]:
    n = len(items)
    length = min(length, n)
    order = np.empty(length, np.int64)
    if length == 0:
        return order
    groups = len(floor_kinds)
    width = category_codes.shape[1]

    # What each candidate is filed under, and the groups it belongs to.
    facets, facet_counts, leaf_categories = extract_facets(
        items, category_codes, brand_codes, prices, first_band, n_bands
    )
    cap_codes = np.empty((n, 3), np.int64)
    in_group = np.zeros((n, groups), np.bool_)
    remaining = np.zeros(groups, np.int64)
    low, high = scores[0], scores[0]
    for c in range(n):
        low, high = min(low, scores[c]), max(high, scores[c])
        item = items[c]
        cap_codes[c, 0] = leaf_categories[c]
        cap_codes[c, 1] = brand_codes[item]
        cap_codes[c, 2] = seller_codes[item]
        for g in range(groups):
            kind = floor_kinds[g]
            is_member = False
            if kind == 0:
                is_member = not first_seen[item] <= new_after
            elif kind == 1:
                is_member = tail[item] if item < len(tail) else True
            elif floor_codes[g] >= 0:
                if kind == 2:
                    for at in range(width):
                        is_member = is_member or category_codes[item, at] == floor_codes[g]
                elif kind == 3:
                    is_member = brand_codes[item] == floor_codes[g]
                else:
                    is_member = seller_codes[item] == floor_codes[g]
            in_group[c, g] = is_member
            if is_member:
                remaining[g] += 1

    score_range = high - low if high > low else 1.0
    max_similarity = np.zeros(n)
    selectable = np.ones(n, np.bool_)
    group_counts = np.zeros(groups, np.int64)
    floor_due = np.zeros(groups, np.bool_)
    filled = 0
    while filled < length:
        # A group is due when it has fewer than its share of the places so far; all that still wait are, when
        # no more places are left than they need.
        needed = 0
        for g in range(groups):
            needed += max(0, min(floor_sizes[g] - group_counts[g], remaining[g]))
        must_fill = needed >= length - filled
        any_floor_due = False
        for g in range(groups):
            share = int(np.floor(floor_sizes[g] * (filled + 1) / length + 0.5))
            floor_due[g] = (
                remaining[g] > 0
                and group_counts[g] < floor_sizes[g]
                and (must_fill or group_counts[g] < share)
            )
            any_floor_due = any_floor_due or floor_due[g]
        best, best_value, best_floors_met = -1, 0.0, 0
        for c in range(n):
            if not selectable[c]:
                continue
            floors_met = 0
            if any_floor_due:
                for g in range(groups):
                    if floor_due[g] and in_group[c, g]:
                        floors_met += 1
            value = (1.0 - diversity) * (scores[c] - low) / score_range - diversity * max_similarity[c]
            if (
                best < 0
                or floors_met > best_floors_met
                or (floors_met == best_floors_met and value > best_value)
            ):
                best, best_value, best_floors_met = c, value, floors_met
        if best < 0:
            break
        order[filled] = best
        filled += 1
        selectable[best] = False
        for g in range(groups):
            if in_group[best, g]:
                group_counts[g] += 1
                remaining[g] -= 1
        for rule in range(3):
            code = cap_codes[best, rule]
            if caps[rule] == 0 or code < 0:
                continue
            label_counts[code] += 1
            if label_counts[code] < caps[rule]:
                continue
            for c in range(n):
                if selectable[c] and cap_codes[c, rule] == code:
                    selectable[c] = False
                    for g in range(groups):
                        if in_group[c, g]:
                            remaining[g] -= 1
        if diversity > 0.0:
            for at in range(facet_counts[best]):
                facet_marks[facets[best, at]] = True
            for c in range(n):
                if not selectable[c]:
                    continue
                shared = 0
                for at in range(facet_counts[c]):
                    shared += facet_marks[facets[c, at]]
                if shared:
                    similarity = shared / (facet_counts[c] + facet_counts[best] - shared)
                    max_similarity[c] = max(max_similarity[c], similarity)
            for at in range(facet_counts[best]):
                facet_marks[facets[best, at]] = False
    for rank in range(filled):
        for rule in range(3):
            if cap_codes[order[rank], rule] >= 0:
                label_counts[cap_codes[order[rank], rule]] = 0
    return order[:filled]


class Diversifier:
    """Chooses a list from ordered candidates, by the rules of the shop.

    Relevance is a candidate's score on the scale from the least (0) to the greatest (1) of the candidates.
    Likeness of two items is the Jaccard similarity of what they are filed under: categories, brand and price
    band, as far as the catalog tells. A candidate's marginal relevance is
    ``(1 - diversity) * relevance - diversity * greatest similarity to the items chosen earlier``.

    A cap is kept always: a list is shorter than asked for only when every candidate left would break one. An
    item without the label is not capped by it. A floor is kept as far as candidates of its group are left that
    no cap keeps out; its places are spread evenly over the list.

    Parameters
    ----------
    models
        Tell what items are filed under, which are new and which are the long tail.
    rules
        What the list has to keep to.

    References
    ----------
    Carbonell, Goldstein: The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing
    Summaries, SIGIR 1998.

    Examples
    --------
    >>> models = ModelSet(["popularity"])
    >>> for name, brand in [("shoe", "acme"), ("boot", "acme"), ("sock", "knit"), ("hat", "knit")]:
    ...     item = models.index.index(name, 0.0)
    ...     _ = models.index.describe(item, 0.0, brand=brand)
    >>> items, scores = np.arange(4, dtype=np.int32), np.array([0.9, 0.8, 0.7, 0.6])
    >>> Diversifier(models, ListRules(max_per_brand=1)).rerank(items, scores, 3, now=0.0).tolist()
    [0, 2]
    >>> Diversifier(models, ListRules(diversity=0.5)).rerank(items, scores, 3, now=0.0).tolist()
    [0, 2, 1]
    """

    def __init__(self, models: ModelSet, rules: ListRules) -> None:
        self.rules: Final = rules
        self.tail: Final = LongTail(models)
        self._index: Final = models.index
        self._caps = np.array(rules.caps, np.int64)
        self._floor_kinds = np.array([_GROUP_CODES[floor.kind] for floor in rules.floors], np.int64)
        self._floor_sizes = np.array([floor.min_items for floor in rules.floors], np.int64)
        self._uses_long_tail = any(floor.kind == "long_tail" for floor in rules.floors)
        self._facet_marks = np.zeros(MAX_LABELS + PRICE_BANDS, np.bool_)
        self._label_counts = np.zeros(MAX_LABELS, np.int64)

    def rerank(self, items: Items, scores: NDArray[np.floating[Any]], length: int, now: float) -> Permutation:
        """Choose and order.

        Parameters
        ----------
        items : ndarray of int32, shape (n,)
            Distinct candidates, best first.
        scores : ndarray of float, shape (n,)
            Their scores, falling.
        length
            Most places of the list.
        now
            Event time that new items are new at, seconds since the epoch.

        Returns
        -------
        ndarray of int64, shape (m,)
            Places in `items`, in the order of the list.
        """
        index = self._index
        # looked up each time: a code goes to another label when the index of labels is full
        codes = [index.code(floor.kind, floor.name) if floor.name else NO_ITEM for floor in self.rules.floors]
        tail = self.tail.flags() if self._uses_long_tail else _NO_FLAGS
        order: Permutation = _select_list(
            items,
            scores.astype(np.float64, copy=False),
            length,
            self.rules.diversity,
            self._caps,
            self._floor_kinds,
            np.array(codes, np.int64),
            self._floor_sizes,
            now - NEW_ITEM_SECONDS,
            index.category_codes,
            index.brand_codes,
            index.seller_codes,
            index.prices,
            index.first_seen,
            tail,
            MAX_LABELS,
            PRICE_BANDS,
            self._facet_marks,
            self._label_counts,
        )
        return order


_NO_FLAGS: Final = np.zeros(0, np.bool_)


class LongTail:
    """The items that are not among those that make `HEAD_SHARE` of all interactions.

    By the decayed counts of the popularity model; where that does not run, every item is of the long tail. The
    counts are looked at anew after as many interactions as there are items, so that the cost an interaction is
    that of a step of sorting.

    Parameters
    ----------
    models
        The models.

    Examples
    --------
    >>> from topics.records import Interaction, Kind, Line, Source
    >>> models = ModelSet(["popularity"])
    >>> for offset, item in enumerate(["shoe"] * 9 + ["sock"]):
    ...     _ = models.learn(Interaction(Source.CLICK, 0, offset, 0.0, "ann", Kind.VIEW, (Line(item),)))
    >>> LongTail(models).flags().tolist()
    [False, True]
    """

    def __init__(self, models: ModelSet) -> None:
        self._models = models
        self._popularity = next((model for model in models.models if model.name == "popularity"), None)
        self._flags: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._refresh_version = 0

    def flags(self) -> NDArray[np.bool_]:
        """Whether each item is of the long tail, shape (n,); so is every item beyond the end."""
        models = self._models
        if self._popularity is not None and models.version >= self._refresh_version:
            self._refresh_version = models.version + max(_MIN_REFRESH_INTERVAL, len(models.index))
            global_context = Context("", np.zeros(0, np.int32), np.zeros(0), 0, (), models.newest)
            all_items = np.arange(models.index.size, dtype=np.int32)
            self._flags = _long_tail_flags(
                self._popularity.score(global_context, all_items).astype(np.float64)
            )
        return self._flags

    def contains(self, items: Items) -> NDArray[np.bool_]:
        """Whether each item is of the long tail."""
        flags = self.flags()
        in_index = items < len(flags)
        flags_of_items = np.ones(len(items), np.bool_)
        flags_of_items[in_index] = flags[items[in_index]]
        return flags_of_items


def _long_tail_flags(counts: NDArray[np.float64]) -> NDArray[np.bool_]:
    descending = np.sort(counts)[::-1]
    cumulative = np.cumsum(descending)
    if not len(cumulative) or cumulative[-1] <= 0.0:
        return np.ones(len(counts), np.bool_)
    # Equal counts are of the head together, so that the order of the integers decides nothing.
    threshold = descending[int(np.searchsorted(cumulative, HEAD_SHARE * cumulative[-1] * (1.0 - 1e-9)))]
    return np.asarray(counts < threshold)
