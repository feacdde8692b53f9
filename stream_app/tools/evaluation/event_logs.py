"""Prequential evaluation of an event log: rank the user's list before each choice of an item, then fold the event.

Events are processed as in a worker: decoded and checked from their JSON, folded into the user's row, learned. The
measured list is the one that a worker would have published by then: `Ranker.rank_user`, with its rules.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from time import perf_counter_ns
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from state.row import UserRow
from stream_app.errors import UserError
from stream_app.models.base import NO_ITEM, Model
from stream_app.models.model_set import ModelSet
from stream_app.models.popularity import Popularity
from stream_app.ranking.allowed_items import allowed_items
from stream_app.ranking.exposure import Exposure
from stream_app.ranking.ranker import Ranker
from stream_app.ranking.request import RankRequest
from stream_app.tools.evaluation.bootstrap import ConfidenceInterval
from stream_app.tools.evaluation.latency import LatencyStats, latency_stats
from stream_app.tools.evaluation.log_evaluation import (
    LogEvaluation,
    choice_request,
    chosen_items,
    model_context,
)
from stream_app.tools.evaluation.ranking_metrics import Hits, ListMetrics, list_metrics
from stream_app.tools.evaluation.sessions import FUSED
from stream_app.tools.evaluation.split_metrics import SplitMetrics, metrics_by_split
from stream_app.tools.progress import OpenProgress, no_progress
from topics.events import UserEvent

COLD_SECONDS: Final = 3_600.0
"""An item is cold until its first interaction is this old."""

METRICS: Final = ListMetrics._fields


class EventSplit(StrEnum):
    """A group of lists."""

    ALL = "all"
    COLD_USERS = "cold users"
    """The user had not clicked or bought anything before."""
    WARM_USERS = "warm users"
    RETURNING_USERS = "returning users"
    """The user had an earlier session."""
    COLD_ITEMS = "cold items"
    """The chosen item had its first interaction less than `COLD_SECONDS` ago, or never."""
    WARM_ITEMS = "warm items"
    NOVEL = "new to the user"
    """The chosen item is not among the user's recent items."""
    REPEAT = "repeat choices"


class ListMetricIntervals(msgspec.Struct, frozen=True):
    """Means of the metrics of `ListMetrics`, with intervals."""

    hit_rate: ConfidenceInterval
    mrr: ConfidenceInterval
    accuracy: ConfidenceInterval
    precision: ConfidenceInterval
    recall: ConfidenceInterval
    f1: ConfidenceInterval
    ndcg: ConfidenceInterval


class ExposureMetrics(msgspec.Struct, frozen=True):
    """Exposure of the items known at the end of the log, in the lists of one system cut at k.

    Attributes
    ----------
    coverage
        Share of the items that were on any list.
    gini
        Gini coefficient of the exposure: 0 if all items were listed equally often, near 1 if a few had it all.
    new_items
        Share of the list entries that were new items when listed; see `stream_app.ranking.exposure.ExposureReport`.
    long_tail
        Share of the list entries that were long-tail items; see there.
    """

    coverage: float
    gini: float
    new_items: float
    long_tail: float


class EventLogResults(msgspec.Struct, frozen=True, kw_only=True):
    """Results of a log.

    Attributes
    ----------
    events
        Rows of the log by outcome, as in `LogEvaluation.row_counts`.
    splits
        Metrics by split; splits without lists are left out. The difference is fused minus popularity.
    policies
        Fused lists by the policy that ordered them: a learned fusion is not used before it has learned, nor for a
        user without interactions.
    ms
        Wall time of ranking one list in milliseconds, by system.
    """

    events: dict[str, int]
    splits: dict[EventSplit, SplitMetrics[ListMetricIntervals]]
    exposure: dict[str, ExposureMetrics]
    policies: dict[str, int]
    ms: dict[str, LatencyStats]


class _SystemRecorder:
    """Hits, latencies and exposure of one system."""

    def __init__(self, models: ModelSet) -> None:
        self.hits = bytearray()  # k flags per list
        self.latencies_ns: list[int] = []
        self.exposure = Exposure(models, half_life=math.inf)

    def record(
        self, recommended: Iterable[str | int], chosen: frozenset[str] | frozenset[int], k: int
    ) -> None:
        flags = bytes([item in chosen for item in recommended][:k])
        self.hits += flags.ljust(k, b"\0")

    def hit_matrix(self, k: int) -> Hits:
        return np.frombuffer(self.hits, np.bool_).reshape(-1, k)


class EventsEvaluation(LogEvaluation[EventLogResults]):
    """Measure the fused ranker, popularity and, on request, each model on a log.

    Parameters
    ----------
    ranker
        Learns and ranks; its lists must have length `k`, and popularity must be among its models.
    k
        List length of the metrics.
    buy_again
        Seconds after which a bought item may be listed again; 0 for never.
    each_model
        Also measure each model alone.
    compared
        Further models, which learn the same log and are measured alone: the fused lists do not use them.

    Raises
    ------
    UserError
        If popularity, the baseline, is not among the models.

    Examples
    --------
    >>> from stream_app.tools.feeds.rows import EventRow
    >>> from topics.events import Click
    >>> from stream_app.models.model_set import ModelSet
    >>> ranker = Ranker(ModelSet(["popularity"]), per_source=100, length=2)
    >>> evaluation = EventsEvaluation(ranker, k=2, session_gap=1800.0)
    >>> click = Click(event_id="1", user_id="ann", ts=1_000, item_id="shoe")
    >>> evaluation.consume(EventRow(1, click))
    >>> evaluation.consume(EventRow(2, Click(event_id="2", user_id="bob", ts=2_000, item_id="shoe")))
    >>> results = evaluation.results()
    >>> results.events, results.splits[EventSplit.ALL].systems["popularity"].hit_rate.mean
    ({'accepted': 2}, 0.5)
    """

    def __init__(
        self,
        ranker: Ranker,
        *,
        k: int,
        session_gap: float,
        buy_again: float = 0.0,
        each_model: bool = False,
        compared: ModelSet | None = None,
        open_progress: OpenProgress = no_progress,
    ) -> None:
        sets = (ranker.models,) if compared is None else (ranker.models, compared)
        super().__init__(
            *sets, session_gap=session_gap, title="ranking and folding", open_progress=open_progress
        )
        self._ranker = ranker
        self._k = k
        self._buy_again = buy_again
        self._single_models: list[Model] = [
            model for model in self._models.models if each_model or isinstance(model, Popularity)
        ]
        if not any(isinstance(model, Popularity) for model in self._single_models):
            raise UserError("Lists are compared with popularity: add popularity to the models.")
        self._compared = compared
        compared_models = [] if compared is None else compared.models
        names = (FUSED, *(model.name for model in (*self._single_models, *compared_models)))
        self._systems = {name: _SystemRecorder(ranker.models) for name in names}
        self._policies: Counter[str] = Counter()
        self._chosen: list[int] = []
        self._splits: dict[EventSplit, list[bool]] = {
            split: []
            for split in (
                EventSplit.COLD_USERS,
                EventSplit.COLD_ITEMS,
                EventSplit.REPEAT,
                EventSplit.RETURNING_USERS,
            )
        }
        self._first_event: dict[str, float] = {}

    def on_accepted(self, event: UserEvent, row_before: UserRow, row_after: UserRow) -> None:
        """Rank with the row before a click or purchase, and compare the lists with its items."""
        self._first_event.setdefault(event.user_id, row_after.session.start)
        if chosen := chosen_items(event):
            first = self._first_event[event.user_id]
            self._splits[EventSplit.RETURNING_USERS].append(row_after.session.start > first)
            self._rank(event, row_before, chosen)

    def _rank(self, event: UserEvent, row: UserRow, chosen: frozenset[str]) -> None:
        """Measure the lists for the row before the event that chose the items `chosen`."""
        request = choice_request(event, row, self._models, self._buy_again)
        started = perf_counter_ns()
        ranked = self._ranker.rank_user(request)
        fused = self._systems[FUSED]
        fused.latencies_ns.append(perf_counter_ns() - started)
        recommended_ids = [item.id for item in ranked.items]
        fused.record(recommended_ids, chosen, self._k)
        fused.exposure.add(recommended_ids[: self._k], event.time)
        self._policies[ranked.policy] += 1
        index = self._models.index
        chosen_positions = frozenset(position for position in map(index.find, chosen) if position != NO_ITEM)
        self._rank_models(self._models, self._single_models, request, chosen, event.time)
        if self._compared is not None:
            self._rank_models(self._compared, self._compared.models, request, chosen, event.time)
        self.add_measured_list(event.user_id)
        self._chosen.append(len(chosen))
        recent = {entry.item_id for entry in row.recent}
        first_seen = [index.first_seen[position] for position in chosen_positions]
        self._splits[EventSplit.COLD_USERS].append(not row.recent)
        self._splits[EventSplit.COLD_ITEMS].append(all(event.time - ts < COLD_SECONDS for ts in first_seen))
        self._splits[EventSplit.REPEAT].append(not chosen.isdisjoint(recent))

    def _rank_models(
        self,
        models: ModelSet,
        measured: Sequence[Model],
        request: RankRequest,
        chosen: frozenset[str],
        now: float,
    ) -> None:
        """Measure the lists of single models of a set."""
        context = model_context(models, request)
        positions = frozenset(position for position in map(models.index.find, chosen) if position != NO_ITEM)
        with allowed_items(models.index, request.excluded) as allowed:
            for model in measured:
                started = perf_counter_ns()
                # Excluded items are removed below: request more, so that k remain.
                items = model.candidates(context, self._k + len(request.excluded)).items
                recommended = items[allowed[items]][: self._k]
                system = self._systems[model.name]
                system.latencies_ns.append(perf_counter_ns() - started)
                system.record(recommended.tolist(), positions, self._k)
                if models is self._models:
                    system.exposure.add_items(recommended, now)
                else:
                    system.exposure.add(models.index.ids_of(recommended.tolist()), now)

    def results(self) -> EventLogResults:
        """Results of the rows consumed so far.

        Raises
        ------
        UserError
            If there was no click or purchase.
        """
        if not self.n_lists:
            raise UserError(
                f"The log has no click or purchase to predict ({self.row_summary}); check --format."
            )
        chosen = np.array(self._chosen, np.int64)
        values = {
            name: np.stack(list_metrics(system.hit_matrix(self._k), chosen), axis=1)
            for name, system in self._systems.items()
        }
        return EventLogResults(
            events=self.row_counts,
            splits=metrics_by_split(
                values, (FUSED, Popularity.name), self.users, self._masks(), ListMetricIntervals
            ),
            exposure={
                name: self._exposure_metrics(system.exposure) for name, system in self._systems.items()
            },
            policies=dict(sorted(self._policies.items())),
            ms={name: latency_stats(np.array(system.latencies_ns)) for name, system in self._systems.items()},
        )

    def _exposure_metrics(self, exposure: Exposure) -> ExposureMetrics:
        return ExposureMetrics(*(round(float(value), 6) for value in exposure.report(self._models.newest)))

    def _masks(self) -> dict[EventSplit, NDArray[np.bool_]]:
        cold_user, items, repeat, returning = (
            np.array(split_flags, np.bool_) for split_flags in self._splits.values()
        )
        return {
            EventSplit.ALL: np.ones(len(cold_user), np.bool_),
            EventSplit.COLD_USERS: cold_user,
            EventSplit.WARM_USERS: ~cold_user,
            EventSplit.RETURNING_USERS: returning,
            EventSplit.COLD_ITEMS: items,
            EventSplit.WARM_ITEMS: ~items,
            EventSplit.NOVEL: ~repeat,
            EventSplit.REPEAT: repeat,
        }
