"""Hyper-parameters of one model, searched with Optuna on a validation tail of train.

A trial is a fresh model that learns train and predicts the tail, frozen, as `SessionsEvaluation` does it. Almost all
of a trial is the learning, so none is cut short by its first predictions.
"""

import gc
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stream_app.errors import UserError
from stream_app.evaluation.progress import Watch, unwatched
from stream_app.evaluation.session_files import SessionClock, Split
from stream_app.evaluation.sessions import Mode, SessionsEvaluation
from stream_app.evaluation.spaces import Dimension, OneOf, Real, Space, inside
from stream_app.evaluation.statistics import Interval
from stream_app.models import registry
from stream_app.models.model_set import ModelSet

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


class Tuning:
    """A search over one model.

    Parameters
    ----------
    models
        Makes an empty set of the one model, with its defaults.
    space
        What is searched.
    split
        What is learned and what is predicted.
    metric
        What is maximised.
    sessions_a_day, min_prefix
        As in `SessionsEvaluation`.
    seed
        Of the search.
    watch
        Opens the progress bar.
    """

    def __init__(
        self,
        models: Callable[[], ModelSet],
        space: Space,
        split: Split,
        *,
        metric: Metric,
        sessions_a_day: float = 1000.0,
        min_prefix: int = 1,
        seed: int = 7,
        watch: Watch = unwatched,
    ) -> None:
        self._models = models
        self._space = space
        self._metric = metric
        self._min_prefix = min_prefix
        self._seed = seed
        self._watch = watch
        clock = SessionClock(sessions_a_day)
        self._train = [clock.visit(each) for each in split.train]
        self._test = [clock.visit(each) for each in split.test]
        self._predictions = 0

    def search(self, trials: int, timeout: float | None = None) -> Tuned:
        """Try the defaults, then what the sampler proposes (tree-structured Parzen estimators).

        Ctrl-C ends the search and keeps what was found.

        Parameters
        ----------
        trials
            How many, besides the defaults.
        timeout
            Seconds after which no trial begins.

        References
        ----------
        Bergstra, Bardenet, Bengio, Kégl: Algorithms for hyper-parameter optimization, NeurIPS 2011.
        """
        import optuna  # noqa: PLC0415  # an extra, and slow to import

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=self._seed))
        space = {name: _distribution(each) for name, each in self._space.items()}
        shipped = self._models().models[0].parameters()
        tried: list[Tried] = []
        interrupted = False
        began = perf_counter()
        with self._watch(f"tuning for {self._metric}", trials + 1) as tell:
            defaults = self._try({name: shipped[name] for name in self._space})
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
        models = self._models()
        [default] = models.models
        # made as the set makes it, over the same index
        models.models[:] = registry.create(
            [default.name], models.index, **(default.parameters() | parameters)
        )
        evaluation = SessionsEvaluation(models, cutoffs=(self._metric.k,), min_prefix=self._min_prefix)
        evaluation.learn(self._train)
        figures = evaluation.evaluate(self._test, Mode.FROZEN)
        self._predictions = figures.predictions
        found = figures.systems[default.name]
        return Tried(
            parameters=parameters,
            hr=found.hr_interval,
            mrr=found.mrr_interval,
            ms=found.ms.mean,
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
