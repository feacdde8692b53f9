"""Hyperparameter search of one model, the session store or the fusion, with Optuna on a validation tail.

Almost all time of a trial is learning, so no trial is pruned after its first predictions.
"""

import gc
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stream_app.errors import UserError
from stream_app.models.model_set import ModelSet
from stream_app.tools.evaluation.bootstrap import ConfidenceInterval
from stream_app.tools.evaluation.search_spaces import Categorical, Dimension, FloatRange, Space, in_space
from stream_app.tools.evaluation.trials import Trial, TrialMetrics
from stream_app.tools.progress import OpenProgress, no_progress

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Parameters = dict[str, Any]

METRICS: Final = ("hr", "mrr")

_NOTHING_LISTED: Final = (
    "The model listed no item on the whole validation tail, so there is nothing to tune: "
    "the data may lack the events it learns from, such as catalog entries for content."
)


class Metric(msgspec.Struct, frozen=True):
    """The metric to maximize: ``hr`` or ``mrr`` at a cut-off."""

    name: str
    k: int

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"


def parse_metric(text: str) -> Metric:
    """Parse a metric such as ``mrr@20``.

    Raises
    ------
    UserError
        If the text is not a metric.

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
    """One set of hyperparameters and its metrics on the validation tail.

    Attributes
    ----------
    parameters
        The searched hyperparameters.
    hr, mrr
        Metrics at the cut-off, with 95 % intervals.
    ms
        Mean wall time of a prediction in milliseconds.
    seconds
        Wall time of the trial in seconds.
    """

    parameters: Parameters
    hr: ConfidenceInterval
    mrr: ConfidenceInterval
    ms: float
    seconds: float


class TuningResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a search.

    Attributes
    ----------
    defaults
        Result of the default hyperparameters.
    best
        The best result, the defaults included.
    trials
        All results but the defaults, in order.
    predictions
        Predictions of one trial.
    interrupted
        Whether Ctrl-C ended the search.
    """

    defaults: TrialResult
    best: TrialResult
    trials: list[TrialResult]
    predictions: int
    interrupted: bool


@dataclass(frozen=True)
class Tuning:
    """A hyperparameter search.

    Attributes
    ----------
    models
        Makes untrained models with the given hyperparameters; the others have their defaults.
    trial
        Lets the models learn and predict.
    """

    models: Callable[[Parameters], ModelSet]
    space: Space
    default_parameters: Parameters
    trial: Trial
    _: KW_ONLY
    metric: Metric
    seed: int = 7
    open_progress: OpenProgress = no_progress

    def search(self, trials: int, timeout: float | None = None) -> TuningResult:
        """Try the defaults, then the proposals of a tree-structured Parzen estimator.

        Ctrl-C ends the search and keeps the results so far.

        Parameters
        ----------
        trials
            Number of trials besides the defaults.
        timeout
            Seconds after which no trial starts.

        Raises
        ------
        UserError
            If the model lists no item on the whole validation tail.

        References
        ----------
        Bergstra, Bardenet, Bengio, Kégl: Algorithms for hyperparameter optimization, NeurIPS 2011.
        """
        import optuna  # noqa: PLC0415  # an extra, and slow to import

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=self.seed))
        distributions = {name: _distribution(dimension) for name, dimension in self.space.items()}
        trial_results: list[TrialResult] = []
        interrupted = False
        started = perf_counter()
        with self.open_progress(f"tuning for {self.metric}", trials + 1) as update_progress:
            defaults, metrics = self._run_trial({name: self.default_parameters[name] for name in self.space})
            if not metrics.listed:
                raise UserError(_NOTHING_LISTED)
            if in_space(self.space, defaults.parameters):
                first = optuna.trial.create_trial(
                    params=defaults.parameters, distributions=distributions, value=self._score(defaults)
                )
                study.add_trial(first)
            update_progress(1)
            try:
                while len(trial_results) < trials and (timeout is None or perf_counter() - started < timeout):
                    trial = study.ask(distributions)
                    result, metrics = self._run_trial(trial.params)
                    trial_results.append(result)
                    study.tell(trial, self._score(result))
                    update_progress(1 + len(trial_results))
            except KeyboardInterrupt:
                interrupted = True
        return TuningResult(
            defaults=defaults,
            # max returns the first of equals: the defaults stay unless a trial is better
            best=max((defaults, *trial_results), key=self._score),
            trials=trial_results,
            predictions=metrics.predictions,
            interrupted=interrupted,
        )

    def _score(self, result: TrialResult) -> float:
        interval: ConfidenceInterval = getattr(result, self.metric.name)
        return interval.mean

    def _run_trial(self, parameters: Parameters) -> tuple[TrialResult, TrialMetrics]:
        started = perf_counter()
        gc.collect()  # models refer to one another in cycles: free those of the previous trial
        metrics = self.trial(self.models(parameters), self.metric.k)
        result = TrialResult(
            parameters=parameters,
            hr=metrics.hr,
            mrr=metrics.mrr,
            ms=metrics.ms,
            seconds=round(perf_counter() - started, 3),
        )
        return result, metrics


def _distribution(dimension: Dimension) -> "BaseDistribution":
    from optuna.distributions import (  # noqa: PLC0415  # an extra, and slow to import
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(dimension, Categorical):
        return CategoricalDistribution(dimension.choices)
    if isinstance(dimension, FloatRange):
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    return IntDistribution(dimension.low, dimension.high, log=dimension.log)
