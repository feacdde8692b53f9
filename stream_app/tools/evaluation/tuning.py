"""Hyper-parameters of one model, or of the session store, searched with Optuna on a validation tail.

A trial is fresh models that learn all but the tail and predict that: of sessions frozen, as `SessionsEvaluation`
does it; of an event log prequentially, as `stream_app.tools.evaluation.event_logs` does. Almost all of a trial is the
learning, so none is cut short by its first predictions.
"""

import gc
from collections.abc import Callable, Sequence
from time import perf_counter, perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
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
from stream_app.tools.evaluation.search_spaces import Categorical, Dimension, FloatRange, Space, in_space
from stream_app.tools.evaluation.session_files import SessionClock, TrainTestSplit
from stream_app.tools.evaluation.sessions import FUSED, Mode, SessionsEvaluation
from stream_app.tools.feeds.rows import Row
from stream_app.tools.progress import OpenProgress, no_progress
from topics.events import UserEvent

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Parameters = dict[str, Any]

METRICS: Final = ("hr", "mrr")


class Metric(msgspec.Struct, frozen=True):
    """What a search maximises: ``hr`` or ``mrr`` at a cut-off."""

    name: str
    k: int

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"


def parse_metric(text: str) -> Metric:
    """A metric out of ``mrr@20``.

    Raises
    ------
    UserError
        If it is none.

    Examples
    --------
    >>> parse_metric("mrr@20")
    Metric(name='mrr', k=20)
    >>> parse_metric("ndcg")
    Traceback (most recent call last):
    stream_app.errors.UserError: --metric is hr@K or mrr@K, such as mrr@20, not 'ndcg'.
    """
    name, _, k = text.partition("@")
    if name not in METRICS or not k.isdecimal() or int(k) < 1:
        raise UserError(f"--metric is hr@K or mrr@K, such as mrr@20, not {text!r}.")
    return Metric(name, int(k))


class TrialResult(msgspec.Struct, frozen=True, kw_only=True):
    """One set of hyper-parameters and its figures on the validation tail.

    Attributes
    ----------
    parameters
        Those that are searched.
    hr, mrr
        At the cut-off of the metric, with 95 % intervals.
    ms
        Mean wall time of a prediction.
    seconds
        Wall time of the trial.
    """

    parameters: Parameters
    hr: ConfidenceInterval
    mrr: ConfidenceInterval
    ms: float
    seconds: float


class TuningResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found.

    Attributes
    ----------
    defaults
        The shipped hyper-parameters.
    best
        The best, the defaults among them.
    trials
        Every other set tried, in order.
    predictions
        Of one trial.
    interrupted
        Whether the search was ended by ctrl-C.
    """

    defaults: TrialResult
    best: TrialResult
    trials: list[TrialResult]
    predictions: int
    interrupted: bool


class TrialMetrics(NamedTuple):
    """What one trial predicted.

    Attributes
    ----------
    predictions
        How many.
    hr, mrr
        At the cut-off, with 95 % intervals.
    ms
        Mean wall time of a prediction.
    listed
        Whether any list had an item.
    """

    predictions: int
    hr: ConfidenceInterval
    mrr: ConfidenceInterval
    ms: float
    listed: bool


Trial = Callable[[ModelSet, int], TrialMetrics]
"""Has empty models learn and predict, at a cut-off."""


class SessionsTrial:
    """Learns train sessions and predicts the tail, frozen.

    Parameters
    ----------
    split
        What is learned and what is predicted.
    ranker
        Makes the ranker that is measured, with lists of so many; without it the first of the models is.
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
        self._train = [clock.timed_session(each) for each in split.train]
        self._test = [clock.timed_session(each) for each in split.test]

    def __call__(self, models: ModelSet, k: int) -> TrialMetrics:
        """Learn and predict."""
        ranker = None if self._ranker is None else self._ranker(models, k)
        evaluation = SessionsEvaluation(
            models, ranker, cutoffs=(k,), min_prefix=self._min_prefix, measure_models=ranker is None
        )
        evaluation.learn(self._train)
        results = evaluation.evaluate(self._test, Mode.FROZEN)
        found = results.systems[models.models[0].name if ranker is None else FUSED]
        return TrialMetrics(
            results.predictions,
            found.hr_interval,
            found.mrr_interval,
            found.ms.mean,
            found.mean_list_length > 0,
        )


class EventsTrial:
    """Folds a log; before each click and purchase of its tail the first of the models is asked for a list.

    Parameters
    ----------
    rows
        In the order of time.
    tail
        How many of them, at the end, are predicted.
    session_gap
        Seconds of inactivity that close a session.

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
        """Learn and predict."""
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


class Tuning:
    """A search.

    Parameters
    ----------
    models
        Makes empty models with hyper-parameters of those that are searched; with none, the shipped ones.
    space
        What is searched.
    default_parameters
        The shipped hyper-parameters.
    trial
        Has the models learn and predict.
    metric
        What is maximised.
    seed
        Of the search.
    open_progress
        Opens the progress bar.
    """

    def __init__(
        self,
        models: Callable[[Parameters], ModelSet],
        space: Space,
        default_parameters: Parameters,
        trial: Trial,
        *,
        metric: Metric,
        seed: int = 7,
        open_progress: OpenProgress = no_progress,
    ) -> None:
        self._models = models
        self._space = space
        self._default_parameters = default_parameters
        self._trial = trial
        self._metric = metric
        self._seed = seed
        self._open_progress = open_progress
        self._predictions = 0
        self._any_recommended = False

    def search(self, trials: int, timeout: float | None = None) -> TuningResult:
        """Try the defaults, then what the sampler proposes (tree-structured Parzen estimators).

        Ctrl-C ends the search and keeps what was found.

        Parameters
        ----------
        trials
            How many, besides the defaults.
        timeout
            Seconds after which no trial begins.

        Raises
        ------
        UserError
            If the model has nothing to propose, however it is made.

        References
        ----------
        Bergstra, Bardenet, Bengio, Kégl: Algorithms for hyper-parameter optimization, NeurIPS 2011.
        """
        import optuna  # noqa: PLC0415  # an extra, and slow to import

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=self._seed))
        space = {name: _distribution(each) for name, each in self._space.items()}
        trial_results: list[TrialResult] = []
        interrupted = False
        started = perf_counter()
        with self._open_progress(f"tuning for {self._metric}", trials + 1) as tell:
            defaults = self._run_trial({name: self._default_parameters[name] for name in self._space})
            if not self._any_recommended:
                raise UserError(
                    "The model proposed nothing on the whole validation tail, so there is nothing to tune: "
                    "the data may lack what it learns from, such as catalog entries for content."
                )
            if in_space(self._space, defaults.parameters):
                study.add_trial(
                    optuna.trial.create_trial(
                        params=defaults.parameters, distributions=space, value=self._score(defaults)
                    )
                )
            tell(1)

            try:
                while len(trial_results) < trials and (timeout is None or perf_counter() - started < timeout):
                    trial = study.ask(space)
                    trial_results.append(self._run_trial(trial.params))
                    study.tell(trial, self._score(trial_results[-1]))
                    tell(1 + len(trial_results))
            except KeyboardInterrupt:
                interrupted = True
        return TuningResult(
            defaults=defaults,
            # on a tie the first: the defaults stay unless something is better
            best=max((defaults, *trial_results), key=self._score),
            trials=trial_results,
            predictions=self._predictions,
            interrupted=interrupted,
        )

    def _score(self, trial_results: TrialResult) -> float:
        interval: ConfidenceInterval = getattr(trial_results, self._metric.name)
        return interval.mean

    def _run_trial(self, parameters: Parameters) -> TrialResult:
        started = perf_counter()
        gc.collect()  # a set of models is a web of references; the one before is still there
        metrics = self._trial(self._models(parameters), self._metric.k)
        self._predictions, self._any_recommended = metrics.predictions, metrics.listed
        return TrialResult(
            parameters=parameters,
            hr=metrics.hr,
            mrr=metrics.mrr,
            ms=metrics.ms,
            seconds=round(perf_counter() - started, 3),
        )


def _distribution(dimension: Dimension) -> "BaseDistribution":
    from optuna.distributions import (  # noqa: PLC0415
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(dimension, Categorical):
        return CategoricalDistribution(dimension.choices)
    if isinstance(dimension, FloatRange):
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    return IntDistribution(dimension.low, dimension.high, log=dimension.log)
