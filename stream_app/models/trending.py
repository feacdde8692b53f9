"""Items with more interactions than usual in a recent window, overall and by segment."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Floats
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
from stream_app.models.columns import grow, item_mask, pack_rows, unpack_rows
from stream_app.models.decay import ForwardDecay
from stream_app.models.item_index import ItemIndex
from stream_app.models.item_pool import ItemPool
from stream_app.models.kernels import trending as trending_kernels
from stream_app.models.kernels.jit import plain
from stream_app.models.kernels.topk import top_k
from stream_app.models.kernels.trending import NO_BUCKET, TrendCounts
from stream_app.models.model_state import State
from stream_app.models.resident import resident_bytes
from stream_app.models.segments import ALL, Segments
from topics.records import Reason


class Trends(NamedTuple):
    """What the trends of items over all users are computed from; the arrays are the model's own.

    Attributes
    ----------
    newest
        Newest time bucket.
    expected_per_sum
        Factor from a long-term sum to the expected count of a window.
    buckets : ndarray of int64, shape (n_items, buckets)
    counts : ndarray of float64, shape (n_items, buckets)
    sums : ndarray of float64, shape (n_items,)
        See `TrendCounts`.
    """

    newest: int
    expected_per_sum: float
    buckets: NDArray[np.int64]
    counts: Floats
    sums: Floats


POOL_SIZE = 1000
"""Recently and repeatedly used items among which overall trends are found."""


class Trending(Model):
    """Counts in a sliding window, compared with the counts that the long-term rate predicts.

    An item is counted in time buckets of a sliding window and in a slowly decaying sum, which predicts the count of
    a window. The score is the excess of the window's count in standard deviations of a Poisson count; one is added
    to the variance, so that a single click on a new item has a low score. The window ends with the newest event
    learned.

    Segments are counted separately. The score for a user is the largest over all users and the user's segments: an
    item popular elsewhere may be new in a segment. Segments of a context are used as by `Popularity`.

    Parameters
    ----------
    window
        Length of the window in seconds.
    buckets
        Number of time buckets of the window.
    long_half_life
        Half-life of the long-term sum, seconds.
    segments
        Largest number of segments; a new one replaces the segment with the smallest total.
    segment_items
        Items counted in each segment; at twice as many, the half with the smaller sums is dropped.

    Examples
    --------
    >>> from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> evergreen, hit = index.index("evergreen", 0.0), index.index("hit", 0.0)
    >>> model = Trending(index)
    >>> def clicked(item, ts):
    ...     model.learn(Observation("ann", item, ts, Kind.VIEW))
    >>> for hour in range(1000):
    ...     for _ in range(10):
    ...         clicked(evergreen, 3600.0 * hour)
    >>> for _ in range(8):
    ...     clicked(hit, 3600.0 * hour)
    >>> anonymous = Context("", EMPTY_ITEMS, EMPTY_TIMES, 0, (), 0.0)
    >>> index.id_of(model.candidates(anonymous, 1).items[0])
    'hit'
    """

    name: ClassVar[str] = "trending"
    additive: ClassVar[bool] = False
    only_orders: ClassVar[bool] = True
    weighs_novelty: ClassVar[bool] = True

    def __init__(
        self,
        index: ItemIndex | None = None,
        *,
        window: float = 3600.0,
        buckets: int = 6,
        long_half_life: float = 604_800.0,
        segments: int = 256,
        segment_items: int = 256,
    ) -> None:
        if not window > 0:
            raise ValueError(f"window must be above 0, not {window!r}")
        self._index = self._shared_or_own(index)
        self.window = window
        self.buckets = buckets
        self.long_half_life = long_half_life
        self.segments = segments
        self.segment_items = segment_items
        self._reset()

    def _reset(self) -> None:
        shape = (self.segments + 1, 2 * self.segment_items)
        self._decay = ForwardDecay(self.long_half_life)
        self._segments = Segments(self.segments, self._empty_segment)
        # zeroed by the operating system page by page, so unused segments cost nothing
        self._counts = TrendCounts(
            buckets=np.full((64, self.buckets), NO_BUCKET, np.int64),
            counts=np.zeros((64, self.buckets)),
            sums=np.zeros(64),
            members=np.zeros(shape, np.int32),
            sizes=np.zeros(shape[0], np.int32),
            segment_buckets=np.zeros((*shape, self.buckets), np.int64),
            segment_counts=np.zeros((*shape, self.buckets)),
            segment_sums=np.zeros(shape),
        )
        self._newest = -math.inf
        self._pool = ItemPool(POOL_SIZE)
        self._best: NDArray[np.float64] = np.zeros(64)
        self._candidate_items: Items = np.zeros(POOL_SIZE, np.int32)
        self._scores: Scores = np.zeros(POOL_SIZE, np.float32)

    def learn(self, observation: Observation) -> None:
        """Count an observation of positive weight, as far as it is new of the user."""
        item, ts, weight = observation.item, observation.ts, observation.weight * observation.novelty
        if weight <= 0:
            return
        factor = self._decay.advance(ts)
        if factor != 1.0:
            for sums in (self._counts.sums, self._counts.segment_sums, self._segments.totals):
                np.multiply(sums, factor, out=sums)
        if item >= len(self._counts.sums):
            self._reserve(item + 1)
        self._newest = max(self._newest, ts)
        rows = self._segments.assign_rows(observation.segments)
        decayed_weight = weight * self._decay.weight(ts)
        largest = trending_kernels.count_item(
            item, weight, decayed_weight, self._bucket(ts), rows, self._segments.totals, plain(self._counts)
        )
        if largest == 2 * self.segment_items:
            for row in rows[self._counts.sizes[rows] == largest].tolist():
                self._prune(row)
        self._pool.add(item)

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose the items that trend overall and in the context's segments."""
        rows = self._segments.rows(context)
        if self._newest == -math.inf or not len(rows):
            return EMPTY_CANDIDATES
        capacity = POOL_SIZE + len(rows) * 2 * self.segment_items
        if capacity > len(self._candidate_items):
            self._candidate_items, self._scores = np.zeros(capacity, np.int32), np.zeros(capacity, np.float32)
        n_candidates = trending_kernels.collect_candidates(
            self._pool.items[: self._pool.size],
            rows,
            *self._window_state(),
            plain(self._counts),
            self._best,
            self._candidate_items,
            self._scores,
        )
        items, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        n = top_k(self._candidate_items, self._scores, n_candidates, self._index.hashes, k, items, scores)
        if n == 0:
            return EMPTY_CANDIDATES
        return Candidates(items[:n], scores[:n], np.full(n, NO_ITEM, np.int32))

    def score(self, context: Context, items: Items) -> Scores:
        """Largest score of each item over the segments, in standard deviations."""
        return self._max_over_segments(context, items)[0]

    def trends(self) -> Trends | None:
        """Inputs of the features of trends; None before the first interaction."""
        if self._newest == -math.inf:
            return None
        table = self._counts
        return Trends(*self._window_state(), table.buckets, table.counts, table.sums)

    def explain(self, context: Context, item: int, evidence: int) -> Reason:
        """Name the segment in which the item trends most; none if that is all users."""
        rows = self._segments.rows(context)
        top_segment = self._max_over_segments(context, np.array([item], np.int32))[1]
        row = int(rows[top_segment[0]]) if len(rows) else 0
        return Reason("trending", segment=self._segments.names[row] if row else None)

    def _max_over_segments(self, context: Context, items: Items) -> tuple[Scores, Items]:
        out, top_segments = np.zeros(len(items), np.float32), np.zeros(len(items), np.int32)
        rows = self._segments.rows(context)
        if self._newest != -math.inf:
            trending_kernels.max_over_segments(
                items, rows, *self._window_state(), plain(self._counts), out, top_segments
            )
        return out, top_segments

    def forget_items(self, items: Items) -> None:
        """Drop the items' counts, and remove them from the pool."""
        table = self._counts
        in_range = items[items < len(table.sums)]
        table.sums[in_range] = 0.0
        table.buckets[in_range] = NO_BUCKET
        self._pool.forget_items(items)
        removed_mask = item_mask(items, self._index.size)
        for row in self._segments.numbers.values():
            size = table.sizes[row]
            removed = removed_mask[table.members[row, :size]]
            if removed.any():
                total = self._segments.totals[row] - table.segment_sums[row, :size][removed].sum()
                self._segments.totals[row] = max(0.0, total)
                self._retain(row, np.flatnonzero(~removed))

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        table = resident_bytes(self._counts)
        return super().memory() + table + self._pool.memory() + self._segments.memory()

    def _bucket(self, ts: float) -> int:
        return math.floor(ts * self.buckets / self.window)

    def _window_state(self) -> tuple[int, float]:
        """Newest time bucket, and factor from a long-term sum to the expected count of a window."""
        # a steady rate r makes a decayed sum of r half-lives / ln 2
        expected = math.log(2.0) * self.window / self.long_half_life / self._decay.weight(self._newest)
        return self._bucket(self._newest), expected

    def _reserve(self, items: int) -> None:
        table = self._counts
        self._counts = table._replace(
            buckets=grow(table.buckets, items, NO_BUCKET),
            counts=grow(table.counts, items),
            sums=grow(table.sums, items),
        )
        self._best = grow(self._best, items)

    def _empty_segment(self, row: int) -> None:
        self._counts.sizes[row] = 0

    def _prune(self, row: int) -> None:
        """Keep the half of a segment's items with the larger sums."""
        table = self._counts
        size = table.sizes[row]
        ties = self._index.hashes[table.members[row, :size]]
        order = np.lexsort((ties, -table.segment_sums[row, :size]))
        self._retain(row, np.sort(order[: self.segment_items]))

    def _retain(self, row: int, slots: NDArray[np.intp]) -> None:
        """Keep only these slots of a segment."""
        table = self._counts
        for array in (table.members, table.segment_buckets, table.segment_counts, table.segment_sums):
            array[row, : len(slots)] = array[row, slots]
        table.sizes[row] = len(slots)

    def _get_state(self) -> State:
        table, names = self._counts, self._segments.names
        rows = len(names)
        sizes = table.sizes[:rows]
        return {
            "landmark": self._decay.landmark,
            "newest": self._newest,
            "buckets": table.buckets.copy(),
            "counts": table.counts.copy(),
            "sums": table.sums.copy(),
            "segments": names[1:],
            "totals": self._segments.totals[:rows].copy(),
            "sizes": sizes.copy(),
            "members": pack_rows(table.members, sizes),
            "segment_buckets": pack_rows(table.segment_buckets, sizes),
            "segment_counts": pack_rows(table.segment_counts, sizes),
            "segment_sums": pack_rows(table.segment_sums, sizes),
            "pool": self._pool.state(),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._decay.landmark = float(state["landmark"])
        self._newest = float(state["newest"])
        table = self._counts = self._counts._replace(
            buckets=state["buckets"].copy(), counts=state["counts"].copy(), sums=state["sums"].copy()
        )
        self._best = grow(self._best, len(table.sums))
        self._segments.restore([ALL, *state["segments"]], state["totals"])
        sizes = state["sizes"]
        table.sizes[: len(sizes)] = sizes
        for name in ("members", "segment_buckets", "segment_counts", "segment_sums"):
            unpack_rows(state[name], sizes, getattr(table, name))
        self._pool.restore(state["pool"])
