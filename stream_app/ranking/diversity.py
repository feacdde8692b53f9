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
from stream_app.ranking.list_rules import NEW_SECONDS, TAIL_SHARE, ListRules

BANDS: Final = 128
"""Price bands: each reaches to twice the price, plus one, of the band below it."""

_LEAST_BETWEEN: Final = 1_000
"""Interactions between two looks at which items are the long tail, at the least."""

_KIND_CODES: Final = {"new": 0, "long_tail": 1, "category": 2, "brand": 3, "seller": 4}

Order = NDArray[np.int64]
"""Places on the list of candidates, in the order of the list that was made of them."""


@jit()
def filed_under(
    items: NDArray[np.int32],
    category_codes: NDArray[np.int32],
    brand_codes: NDArray[np.int32],
    prices: NDArray[np.float32],
    first_band: int,
    bands: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """What each item is filed under (categories, brand, price band), under how many, its narrowest category or -1."""
    n, width = len(items), category_codes.shape[1]
    facets = np.empty((n, width + 2), np.int64)
    sizes = np.zeros(n, np.int64)
    narrowest = np.full(n, -1, np.int64)
    for c in range(n):
        item = items[c]
        for at in range(width):
            code = category_codes[item, at]
            if code < 0:
                continue
            narrowest[c] = code
            known = False
            for before in range(sizes[c]):
                known = known or facets[c, before] == code
            if not known:
                facets[c, sizes[c]] = code
                sizes[c] += 1
        if brand_codes[item] >= 0:
            facets[c, sizes[c]] = brand_codes[item]
            sizes[c] += 1
        price = prices[item]
        if price >= 0:
            band = bands - 1 if price > 1e30 else min(bands - 1, int(np.log2(1.0 + price)))
            facets[c, sizes[c]] = first_band + band
            sizes[c] += 1
    return facets, sizes, narrowest


@jit()
def _arrange(  # noqa: C901, PLR0912, PLR0915  # one kernel: calls between kernels would cost more than they tell
    items: NDArray[np.int32],
    scores: NDArray[np.float64],
    length: int,
    diversity: float,
    caps: NDArray[np.int64],
    floor_kinds: NDArray[np.int64],
    floor_codes: NDArray[np.int64],
    floor_places: NDArray[np.int64],
    new_after: float,
    category_codes: NDArray[np.int32],
    brand_codes: NDArray[np.int32],
    seller_codes: NDArray[np.int32],
    prices: NDArray[np.float32],
    first_seen: NDArray[np.float64],
    tail: NDArray[np.bool_],
    first_band: int,
    bands: int,
    marks: NDArray[np.bool_],
    taken: NDArray[np.int64],
) -> NDArray[np.int64]:
    n = len(items)
    length = min(length, n)
    order = np.empty(length, np.int64)
    if length == 0:
        return order
    groups = len(floor_kinds)
    width = category_codes.shape[1]

    # What each candidate is filed under, and the groups it belongs to.
    facets, sizes, narrowest = filed_under(items, category_codes, brand_codes, prices, first_band, bands)
    capped = np.empty((n, 3), np.int64)
    member = np.zeros((n, groups), np.bool_)
    left = np.zeros(groups, np.int64)
    low, high = scores[0], scores[0]
    for c in range(n):
        low, high = min(low, scores[c]), max(high, scores[c])
        item = items[c]
        capped[c, 0] = narrowest[c]
        capped[c, 1] = brand_codes[item]
        capped[c, 2] = seller_codes[item]
        for g in range(groups):
            kind = floor_kinds[g]
            inside = False
            if kind == 0:
                inside = not first_seen[item] <= new_after
            elif kind == 1:
                inside = tail[item] if item < len(tail) else True
            elif floor_codes[g] >= 0:
                if kind == 2:
                    for at in range(width):
                        inside = inside or category_codes[item, at] == floor_codes[g]
                elif kind == 3:
                    inside = brand_codes[item] == floor_codes[g]
                else:
                    inside = seller_codes[item] == floor_codes[g]
            member[c, g] = inside
            if inside:
                left[g] += 1

    spread = high - low if high > low else 1.0
    alike = np.zeros(n)
    free = np.ones(n, np.bool_)
    have = np.zeros(groups, np.int64)
    due = np.zeros(groups, np.bool_)
    filled = 0
    while filled < length:
        # A group is due when it has fewer than its share of the places so far; all that still wait are, when
        # no more places are left than they need.
        needed = 0
        for g in range(groups):
            needed += max(0, min(floor_places[g] - have[g], left[g]))
        pressing = needed >= length - filled
        any_due = False
        for g in range(groups):
            share = int(np.floor(floor_places[g] * (filled + 1) / length + 0.5))
            due[g] = left[g] > 0 and have[g] < floor_places[g] and (pressing or have[g] < share)
            any_due = any_due or due[g]
        best, best_value, best_met = -1, 0.0, 0
        for c in range(n):
            if not free[c]:
                continue
            met = 0
            if any_due:
                for g in range(groups):
                    if due[g] and member[c, g]:
                        met += 1
            value = (1.0 - diversity) * (scores[c] - low) / spread - diversity * alike[c]
            if best < 0 or met > best_met or (met == best_met and value > best_value):
                best, best_value, best_met = c, value, met
        if best < 0:
            break
        order[filled] = best
        filled += 1
        free[best] = False
        for g in range(groups):
            if member[best, g]:
                have[g] += 1
                left[g] -= 1
        for rule in range(3):
            code = capped[best, rule]
            if caps[rule] == 0 or code < 0:
                continue
            taken[code] += 1
            if taken[code] < caps[rule]:
                continue
            for c in range(n):
                if free[c] and capped[c, rule] == code:
                    free[c] = False
                    for g in range(groups):
                        if member[c, g]:
                            left[g] -= 1
        if diversity > 0.0:
            for at in range(sizes[best]):
                marks[facets[best, at]] = True
            for c in range(n):
                if not free[c]:
                    continue
                shared = 0
                for at in range(sizes[c]):
                    shared += marks[facets[c, at]]
                if shared:
                    likeness = shared / (sizes[c] + sizes[best] - shared)
                    alike[c] = max(alike[c], likeness)
            for at in range(sizes[best]):
                marks[facets[best, at]] = False
    for place in range(filled):
        for rule in range(3):
            if capped[order[place], rule] >= 0:
                taken[capped[order[place], rule]] = 0
    return order[:filled]


class Diversifier:
    """Chooses a list from ordered candidates, by the rules of the shop.

    Relevance is a candidate's score on the scale from the least (0) to the greatest (1) of the candidates.
    Likeness of two items is the Jaccard similarity of what they are filed under: categories, brand and price
    band, as far as the catalogue tells. A candidate's marginal relevance is
    ``(1 - diversity) * relevance - diversity * greatest likeness to the items chosen before``.

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
    >>> Diversifier(models, ListRules(max_per_brand=1)).arrange(items, scores, 3, now=0.0).tolist()
    [0, 2]
    >>> Diversifier(models, ListRules(diversity=0.5)).arrange(items, scores, 3, now=0.0).tolist()
    [0, 2, 1]
    """

    def __init__(self, models: ModelSet, rules: ListRules) -> None:
        self.rules: Final = rules
        self.tail: Final = LongTail(models)
        self._index: Final = models.index
        self._caps = np.array(rules.caps, np.int64)
        self._kinds = np.array([_KIND_CODES[floor.kind] for floor in rules.floors], np.int64)
        self._places = np.array([floor.places for floor in rules.floors], np.int64)
        self._wants_tail = any(floor.kind == "long_tail" for floor in rules.floors)
        self._marks = np.zeros(MAX_LABELS + BANDS, np.bool_)
        self._taken = np.zeros(MAX_LABELS, np.int64)

    def arrange(self, items: Items, scores: NDArray[np.floating[Any]], length: int, now: float) -> Order:
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
        tail = self.tail.flags() if self._wants_tail else _NOBODY
        order: Order = _arrange(
            items,
            scores.astype(np.float64, copy=False),
            length,
            self.rules.diversity,
            self._caps,
            self._kinds,
            np.array(codes, np.int64),
            self._places,
            now - NEW_SECONDS,
            index.category_codes,
            index.brand_codes,
            index.seller_codes,
            index.prices,
            index.first_seen,
            tail,
            MAX_LABELS,
            BANDS,
            self._marks,
            self._taken,
        )
        return order


_NOBODY: Final = np.zeros(0, np.bool_)


class LongTail:
    """The items that are not among those that make `TAIL_SHARE` of all interactions.

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
        self._due = 0

    def flags(self) -> NDArray[np.bool_]:
        """Whether each item is of the long tail, shape (n,); so is every item beyond the end."""
        models = self._models
        if self._popularity is not None and models.version >= self._due:
            self._due = models.version + max(_LEAST_BETWEEN, len(models.index))
            everybody = Context("", np.zeros(0, np.int32), np.zeros(0), 0, (), models.newest)
            every = np.arange(models.index.size, dtype=np.int32)
            self._flags = _tail(self._popularity.score(everybody, every).astype(np.float64))
        return self._flags

    def holds(self, items: Items) -> NDArray[np.bool_]:
        """Whether each item is of the long tail."""
        flags = self.flags()
        known = items < len(flags)
        found = np.ones(len(items), np.bool_)
        found[known] = flags[items[known]]
        return found


def _tail(counts: NDArray[np.float64]) -> NDArray[np.bool_]:
    falling = np.sort(counts)[::-1]
    sums = np.cumsum(falling)
    if not len(sums) or sums[-1] <= 0.0:
        return np.ones(len(counts), np.bool_)
    # Equal counts are of the head together, so that the order of the integers decides nothing.
    least = falling[int(np.searchsorted(sums, TAIL_SHARE * sums[-1] * (1.0 - 1e-9)))]
    return np.asarray(counts < least)
