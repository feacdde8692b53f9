"""Most viewed and bought items, overall and by segment, with decayed counts."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from stream_app.models.array_types import Floats, Rows
from stream_app.models.base import (
    EMPTY_CANDIDATES,
    NO_ITEM,
    Candidates,
    Context,
    Items,
    Model,
    Observation,
    Scores,
)
from stream_app.models.columns import MIN_ROWS, grow, item_mask
from stream_app.models.decay import ForwardDecay
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels.jit import plain
from stream_app.models.kernels.popularity import (
    Heads,
    MergeScratch,
    SegmentCounts,
    count_in_segment,
    count_item,
    most_popular,
    rebuild_overall_head,
    rebuild_segment,
    shares,
    top_segment,
)
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes
from stream_app.models.segments import ALL, NEW_USERS, Segments
from topics.records import Reason

HEAD = 256
"""Items of each segment kept in order; the largest length of a list."""

CACHE_SIZE = 64
"""Lists cached until the next change, of different segments."""


class Popularity(Model):
    """Decayed counts of every item, overall and by segment.

    The score of an item for a user is its share of all counts plus its share of the counts of each of the user's
    segments. Candidates are the heads of these lists. A context without a user ranks its segments only; without user
    and segments, it ranks all counts. First choices of users are also counted in a segment of their own, which users
    without items belong to: what new users choose is not what most choose.

    Counts never fall (decay is forward decay, dislikes are not counted), so a head that is updated with every count
    always holds the best items of its segment.

    Parameters
    ----------
    half_life
        Seconds in which a count loses half its weight.
    segments
        Largest number of segments; a new one replaces the segment with the smallest total.
    segment_items
        Items counted in each segment; at twice as many, the lower half is dropped. Overall, every item is counted.

    Examples
    --------
    >>> from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> shoe, sock = index.index("shoe", 0.0), index.index("sock", 0.0)
    >>> model = Popularity(index)
    >>> for item, country in [(shoe, "FR"), (shoe, "FR"), (sock, "DE")]:
    ...     segments = (f"country:{country}",)
    ...     model.learn(Observation("ann", item, 0.0, Kind.VIEW, 1.0, segments))
    >>> anonymous = Context("", EMPTY_ITEMS, EMPTY_TIMES, 0, ("country:DE",), 0.0)
    >>> [index.id_of(item) for item in model.candidates(anonymous, 10).items]
    ['sock']
    >>> model.candidates(anonymous._replace(user="bob"), 10).scores
    array([1.3333334, 0.6666667], dtype=float32)
    """

    name: ClassVar[str] = "popularity"
    additive: ClassVar[bool] = True
    weighs_novelty: ClassVar[bool] = True

    def __init__(
        self,
        index: ItemIndex | None = None,
        *,
        half_life: float = 86_400.0,
        segments: int = 256,
        segment_items: int = 2048,
    ) -> None:
        self._index = self._shared_or_own(index)
        self.half_life = half_life
        self.segments = segments
        self.segment_items = segment_items
        self._reset()

    def _reset(self) -> None:
        rows = self.segments + 2
        slots = 1 << (4 * self.segment_items - 1).bit_length()
        self._decay = ForwardDecay(self.half_life, self._index.decay_clock)
        self._segments = Segments(self.segments, self._empty_segment, NEW_USERS)
        # until the next change: a flush ranks many users of the same segments
        self._cache: dict[tuple[tuple[str, ...], bool, bool, int], Candidates] = {}
        # zeroed by the operating system page by page, so unused segments cost nothing
        self._counts = SegmentCounts(
            np.zeros(MIN_ROWS),
            self._segments.totals,
            np.zeros((rows, slots), np.int32),
            np.zeros((rows, slots)),
            np.zeros(rows, np.int32),
        )
        self._heads = Heads(
            np.zeros((rows, HEAD), np.int32), np.zeros((rows, HEAD)), np.zeros(rows, np.int32)
        )
        self._scratch = MergeScratch(
            np.zeros(MIN_ROWS, np.bool_), np.zeros(HEAD, np.int32), np.zeros(HEAD, np.float32)
        )

    def segment_names(self) -> list[str]:
        """Names of the segments, without ``all``, sorted."""
        return sorted(self._segments.numbers)

    def segments_of(self, item: int) -> list[str]:
        """Segments, without ``all``, whose head holds an item, sorted."""
        n_segments = len(self._segments.names)
        used = np.arange(HEAD) < self._heads.sizes[:n_segments, None]
        rows = np.flatnonzero((used & (self._heads.items[:n_segments] == item)).any(axis=1))
        return sorted(self._segments.names[row] for row in rows.tolist() if row)

    def learn(self, observation: Observation) -> None:
        """Count an observation of positive weight, as far as it is new of the user."""
        item, ts = observation.item, observation.ts
        weight = observation.weight * observation.novelty
        # whole: what is left of its weight depends on whether purchases of the item were learned before
        first_weight = observation.weight if observation.is_first else 0.0
        if weight <= 0 and first_weight <= 0:
            return
        self._cache.clear()
        factor = self._decay.advance(ts)
        if factor != 1.0:
            self._scale(factor)
        self._reserve(item + 1)
        decay, time = (self.half_life, self._decay.landmark), self._decay.clock.time(ts)
        counts, heads, ties = plain(self._counts), plain(self._heads), self._index.hashes
        largest, numbers = 0, self._segments.assign_rows(observation.segments)
        if weight > 0:
            largest = count_item(item, weight, time, decay, numbers, counts, heads, ties)
        if first_weight > 0:
            [first] = self._segments.assign_rows((NEW_USERS,)).tolist()
            largest = max(
                largest, count_in_segment(item, first_weight, time, decay, first, counts, heads, ties)
            )
            numbers = np.append(numbers, np.int32(first))
        if largest >= 2 * self.segment_items:
            for number in numbers:
                if self._counts.sizes[number] >= 2 * self.segment_items:
                    self._prune(number)

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose the most popular items of the context's segments, at most `HEAD`."""
        key = (context.segments, bool(context.user), bool(len(context.items)), k)
        cached = self._cache.get(key)
        if cached is None:
            if len(self._cache) == CACHE_SIZE:
                self._cache.clear()
            cached = self._cache[key] = self._best(context, k)
        return cached

    def _rows(self, context: Context) -> Rows:
        """Rows of the context's segments, and that of new users for a user without items."""
        rows = self._segments.rows(context)
        number = self._segments.numbers.get(NEW_USERS)
        if number is None or not context.user or len(context.items):
            return rows
        return np.append(rows, np.int32(number))

    def _best(self, context: Context, k: int) -> Candidates:
        numbers = self._rows(context)
        depth = max(128, k) if len(numbers) > 1 else HEAD
        capacity = depth * len(numbers)
        if capacity > len(self._scratch.items):
            self._scratch = self._scratch._replace(
                items=np.zeros(capacity, np.int32), scores=np.zeros(capacity, np.float32)
            )
        items, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        n = most_popular(
            numbers,
            depth,
            plain(self._counts),
            plain(self._heads),
            plain(self._scratch),
            self._index.hashes,
            items,
            scores,
        )
        if n == 0:
            return EMPTY_CANDIDATES
        return Candidates(items[:n], scores[:n], np.full(n, NO_ITEM, np.int32))

    def score(self, context: Context, items: Items) -> Scores:
        """Sum of each item's shares of the context's segments."""
        out = np.empty(len(items), np.float32)
        numbers = self._rows(context)
        shares(items, numbers, plain(self._counts), out)
        return out

    def explain(self, context: Context, item: int, evidence: int) -> Reason:
        """Name the segment in which the item has the largest share."""
        rows = self._rows(context)
        if len(rows) == 0 or not 0 <= item < len(self._counts.overall):
            return Reason("popular", segment=ALL)
        # Most contexts have one segment: no kernel call then, of which a list would take twenty.
        position = 0 if len(rows) == 1 else top_segment(item, rows, plain(self._counts))
        return Reason("popular", segment=self._segments.names[rows[position]])

    def forget_items(self, items: Items) -> None:
        """Remove the items from every count."""
        self._cache.clear()
        overall = self._counts.overall
        counted = items[items < len(overall)]
        self._segments.totals[0] = max(0.0, self._segments.totals[0] - overall[counted].sum())
        overall[counted] = 0.0
        removed_mask = item_mask(counted, len(overall))
        for number in self._segments.numbers.values():
            kept, counts = self._entries(number)
            removed = removed_mask[kept]
            if removed.any():
                self._segments.totals[number] = max(
                    0.0, self._segments.totals[number] - counts[removed].sum()
                )
                self._rebuild_segment(number, kept[~removed], counts[~removed])
        self._rebuild_overall_head()

    def statistics(self, ts: float) -> list[tuple[str, Items, Items, Floats]]:
        """Counts decayed to `ts`: a label, two item columns and the values, of each table.

        Categories are left out: which category an item was counted in depends on when its catalog entry
        was read.
        """
        factor = self._decay.at(ts)
        overall = self._counts.overall
        nonzero = np.flatnonzero(overall).astype(np.int32)
        tables = [("popularity", nonzero, nonzero, overall[nonzero] * factor)]
        for name, number in self._segments.numbers.items():
            if not name.startswith("category:"):
                items, counts = self._entries(number)
                tables.append((f"popularity/{name}", items, items, counts * factor))
        return tables

    def _get_state(self) -> State:
        # heads are recomputed from the counts
        size = self._index.size
        entries = [self._entries(number) for number in range(1, len(self._segments.names))]
        return {
            "landmark": self._decay.landmark,
            "overall": grow(self._counts.overall, size)[:size].copy(),
            "totals": self._segments.totals[: len(self._segments.names)].copy(),
            "segments": self._segments.names[1:],
            "sizes": np.array([len(items) for items, _ in entries], np.int64),
            "items": np.concatenate([np.zeros(0, np.int32), *(items for items, _ in entries)]),
            "counts": np.concatenate([np.zeros(0), *(counts for _, counts in entries)]),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._decay.landmark = float(state["landmark"])
        size = len(state["overall"])
        self._reserve(size)
        self._counts.overall[:size] = state["overall"]
        self._segments.restore([ALL, *state["segments"]], state["totals"])
        ends = np.cumsum(state["sizes"])
        for number, (end, length) in enumerate(zip(ends, state["sizes"], strict=True), 1):
            # copied, since kernels are compiled again for read-only arrays
            items, counts = (np.array(state[part][end - length : end]) for part in ("items", "counts"))
            self._rebuild_segment(number, items, counts)
        self._rebuild_overall_head()

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        cached = sum(column.nbytes for found in self._cache.values() for column in found)
        # totals are counted once, with the segments
        arrays = (*self._counts, *self._heads, *self._scratch)
        tables = resident_bytes(arrays) - self._segments.totals.nbytes
        return super().memory() + tables + self._segments.memory() + cached

    def _reserve(self, items: int) -> None:
        if items > len(self._counts.overall):
            self._counts = self._counts._replace(overall=grow(self._counts.overall, items))
            self._scratch = self._scratch._replace(seen=grow(self._scratch.seen, items))

    def _empty_segment(self, number: int) -> None:
        self._rebuild_segment(number, np.zeros(0, np.int32), np.zeros(0))

    def _entries(self, number: int) -> tuple[Items, Floats]:
        """Items of a segment, by number, and their counts."""
        keys = self._counts.keys[number]
        used = np.flatnonzero(keys)
        items = keys[used] - 1
        order = np.argsort(items)
        return items[order].astype(np.int32), self._counts.values[number, used[order]]

    def _prune(self, number: int) -> None:
        items, counts = self._entries(number)
        best = np.lexsort((self._index.hashes[items], -counts))[: self.segment_items]
        self._rebuild_segment(number, items[best], counts[best])

    def _rebuild_segment(self, number: int, items: Items, counts: Floats) -> None:
        rebuild_segment(number, items, counts, plain(self._counts), plain(self._heads), self._index.hashes)

    def _rebuild_overall_head(self) -> None:
        rebuild_overall_head(plain(self._counts), plain(self._heads), self._index.hashes)

    def _scale(self, factor: float) -> None:
        for sums in (self._counts.overall, self._counts.totals, self._counts.values):
            np.multiply(sums, factor, out=sums)
        for number in range(1, len(self._segments.names)):
            self._rebuild_segment(number, *self._entries(number))
        self._rebuild_overall_head()
