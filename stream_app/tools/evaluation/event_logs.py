"""A whole log, prequentially: before each choice of an item the shopper's list is ranked, then the event is folded.

The way of an event is the workers': decoded and checked from its JSON, folded into the shopper's row, its
interaction learned. What is asked for is the list that would be in Redis by then, `Ranker.rank_user`, with its rules.
"""

import math
from collections import Counter
from collections.abc import Iterable
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
    """Which lists a figure is of."""

    ALL = "all"
    COLD_USERS = "cold users"
    """The shopper had clicked or bought nothing before."""
    WARM_USERS = "warm users"
    COLD_ITEMS = "cold items"
    """What was chosen had its first interaction less than `COLD_SECONDS` ago, or never."""
    WARM_ITEMS = "warm items"
    NOVEL = "new to the user"
    """What was chosen is none of the shopper's recent items."""
    REPEAT = "repeat choices"


class ListMetricIntervals(msgspec.Struct, frozen=True):
    """The metrics of `ListMetrics`, each with its interval."""

    hit_rate: ConfidenceInterval
    mrr: ConfidenceInterval
    accuracy: ConfidenceInterval
    precision: ConfidenceInterval
    recall: ConfidenceInterval
    f1: ConfidenceInterval
    ndcg: ConfidenceInterval


class ExposureMetrics(msgspec.Struct, frozen=True):
    """How the lists of one system, cut at k, shared their places out among the items known in the end.

    Attributes
    ----------
    coverage
        Share of the items that were on any list.
    gini
        Gini coefficient of the places: 0 where each item had as many, near 1 where few had all.
    new_items
        Share of the places that went to items that were new when they were listed.
    long_tail
        Share that went to the long tail. Both as `stream_app.ranking.exposure.ExposureReport` tells.
    """

    coverage: float
    gini: float
    new_items: float
    long_tail: float


class EventLogResults(msgspec.Struct, frozen=True, kw_only=True):
    """What a log came to.

    Attributes
    ----------
    events
        Rows of the log by what became of them: accepted, duplicate, catalog, rejected (a worker would write
        it to the dead letters), unreadable, ignored.
    splits
        Figures by split; those without lists are left out.
    exposure
        How the lists shared out attention, by system.
    policies
        Fused lists by what ordered them: a fusion that learns is not asked before it has learned something, nor
        for a shopper who has done nothing yet.
    ms
        Wall time of ranking one list, by system.
    """

    events: dict[str, int]
    splits: dict[EventSplit, SplitMetrics[ListMetricIntervals]]
    exposure: dict[str, ExposureMetrics]
    policies: dict[str, int]
    ms: dict[str, LatencyStats]


class _SystemRecorder:
    """One way to rank, and what came of it."""

    def __init__(self, models: ModelSet) -> None:
        self.hits = bytearray()  # k flags a list
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
    """Takes the rows of a log in order.

    Parameters
    ----------
    ranker
        Learns and ranks; its lists must be `k` long, and popularity among its models.
    k
        Places that count.
    session_gap
        Seconds of inactivity that close a session.
    buy_again
        Seconds after which a bought item may be listed again; 0 for never.
    each_model
        Measure each model alone, too.
    open_progress
        Opens progress bars.

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
        open_progress: OpenProgress = no_progress,
    ) -> None:
        super().__init__(
            ranker.models, session_gap=session_gap, title="ranking and folding", open_progress=open_progress
        )
        self._ranker = ranker
        self._k = k
        self._buy_again = buy_again
        self._single_models: list[Model] = [
            model for model in self._models.models if each_model or isinstance(model, Popularity)
        ]
        if not any(isinstance(model, Popularity) for model in self._single_models):
            raise UserError("Lists are compared with popularity: add popularity to the models.")
        names = (FUSED, *(model.name for model in self._single_models))
        self._systems = {name: _SystemRecorder(ranker.models) for name in names}
        self._policies: Counter[str] = Counter()
        self._chosen: list[int] = []
        self._splits: dict[EventSplit, list[bool]] = {
            split: [] for split in (EventSplit.COLD_USERS, EventSplit.COLD_ITEMS, EventSplit.REPEAT)
        }

    def on_accepted(self, event: UserEvent, row_before: UserRow, row_after: UserRow) -> None:
        """Rank for the row before a click or purchase, and compare the lists with its items."""
        del row_after
        if chosen := chosen_items(event):
            self._rank(event, row_before, chosen)

    def _rank(self, event: UserEvent, row: UserRow, chosen: frozenset[str]) -> None:
        """Rank for the row as it was before the event, in which `chosen` was chosen."""
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
        context = model_context(self._models, request)
        with allowed_items(index, request.excluded) as allowed:
            for model in self._single_models:
                started = perf_counter_ns()
                # as many more as may be cut out, so that the rules leave k
                items = model.candidates(context, self._k + len(request.excluded)).items
                recommended = items[allowed[items]][: self._k]
                system = self._systems[model.name]
                system.latencies_ns.append(perf_counter_ns() - started)
                system.record(recommended.tolist(), chosen_positions, self._k)
                system.exposure.add_items(recommended, event.time)
        self.add_measured_list(event.user_id)
        self._chosen.append(len(chosen))
        recent = {entry.item_id for entry in row.recent}
        first_seen = [index.first_seen[position] for position in chosen_positions]
        self._splits[EventSplit.COLD_USERS].append(not row.recent)
        self._splits[EventSplit.COLD_ITEMS].append(all(event.time - ts < COLD_SECONDS for ts in first_seen))
        self._splits[EventSplit.REPEAT].append(not chosen.isdisjoint(recent))

    def results(self) -> EventLogResults:
        """Sum up what was taken so far.

        Raises
        ------
        UserError
            If nothing was chosen.
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
            exposure={name: self._exposure_metrics(one.exposure) for name, one in self._systems.items()},
            policies=dict(sorted(self._policies.items())),
            ms={name: latency_stats(np.array(one.latencies_ns)) for name, one in self._systems.items()},
        )

    def _exposure_metrics(self, exposure: Exposure) -> ExposureMetrics:
        return ExposureMetrics(*(round(float(each), 6) for each in exposure.report(self._models.newest)))

    def _masks(self) -> dict[EventSplit, NDArray[np.bool_]]:
        cold_user, items, repeat = (np.array(split_flags, np.bool_) for split_flags in self._splits.values())
        return {
            EventSplit.ALL: np.ones(len(cold_user), np.bool_),
            EventSplit.COLD_USERS: cold_user,
            EventSplit.WARM_USERS: ~cold_user,
            EventSplit.COLD_ITEMS: items,
            EventSplit.WARM_ITEMS: ~items,
            EventSplit.NOVEL: ~repeat,
            EventSplit.REPEAT: repeat,
        }
