"""What is looked at and bought more than usual right now, overall and by audience."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

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
from stream_app.models.segments import ALL, Segments
from topics.records import Reason

POOL_SIZE = 1000
"""Items, the recently and repeatedly touched, that candidates are chosen from."""


class Trending(Model):
    """Counts of a window against what the long run makes expect.

    An item is counted in buckets of a sliding window and in a slowly decaying sum. The sum tells how much to
    expect in a window; the score is how far the window's count lies above that, in standard deviations of a Poisson
    count (with one more expected, so that a single click on a new item is no sensation). The window ends with
    the newest event learned, whoever asks.

    Each segment counts its items for itself. The score for a shopper is the largest of those of everybody and of the
    shopper's segments: what is an old hit everywhere may be new here. Contexts ask as they ask `Popularity`.

    Popularity's decayed counts say what is popular; this says what has just become so, and forgets it
    when the window has passed.

    Parameters
    ----------
    index
        The items.
    window
        Seconds that "now" lasts.
    buckets
        Parts that the window moves by.
    long_half_life
        Half-life of the long-term sum, seconds.
    segments
        Most segments remembered; one more takes the place of the segment with the smallest total.
    segment_items
        Items counted in each segment; at twice as many, those with the lesser half of the sums are dropped.

    Examples
    --------
    >>> from stream_app.models.base import EMPTY_ITEMS, EMPTY_TIMES
    >>> from topics.records import Kind
    >>> index = ItemIndex(100)
    >>> evergreen, hit = index.index("evergreen", 0.0), index.index("hit", 0.0)
    >>> model = Trending(index)
    >>> def clicked(item, ts):
    ...     model.learn_one(Observation("ann", item, ts, Kind.VIEW, 1.0, (), 1, False, EMPTY_ITEMS, EMPTY_TIMES))
    >>> for hour in range(1000):
    ...     for _ in range(10):
    ...         clicked(evergreen, 3600.0 * hour)
    >>> for _ in range(8):
    ...     clicked(hit, 3600.0 * hour)
    >>> nobody = Context("", EMPTY_ITEMS, EMPTY_TIMES, 0, (), 0.0)
    >>> index.id_of(model.candidates(nobody, 1).items[0])
    'hit'
    """

    name: ClassVar[str] = "trending"
    additive: ClassVar[bool] = False

    def __init__(
        self,
        index: ItemIndex,
        *,
        window: float = 3600.0,
        buckets: int = 6,
        long_half_life: float = 604_800.0,
        segments: int = 256,
        segment_items: int = 256,
    ) -> None:
        if not window > 0:
            raise ValueError(f"window must be above 0, not {window!r}")
        self._index = index
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
        # zeroed by the operating system page by page, so segments that never come cost nothing
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

    def learn_one(self, observation: Observation) -> None:
        """Count one observation; one of no or negative weight counts for nothing."""
        item, ts, weight = observation.item, observation.ts, observation.weight
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
        self._segments.totals[rows] += decayed_weight
        largest = trending_kernels.count_item(
            item, weight, decayed_weight, self._bucket(ts), rows, self._counts
        )
        if largest == 2 * self.segment_items:
            for row in rows[self._counts.sizes[rows] == largest].tolist():
                self._prune(row)
        self._pool.add(item)

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose what trends among everybody and in the context's segments."""
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
        """Standard deviations above the expected count, of the audience where they are the most."""
        return self._max_over_segments(context, items)[0]

    def explain(self, context: Context, item: int, evidence: int) -> Reason:  # noqa: ARG002
        """It trends; in a segment, if it does there more than among everybody."""
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
        """Drop the items' counts, and take them out of the pool."""
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
        table = sum(int(array.nbytes) for array in self._counts)
        return super().memory() + table + self._pool.memory() + self._segments.memory()

    def _bucket(self, ts: float) -> int:
        return math.floor(ts * self.buckets / self.window)

    def _window_state(self) -> tuple[int, float]:
        """The newest bucket, and what turns a sum into the count to expect in a window."""
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
        """Keep the greater half of a segment's sums."""
        table = self._counts
        size = table.sizes[row]
        ties = self._index.hashes[table.members[row, :size]]
        order = np.lexsort((ties, -table.segment_sums[row, :size]))
        self._retain(row, np.sort(order[: self.segment_items]))

    def _retain(self, row: int, slots: NDArray[np.intp]) -> None:
        """Make these places the whole of a segment."""
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
