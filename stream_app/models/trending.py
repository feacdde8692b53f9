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
from stream_app.models.decay import ForwardDecay
from stream_app.models.item_index import ItemIndex
from stream_app.models.item_pool import ItemPool
from stream_app.models.kernels import shared as kernels
from stream_app.models.kernels import trending as trending_kernels
from stream_app.models.kernels.trending import Counts
from stream_app.models.model_state import State, grown
from stream_app.models.segments import ALL, Segments
from topics.records import Reason

POOL = 1000
"""Items, the recently and repeatedly touched, that candidates are chosen from."""

_NEVER = -(1 << 62)


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
    past
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
        past: float = 604_800.0,
        segments: int = 256,
        segment_items: int = 256,
    ) -> None:
        if not window > 0:
            raise ValueError(f"window must be above 0, not {window!r}")
        self._index = index
        self.window = window
        self.buckets = buckets
        self.past = past
        self.segments = segments
        self.segment_items = segment_items
        self._clear()

    def _clear(self) -> None:
        shape = (self.segments + 1, 2 * self.segment_items)
        self._decay = ForwardDecay(self.past)
        self._segments = Segments(self.segments, self._empty_segment)
        # zeroed by the operating system page by page, so segments that never come cost nothing
        self._held = Counts(
            buckets=np.full((64, self.buckets), _NEVER, np.int64),
            counts=np.zeros((64, self.buckets)),
            sums=np.zeros(64),
            members=np.zeros(shape, np.int32),
            sizes=np.zeros(shape[0], np.int32),
            own_buckets=np.zeros((*shape, self.buckets), np.int64),
            own_counts=np.zeros((*shape, self.buckets)),
            own_sums=np.zeros(shape),
        )
        self._newest = -math.inf
        self._pool = ItemPool(POOL)
        self._best: NDArray[np.float64] = np.zeros(64)
        self._found: Items = np.zeros(POOL, np.int32)
        self._scores: Scores = np.zeros(POOL, np.float32)

    def learn_one(self, observation: Observation) -> None:
        """Count one observation; one of no or negative weight counts for nothing."""
        item, ts, weight = observation.item, observation.ts, observation.weight
        if weight <= 0:
            return
        factor = self._decay.advance(ts)
        if factor != 1.0:
            for sums in (self._held.sums, self._held.own_sums, self._segments.totals):
                np.multiply(sums, factor, out=sums)
        if item >= len(self._held.sums):
            self._fit(item + 1)
        self._newest = max(self._newest, ts)
        rows = self._segments.admit(observation.segments)
        grown_weight = weight * self._decay.weight(ts)
        self._segments.totals[rows] += grown_weight
        largest = trending_kernels.count(
            item, weight, grown_weight, self._bucket(ts), _NEVER, rows, self._held
        )
        if largest == 2 * self.segment_items:
            for row in rows[self._held.sizes[rows] == largest].tolist():
                self._prune(row)
        self._pool.keep(item)

    def candidates(self, context: Context, k: int) -> Candidates:
        """Propose what trends among everybody and in the context's segments."""
        rows = self._segments.asked(context)
        if self._newest == -math.inf or not len(rows):
            return EMPTY_CANDIDATES
        room = POOL + len(rows) * 2 * self.segment_items
        if room > len(self._found):
            self._found, self._scores = np.zeros(room, np.int32), np.zeros(room, np.float32)
        found = trending_kernels.gather(
            self._pool.items,
            self._pool.size,
            rows,
            *self._now(),
            self._held,
            self._best,
            self._found,
            self._scores,
        )
        items, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        n = kernels.select(self._found, self._scores, found, self._index.hashes, k, items, scores)
        if n == 0:
            return EMPTY_CANDIDATES
        return Candidates(items[:n], scores[:n], np.full(n, NO_ITEM, np.int32))

    def score(self, context: Context, items: Items) -> Scores:
        """Standard deviations above the expected count, of the audience where they are the most."""
        return self._loudest(context, items)[0]

    def explain(self, context: Context, item: int, evidence: int) -> Reason:  # noqa: ARG002
        """It trends; in a segment, if it does there more than among everybody."""
        rows = self._segments.asked(context)
        voice = self._loudest(context, np.array([item], np.int32))[1]
        row = int(rows[voice[0]]) if len(rows) else 0
        return Reason("trending", segment=self._segments.names[row] if row else None)

    def _loudest(self, context: Context, items: Items) -> tuple[Scores, Items]:
        out, voices = np.zeros(len(items), np.float32), np.zeros(len(items), np.int32)
        rows = self._segments.asked(context)
        if self._newest != -math.inf:
            trending_kernels.loudest(items, rows, *self._now(), self._held, out, voices)
        return out, voices

    def forget_items(self, items: Items) -> None:
        """Drop the items' counts, and take them out of the pool."""
        held = self._held
        known = items[items < len(held.sums)]
        held.sums[known] = 0.0
        held.buckets[known] = _NEVER
        self._pool.forget_items(items)
        gone = np.zeros(self._index.size, np.bool_)
        gone[items] = True
        for row in self._segments.numbers.values():
            size = held.sizes[row]
            lost = gone[held.members[row, :size]]
            if lost.any():
                total = self._segments.totals[row] - held.own_sums[row, :size][lost].sum()
                self._segments.totals[row] = max(0.0, total)
                self._keep(row, np.flatnonzero(~lost))

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        held = sum(int(array.nbytes) for array in self._held)
        return super().memory() + held + self._pool.memory() + self._segments.memory()

    def _bucket(self, ts: float) -> int:
        return math.floor(ts * self.buckets / self.window)

    def _now(self) -> tuple[int, float]:
        """The newest bucket, and what turns a sum into the count to expect in a window."""
        # a steady rate r makes a decayed sum of r half-lives / ln 2
        expected = math.log(2.0) * self.window / self.past / self._decay.weight(self._newest)
        return self._bucket(self._newest), expected

    def _fit(self, items: int) -> None:
        held = self._held
        self._held = held._replace(
            buckets=grown(held.buckets, items, _NEVER),
            counts=grown(held.counts, items),
            sums=grown(held.sums, items),
        )
        self._best = grown(self._best, items)

    def _empty_segment(self, row: int) -> None:
        self._held.sizes[row] = 0

    def _prune(self, row: int) -> None:
        """Keep the greater half of a segment's sums."""
        held = self._held
        size = held.sizes[row]
        ties = self._index.hashes[held.members[row, :size]]
        order = np.lexsort((ties, -held.own_sums[row, :size]))
        self._keep(row, np.sort(order[: self.segment_items]))

    def _keep(self, row: int, places: NDArray[np.intp]) -> None:
        """Make these places the whole of a segment."""
        held = self._held
        for array in (held.members, held.own_buckets, held.own_counts, held.own_sums):
            array[row, : len(places)] = array[row, places]
        held.sizes[row] = len(places)

    def _parts(self) -> State:
        held, names = self._held, self._segments.names
        rows = len(names)
        used = np.arange(held.members.shape[1]) < held.sizes[:rows, None]
        return {
            "landmark": self._decay.landmark,
            "newest": self._newest,
            "buckets": held.buckets.copy(),
            "counts": held.counts.copy(),
            "sums": held.sums.copy(),
            "segments": names[1:],
            "totals": self._segments.totals[:rows].copy(),
            "sizes": held.sizes[:rows].copy(),
            "members": held.members[:rows][used],
            "own_buckets": held.own_buckets[:rows][used],
            "own_counts": held.own_counts[:rows][used],
            "own_sums": held.own_sums[:rows][used],
            "pool": self._pool.state(),
        }

    def _fill(self, state: Mapping[str, Any]) -> None:
        self._decay.landmark = float(state["landmark"])
        self._newest = float(state["newest"])
        held = self._held = self._held._replace(
            buckets=state["buckets"].copy(), counts=state["counts"].copy(), sums=state["sums"].copy()
        )
        self._best = grown(self._best, len(held.sums))
        self._segments.restore([ALL, *state["segments"]], state["totals"])
        rows = len(state["sizes"])
        held.sizes[:rows] = state["sizes"]
        used = np.arange(held.members.shape[1]) < held.sizes[:rows, None]
        for name in ("members", "own_buckets", "own_counts", "own_sums"):
            getattr(held, name)[:rows][used] = state[name]
        self._pool.restore(state["pool"])
