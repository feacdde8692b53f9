"""Next-click prediction on sessions: each model alone and the fused ranker, frozen and prequential.

The protocol of session-based recommendation: predict click t+1 of a test session from its clicks 1..t, among all
items. Every session is a new user; learning and ranking are the worker's.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from time import perf_counter_ns
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.models.base import Context, Items, Model
from stream_app.models.id_entrance import CONTEXT_LENGTH
from stream_app.models.model_set import ModelSet
from stream_app.ranking.ranker import Ranker
from stream_app.tools.evaluation.bootstrap import ClusterBootstrap, ConfidenceInterval
from stream_app.tools.evaluation.latency import LatencyStats, latency_stats
from stream_app.tools.evaluation.ranking_metrics import Ranks, hit_rate, ranks_of_targets, reciprocal_rank
from stream_app.tools.evaluation.session_files import TimedSession
from stream_app.tools.progress import OpenProgress, no_progress

FUSED: Final = "fused"
"""Name of the fused ranker among the systems."""

MAX_PREFIX_LENGTH: Final = 10
"""Prefixes of this length and longer are reported together."""

# Pads short lists. Not NO_ITEM: an unknown choice must not match.
_PADDING: Final = -2
_CHUNK: Final = 4_096

Recommend = Callable[[Context], Items]


class Mode(StrEnum):
    """Whether test sessions are learned after their predictions."""

    FROZEN = "frozen"
    """Models learn the train sessions only."""

    PREQUENTIAL = "prequential"
    """Each test session is learned after its last click was predicted."""


class PrefixMetrics(msgspec.Struct, frozen=True):
    """Metrics of predictions from this number of clicks (`MAX_PREFIX_LENGTH`: or more)."""

    clicks: int
    predictions: int
    hr: float
    mrr: float


class SystemMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics of one model, or of the fused ranker, in one mode.

    Attributes
    ----------
    hr, mrr
        Hit rate and mean reciprocal rank, by cut-off.
    hr_interval, mrr_interval
        95 % bootstrap intervals at the largest cut-off; sessions are resampled.
    coverage
        Share of the items known at the end that were on any list, cut at the largest cut-off.
    mean_popularity
        Mean over all list entries of the item's clicks in train, divided by those of the most clicked item.
    mean_list_length
        Mean length of a list, at most the largest cut-off.
    ms
        Wall time of one prediction in milliseconds.
    by_prefix
        Hit rate and mean reciprocal rank at the largest cut-off, by the number of clicks in the context.
    """

    hr: dict[int, float]
    mrr: dict[int, float]
    hr_interval: ConfidenceInterval
    mrr_interval: ConfidenceInterval
    coverage: float
    mean_popularity: float
    mean_list_length: float
    ms: LatencyStats
    by_prefix: list[PrefixMetrics]


class ModeResults(msgspec.Struct, frozen=True, kw_only=True):
    """Results of one pass over the test sessions.

    Attributes
    ----------
    predictions
        Predictions of each system.
    seconds
        Wall time, learning included.
    systems
        Metrics by name: the models, and `FUSED`.
    """

    predictions: int
    seconds: float
    systems: dict[str, SystemMetrics]


class _ListCollector:
    """Ranks of the chosen items and item counts of one system's lists, aggregated in chunks."""

    def __init__(self, recommend: Recommend, length: int, predictions: int) -> None:
        self.recommend = recommend
        self.ranks: Ranks = np.zeros(predictions, np.int32)
        self.latencies_ns: NDArray[np.int64] = np.zeros(predictions, np.int64)
        self.item_counts: NDArray[np.int64] = np.zeros(0, np.int64)
        self._rows: Items = np.empty((_CHUNK, length), np.int32)
        self._chosen: Items = np.empty(_CHUNK, np.int32)
        self._length = length
        self._buffered = 0
        self._done = 0

    def predict(self, context: Context, chosen: int) -> None:
        """Make a list and compare it with the item chosen next."""
        started = perf_counter_ns()
        items = self.recommend(context)
        self.latencies_ns[self._done + self._buffered] = perf_counter_ns() - started
        row = self._rows[self._buffered]
        size = min(len(items), self._length)
        row[:size] = items[:size]
        row[size:] = _PADDING
        self._chosen[self._buffered] = chosen
        self._buffered += 1
        if self._buffered == _CHUNK:
            self.flush()

    def flush(self) -> None:
        rows = self._rows[: self._buffered]
        self.ranks[self._done : self._done + self._buffered] = ranks_of_targets(
            rows, self._chosen[: self._buffered]
        )
        counts = np.bincount(rows[rows != _PADDING], minlength=len(self.item_counts))
        counts[: len(self.item_counts)] += self.item_counts
        self.item_counts = counts
        self._done += self._buffered
        self._buffered = 0


class SessionsEvaluation:
    """Learn train sessions, then predict test sessions.

    Parameters
    ----------
    models
        Each is measured alone.
    ranker
        The fused ranker over these models, measured as `FUSED`; it then learns for them. None to leave it out.
    cutoffs
        List lengths k of the metrics.
    min_prefix
        Clicks of a session before the first prediction.
    measure_models
        Whether each model is measured alone.

    Examples
    --------
    In a shop where b always follows a, item-to-item counts predict b:

    >>> from stream_app.tools.evaluation.session_files import SessionClock
    >>> from stream_app.models.model_set import ModelSet
    >>> evaluation = SessionsEvaluation(ModelSet(["item_to_item"]), cutoffs=(1, 20))
    >>> clock = SessionClock(1000)
    >>> evaluation.learn([clock.timed_session(["a", "b"]) for _ in range(5)])
    >>> results = evaluation.evaluate([clock.timed_session(["a", "b"])], Mode.FROZEN)
    >>> results.predictions, results.systems["item_to_item"].hr
    (1, {1: 1.0, 20: 1.0})
    """

    def __init__(
        self,
        models: ModelSet,
        ranker: Ranker | None = None,
        *,
        cutoffs: Sequence[int] = (5, 10, 20),
        min_prefix: int = 1,
        measure_models: bool = True,
        open_progress: OpenProgress = no_progress,
    ) -> None:
        self._measure_models: Final = measure_models
        self._models: Final = models
        self._ranker: Final = ranker
        self._learn: Final = models.learn if ranker is None else ranker.learn
        self._cutoffs: Final = sorted(cutoffs)
        self._min_prefix: Final = min_prefix
        self._open_progress: Final = open_progress
        self._clicks: dict[str, int] = {}

    def learn(self, train: Sequence[TimedSession]) -> None:
        """Learn sessions click by click."""
        learn, clicks = self._learn, self._clicks
        with self._open_progress("learning train", len(train)) as update_progress:
            for done, timed_session in enumerate(train, start=1):
                for interaction in timed_session.interactions():
                    learn(interaction)
                for item in timed_session.items:
                    clicks[item] = clicks.get(item, 0) + 1
                update_progress(done)

    def evaluate(self, test: Sequence[TimedSession], mode: Mode) -> ModeResults:
        """Predict the clicks of test sessions.

        Parameters
        ----------
        test
            In the order of time, later than all learned sessions.
        mode
            Whether each is learned after its predictions. A frozen pass does not change models or fusion.
        """
        started = perf_counter_ns()
        models = self._models
        max_cutoff = self._cutoffs[-1]
        predictions = sum(max(0, len(timed_session.items) - self._min_prefix) for timed_session in test)
        systems = {
            name: _ListCollector(recommend, max_cutoff, predictions)
            for name, recommend in self._systems(max_cutoff).items()
        }
        collectors = list(systems.values())
        sessions = np.empty(predictions, np.int64)
        prefixes = np.empty(predictions, np.int64)
        find, learn = models.index.find, self._learn
        n_predicted = 0
        with self._open_progress(f"predicting, {mode}", len(test)) as update_progress:
            for session, timed_session in enumerate(test):
                user, ids, times = timed_session.user, timed_session.items, timed_session.times
                for clicks in range(self._min_prefix, len(ids)):
                    start = max(0, clicks - CONTEXT_LENGTH)
                    context = models.context(
                        user, ids[start:clicks], times[start:clicks], 0, (), times[clicks - 1]
                    )
                    chosen = find(ids[clicks])
                    for collector in collectors:
                        collector.predict(context, chosen)
                    sessions[n_predicted] = session
                    prefixes[n_predicted] = clicks
                    n_predicted += 1
                if mode is Mode.PREQUENTIAL:
                    for interaction in timed_session.interactions():
                        learn(interaction)
                update_progress(session + 1)
        for collector in collectors:
            collector.flush()
        bootstrap = ClusterBootstrap(sessions)
        popularity = self._popularity()
        return ModeResults(
            predictions=predictions,
            seconds=round((perf_counter_ns() - started) / 1e9, 3),
            systems={
                name: self._system_metrics(collector, prefixes, popularity, bootstrap)
                for name, collector in systems.items()
            },
        )

    def _systems(self, length: int) -> Mapping[str, Recommend]:
        def measure_models(model: Model) -> Recommend:
            return lambda context: model.candidates(context, length).items

        systems = {model.name: measure_models(model) for model in self._models.models if self._measure_models}
        if (ranker := self._ranker) is not None:
            systems[FUSED] = lambda context: ranker.fuse(context, length).items
        return systems

    def _popularity(self) -> NDArray[np.float64]:
        index = self._models.index
        popularity = np.zeros(index.size)
        for item, clicks in self._clicks.items():
            position = index.find(item)
            if position >= 0:
                popularity[position] = clicks
        return popularity / max(1.0, max(self._clicks.values(), default=1))

    def _system_metrics(
        self,
        lists: _ListCollector,
        prefixes: NDArray[np.int64],
        popularity: NDArray[np.float64],
        bootstrap: ClusterBootstrap,
    ) -> SystemMetrics:
        ranks, max_cutoff, item_counts = lists.ranks, self._cutoffs[-1], lists.item_counts
        hr, mrr = hit_rate(ranks, max_cutoff), reciprocal_rank(ranks, max_cutoff)
        hr_interval, mrr_interval = bootstrap.intervals(np.stack((hr, mrr), axis=1))
        max_prefix = max(MAX_PREFIX_LENGTH, self._min_prefix)
        n_items = len(self._models.index)
        return SystemMetrics(
            hr={k: _rounded(hit_rate(ranks, k).mean()) for k in self._cutoffs},
            mrr={k: _rounded(reciprocal_rank(ranks, k).mean()) for k in self._cutoffs},
            hr_interval=hr_interval.rounded(),
            mrr_interval=mrr_interval.rounded(),
            coverage=_rounded(np.count_nonzero(item_counts) / max(1, n_items)),
            mean_popularity=_rounded(
                item_counts @ popularity[: len(item_counts)] / max(1, item_counts.sum())
            ),
            mean_list_length=_rounded(item_counts.sum() / len(ranks)),
            ms=latency_stats(lists.latencies_ns),
            by_prefix=[
                PrefixMetrics(
                    clicks, int(selected.sum()), _rounded(hr[selected].mean()), _rounded(mrr[selected].mean())
                )
                for clicks in range(self._min_prefix, max_prefix + 1)
                if (selected := prefixes == clicks if clicks < max_prefix else prefixes >= clicks).any()
            ],
        )


def _rounded(value: float) -> float:
    return round(float(value), 6)
