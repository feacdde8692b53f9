"""One trial of a search: empty models learn, then predict a validation tail.

Sessions are predicted frozen, as `SessionsEvaluation` does; an event log prequentially, as `EventsEvaluation` does.
"""

from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import NamedTuple

import numpy as np

from state.row import UserRow
from stream_app.errors import UserError
from stream_app.models.model_set import ModelSet
from stream_app.ranking.ranker import Ranker
from stream_app.tools.evaluation.bootstrap import ClusterBootstrap, ConfidenceInterval
from stream_app.tools.evaluation.latency import latency_stats
from stream_app.tools.evaluation.log_evaluation import (
    LogEvaluation,
    choice_request,
    chosen_items,
    model_context,
)
from stream_app.tools.evaluation.ranking_metrics import UNLISTED, hit_rate, reciprocal_rank
from stream_app.tools.evaluation.session_files import SessionClock, TrainTestSplit
from stream_app.tools.evaluation.sessions import FUSED, Mode, SessionsEvaluation
from stream_app.tools.feeds.rows import Row
from topics.events import UserEvent


class TrialMetrics(NamedTuple):
    """Metrics of one trial.

    Attributes
    ----------
    hr, mrr
        Metrics at the cut-off, with 95 % intervals.
    ms
        Mean wall time of a prediction in milliseconds.
    listed
        Whether any list had an item.
    """

    predictions: int
    hr: ConfidenceInterval
    mrr: ConfidenceInterval
    ms: float
    listed: bool


Trial = Callable[[ModelSet, int], TrialMetrics]
"""Lets untrained models learn and predict, with metrics at a cut-off."""


class SessionsTrial:
    """Learn the train sessions and predict the test sessions, frozen.

    Parameters
    ----------
    ranker
        Makes the measured ranker from models and list length; without it the first model is measured.
    sessions_per_day, min_prefix
        As in `SessionsEvaluation`.
    """

    def __init__(
        self,
        split: TrainTestSplit,
        *,
        ranker: Callable[[ModelSet, int], Ranker] | None = None,
        sessions_per_day: float = 1000.0,
        min_prefix: int = 1,
    ) -> None:
        clock = SessionClock(sessions_per_day)
        self._ranker = ranker
        self._min_prefix = min_prefix
        self._train = [clock.timed_session(session) for session in split.train]
        self._test = [clock.timed_session(session) for session in split.test]

    def __call__(self, models: ModelSet, k: int) -> TrialMetrics:
        """Learn and predict with untrained models."""
        ranker = None if self._ranker is None else self._ranker(models, k)
        evaluation = SessionsEvaluation(
            models, ranker, cutoffs=(k,), min_prefix=self._min_prefix, measure_models=ranker is None
        )
        evaluation.learn(self._train)
        results = evaluation.evaluate(self._test, Mode.FROZEN)
        metrics = results.systems[models.models[0].name if ranker is None else FUSED]
        return TrialMetrics(
            results.predictions,
            metrics.hr_interval,
            metrics.mrr_interval,
            metrics.ms.mean,
            metrics.mean_list_length > 0,
        )


class EventsTrial:
    """Fold a log; measure the list of the first model before each click and purchase of its tail.

    Parameters
    ----------
    rows
        The log, in the order of time.
    tail
        Number of rows at the end to predict.

    Raises
    ------
    UserError
        If the tail leaves nothing to learn from.
    """

    def __init__(self, rows: Sequence[Row], tail: int, *, session_gap: float) -> None:
        if tail >= len(rows):
            raise UserError(
                f"--validation-tail {tail} leaves nothing to learn from: the log has {len(rows)} rows."
            )
        self._rows = rows
        self._tail = tail
        self._session_gap = session_gap

    def __call__(self, models: ModelSet, k: int) -> TrialMetrics:
        """Learn and predict with untrained models."""
        evaluation = _FirstModelEvaluation(models, k, session_gap=self._session_gap)
        first_predicted = len(self._rows) - self._tail
        for number, row in enumerate(self._rows):
            evaluation.predicting = number >= first_predicted
            evaluation.consume(row)
        return evaluation.results()


class _FirstModelEvaluation(LogEvaluation[TrialMetrics]):
    """Measures the lists of the first model alone, while `predicting` is set."""

    def __init__(self, models: ModelSet, k: int, *, session_gap: float) -> None:
        super().__init__(models, session_gap=session_gap)
        self.predicting = False
        self._model = models.models[0]
        self._k = k
        self._ranks: list[int] = []
        self._latencies_ns: list[int] = []
        self._any_item_listed = False

    def on_accepted(self, event: UserEvent, row_before: UserRow, row_after: UserRow) -> None:
        del row_after
        chosen = chosen_items(event)
        if not self.predicting or not chosen:
            return
        models = self._models
        context = model_context(models, choice_request(event, row_before, models))
        started = perf_counter_ns()
        items = self._model.candidates(context, self._k).items.tolist()
        self._latencies_ns.append(perf_counter_ns() - started)
        self._any_item_listed = self._any_item_listed or bool(items)
        hit_ranks = (rank for rank, item in enumerate(items, start=1) if models.index.id_of(item) in chosen)
        self._ranks.append(next(hit_ranks, UNLISTED))
        self.add_measured_list(event.user_id)

    def results(self) -> TrialMetrics:
        if not self.n_lists:
            raise UserError("The validation tail has no click or purchase to predict; make it longer.")
        ranks = np.array(self._ranks, np.int32)
        values = np.stack((hit_rate(ranks, self._k), reciprocal_rank(ranks, self._k)), axis=1)
        hr, mrr = (interval.rounded() for interval in ClusterBootstrap(self.users).intervals(values))
        return TrialMetrics(
            predictions=self.n_lists,
            hr=hr,
            mrr=mrr,
            ms=latency_stats(np.array(self._latencies_ns)).mean,
            listed=self._any_item_listed,
        )
