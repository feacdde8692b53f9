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

from state.fold import segments_of
from state.row import EMPTY_ROW, UserRow
from stream_app.errors import UserError
from stream_app.models.model_set import ModelSet
from stream_app.ranking.ranker import Ranker
from stream_app.ranking.row_request import request_of
from stream_app.tools.evaluation.event_logs import context_of
from stream_app.tools.evaluation.log_fold import LogFold
from stream_app.tools.evaluation.progress import Watch, unwatched
from stream_app.tools.evaluation.search_spaces import Dimension, OneOf, Real, Space, inside
from stream_app.tools.evaluation.session_files import SessionClock, Split
from stream_app.tools.evaluation.sessions import FUSED, Mode, SessionsEvaluation
from stream_app.tools.evaluation.statistics import (
    Bootstrap,
    Interval,
    hit_rate,
    milliseconds,
    reciprocal_rank,
)
from stream_app.tools.feeds.rows import Row
from topics.events import Click, Purchase, UserEvent

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


class Tried(msgspec.Struct, frozen=True, kw_only=True):
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
    hr: Interval
    mrr: Interval
    ms: float
    seconds: float


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
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

    defaults: Tried
    best: Tried
    trials: list[Tried]
    predictions: int
    interrupted: bool


class Outcome(NamedTuple):
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
    hr: Interval
    mrr: Interval
    ms: float
    listed: bool


Trial = Callable[[ModelSet, int], Outcome]
"""Has empty models learn and predict, at a cut-off."""


class SessionsTrial:
    """Learns train sessions and predicts the tail, frozen.

    Parameters
    ----------
    split
        What is learned and what is predicted.
    ranker
        Makes the ranker that is measured, with lists of so many; without it the first of the models is.
    sessions_a_day, min_prefix
        As in `SessionsEvaluation`.
    """

    def __init__(
        self,
        split: Split,
        *,
        ranker: Callable[[ModelSet, int], Ranker] | None = None,
        sessions_a_day: float = 1000.0,
        min_prefix: int = 1,
    ) -> None:
        clock = SessionClock(sessions_a_day)
        self._ranker = ranker
        self._min_prefix = min_prefix
        self._train = [clock.visit(each) for each in split.train]
        self._test = [clock.visit(each) for each in split.test]

    def __call__(self, models: ModelSet, k: int) -> Outcome:
        """Learn and predict."""
        ranker = None if self._ranker is None else self._ranker(models, k)
        evaluation = SessionsEvaluation(
            models, ranker, cutoffs=(k,), min_prefix=self._min_prefix, alone=ranker is None
        )
        evaluation.learn(self._train)
        figures = evaluation.evaluate(self._test, Mode.FROZEN)
        found = figures.systems[models.models[0].name if ranker is None else FUSED]
        return Outcome(
            figures.predictions, found.hr_interval, found.mrr_interval, found.ms.mean, found.listed > 0
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

    def __call__(self, models: ModelSet, k: int) -> Outcome:
        """Learn and predict."""
        model = models.models[0]
        shoppers: dict[str, int] = {}
        of: list[int] = []
        ranks: list[int] = []
        took: list[int] = []
        listed = predicting = False

        def ask(event: UserEvent, before: UserRow, _: UserRow) -> None:
            nonlocal listed
            if not predicting or not isinstance(event, Click | Purchase):
                return
            chosen = {event.item_id} if isinstance(event, Click) else {line.item_id for line in event.items}
            request = request_of(event.user_id, before)
            if before is EMPTY_ROW:
                request = request._replace(segments=segments_of(event), now=models.newest)
            context = context_of(models, request)
            began = perf_counter_ns()
            items = model.candidates(context, k).items.tolist()
            took.append(perf_counter_ns() - began)
            listed = listed or bool(items)
            places = [at for at, item in enumerate(items, start=1) if models.index.id_of(item) in chosen]
            ranks.append(places[0] if places else 0)
            of.append(shoppers.setdefault(event.user_id, len(shoppers)))

        log = LogFold(models, self._session_gap, ask)
        first = len(self._rows) - self._tail
        for number, row in enumerate(self._rows):
            predicting = number >= first
            log.take(row)
        if not of:
            raise UserError("The validation tail has no click or purchase to predict; make it longer.")
        found = np.array(ranks, np.int32)
        values = np.stack((hit_rate(found, k), reciprocal_rank(found, k)), axis=1)
        hr, mrr = (each.rounded() for each in Bootstrap(np.array(of, np.int64)).intervals(values))
        return Outcome(len(of), hr, mrr, milliseconds(np.array(took)).mean, listed)


class Tuning:
    """A search.

    Parameters
    ----------
    models
        Makes empty models with hyper-parameters of those that are searched; with none, the shipped ones.
    space
        What is searched.
    shipped
        The shipped hyper-parameters.
    trial
        Has the models learn and predict.
    metric
        What is maximised.
    seed
        Of the search.
    watch
        Opens the progress bar.
    """

    def __init__(
        self,
        models: Callable[[Parameters], ModelSet],
        space: Space,
        shipped: Parameters,
        trial: Trial,
        *,
        metric: Metric,
        seed: int = 7,
        watch: Watch = unwatched,
    ) -> None:
        self._models = models
        self._space = space
        self._shipped = shipped
        self._trial = trial
        self._metric = metric
        self._seed = seed
        self._watch = watch
        self._predictions = 0
        self._listed = False

    def search(self, trials: int, timeout: float | None = None) -> Tuned:
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
        tried: list[Tried] = []
        interrupted = False
        began = perf_counter()
        with self._watch(f"tuning for {self._metric}", trials + 1) as tell:
            defaults = self._try({name: self._shipped[name] for name in self._space})
            if not self._listed:
                raise UserError(
                    "The model proposed nothing on the whole validation tail, so there is nothing to tune: "
                    "the data may lack what it learns from, such as catalogue entries for content."
                )
            if inside(self._space, defaults.parameters):
                study.add_trial(
                    optuna.trial.create_trial(
                        params=defaults.parameters, distributions=space, value=self._value(defaults)
                    )
                )
            tell(1)

            try:
                while len(tried) < trials and (timeout is None or perf_counter() - began < timeout):
                    trial = study.ask(space)
                    tried.append(self._try(trial.params))
                    study.tell(trial, self._value(tried[-1]))
                    tell(1 + len(tried))
            except KeyboardInterrupt:
                interrupted = True
        return Tuned(
            defaults=defaults,
            # on a tie the first: the defaults stay unless something is better
            best=max((defaults, *tried), key=self._value),
            trials=tried,
            predictions=self._predictions,
            interrupted=interrupted,
        )

    def _value(self, tried: Tried) -> float:
        interval: Interval = getattr(tried, self._metric.name)
        return interval.mean

    def _try(self, parameters: Parameters) -> Tried:
        began = perf_counter()
        gc.collect()  # a set of models is a web of references; the one before is still there
        outcome = self._trial(self._models(parameters), self._metric.k)
        self._predictions, self._listed = outcome.predictions, outcome.listed
        return Tried(
            parameters=parameters,
            hr=outcome.hr,
            mrr=outcome.mrr,
            ms=outcome.ms,
            seconds=round(perf_counter() - began, 3),
        )


def _distribution(dimension: Dimension) -> "BaseDistribution":
    from optuna.distributions import (  # noqa: PLC0415
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(dimension, OneOf):
        return CategoricalDistribution(dimension.choices)
    if isinstance(dimension, Real):
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    return IntDistribution(dimension.low, dimension.high, log=dimension.log)
