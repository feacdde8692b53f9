"""What is looked at and bought more than usual right now."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_app.models import kernels, trending_kernels
from stream_app.models.arrays import State, grown
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
from stream_app.models.items import ItemIndex
from stream_app.models.pool import ItemPool
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
        self, index: ItemIndex, *, window: float = 3600.0, buckets: int = 6, past: float = 604_800.0
    ) -> None:
        self._index = index
        self.window = window
        self.buckets = buckets
        self.past = past
        self._clear()

    def _clear(self) -> None:
        self._decay = ForwardDecay(self.past)
        self._numbers: NDArray[np.int64] = np.full((64, self.buckets), _NEVER, np.int64)
        self._counts: NDArray[np.float64] = np.zeros((64, self.buckets))
        self._sums: NDArray[np.float64] = np.zeros(64)
        self._newest = -math.inf
        self._pool = ItemPool(POOL)
        self._pool_scores: Scores = np.zeros(POOL, np.float32)

    def learn_one(self, observation: Observation) -> None:
        """Count one observation; one of no or negative weight counts for nothing."""
        item, ts, weight = observation.item, observation.ts, observation.weight
        if weight <= 0:
            return
        factor = self._decay.advance(ts)
        if factor != 1.0:
            self._sums *= factor
        if item >= len(self._sums):
            self._fit(item + 1)
        self._newest = max(self._newest, ts)
        self._sums[item] += weight * self._decay.weight(ts)
        trending_kernels.count(item, weight, self._bucket(ts), self._numbers, self._counts)
        self._pool.keep(item)

    def candidates(self, context: Context, k: int) -> Candidates:  # noqa: ARG002
        """Propose what trends, for everybody alike."""
        self._surprises(self._pool.items, self._pool.size, self._pool_scores)
        items, scores = np.empty(k, np.int32), np.empty(k, np.float32)
        n = kernels.select(
            self._pool.items, self._pool_scores, self._pool.size, self._index.hashes, k, items, scores
        )
        if n == 0:
            return EMPTY_CANDIDATES
        return Candidates(items[:n], scores[:n], np.full(n, NO_ITEM, np.int32))

    def score(self, context: Context, items: Items) -> Scores:  # noqa: ARG002
        """Standard deviations above the expected count."""
        out = np.zeros(len(items), np.float32)
        self._surprises(items, len(items), out)
        return out

    def explain(self, context: Context, item: int, evidence: int) -> Reason:  # noqa: ARG002
        """It trends."""
        return Reason("trending")

    def forget_items(self, items: Items) -> None:
        """Drop the items' counts, and take them out of the pool."""
        held = items[items < len(self._sums)]
        self._sums[held] = 0.0
        self._numbers[held] = _NEVER
        self._pool.forget_items(items)

    def memory(self) -> int:
        """Bytes held, to within a few percent."""
        return super().memory() + self._pool.memory()

    def _bucket(self, ts: float) -> int:
        return math.floor(ts * self.buckets / self.window)

    def _surprises(self, items: Items, n: int, out: Scores) -> None:
        if self._newest == -math.inf:
            return
        # a steady rate r makes a decayed sum of r half-lives / ln 2
        expected = math.log(2.0) * self.window / self.past / self._decay.weight(self._newest)
        newest = self._bucket(self._newest)
        trending_kernels.surprises(items, n, newest, expected, self._numbers, self._counts, self._sums, out)

    def _fit(self, rows: int) -> None:
        self._numbers = grown(self._numbers, rows, _NEVER)
        self._counts = grown(self._counts, rows)
        self._sums = grown(self._sums, rows)

    def _parts(self) -> State:
        return {
            "landmark": self._decay.landmark,
            "newest": self._newest,
            "buckets": self._numbers.copy(),
            "counts": self._counts.copy(),
            "sums": self._sums.copy(),
            "pool": self._pool.state(),
        }

    def _fill(self, state: Mapping[str, Any]) -> None:
        self._decay.landmark = float(state["landmark"])
        self._newest = float(state["newest"])
        self._numbers = state["buckets"].copy()
        self._counts = state["counts"].copy()
        self._sums = state["sums"].copy()
        self._pool.restore(state["pool"])
