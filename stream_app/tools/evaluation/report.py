"""Reports of evaluations and searches, as written with ``--report``."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from stream_app.models.model_set import ModelSet
from stream_app.ranking.fusion.choice_fusion import ChoiceFusion
from stream_app.tools.evaluation.cold_items.evaluation import ColdItemsResults
from stream_app.tools.evaluation.event_logs import EventLogResults
from stream_app.tools.evaluation.rerank import RerankResults
from stream_app.tools.evaluation.sessions import ModeResults
from stream_app.tools.evaluation.sources import SourcesResults
from stream_app.tools.evaluation.tuning import TuningResult

_LIBRARIES: Final = ("headrace", "numpy", "numba", "river")


class DataFile(msgspec.Struct, frozen=True):
    """An input file."""

    path: str
    bytes: int


class RunDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The command line of a run, its input files, and the versions of Python and the libraries."""

    command: str
    files: list[DataFile]
    versions: dict[str, str]


class LearningRun(RunDescription, frozen=True, kw_only=True):
    """Everything needed to repeat a run that learns.

    Attributes
    ----------
    settings
        The settings that results depend on, by name.
    fusion
        The fusion in effect: ``learned`` needs a model on the session store; without one, lists are fused by
        ``rrf``.
    models
        The hyperparameters of each model.
    """

    settings: dict[str, Any]
    fusion: str
    models: dict[str, dict[str, Any]]


def describe_command(files: Sequence[Path], libraries: Sequence[str]) -> dict[str, Any]:
    """The fields of `RunDescription` for this run of the command line."""
    return {
        "command": shlex.join(("headrace", *sys.argv[1:])),
        "files": [DataFile(str(path), path.stat().st_size) for path in files],
        "versions": {"python": sys.version.split()[0]} | {name: version(name) for name in libraries},
    }


def describe_run(files: Sequence[Path], settings: Mapping[str, Any], models: ModelSet) -> LearningRun:
    """Describe this run of the command line."""
    return LearningRun(
        **describe_command(files, _LIBRARIES),
        settings=dict(settings),
        fusion=effective_fusion(models, str(settings["fusion"])),
        models={model.name: model.parameters() for model in models.models},
    )


def effective_fusion(models: ModelSet, setting: str) -> str:
    """The fusion in effect for these models under the setting HEADRACE_FUSION.

    Examples
    --------
    >>> effective_fusion(ModelSet(["popularity"]), "learned")
    'rrf'
    """
    learned = models.learner(ChoiceFusion)
    if learned is not None:
        return learned.policy
    return "borda" if setting == "borda" else "rrf"


class SessionsReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results of ``headrace evaluate sessions``.

    Attributes
    ----------
    train_sessions, train_clicks, catalog_size
        Sessions and clicks learned, and number of items known then.
    test_sessions, predictions
        Sessions and predictions in each mode.
    min_prefix, cutoffs, sessions_per_day
        The options that results depend on.
    learn_seconds
        Wall time of learning the train sessions.
    """

    run: LearningRun
    train_sessions: int
    train_clicks: int
    catalog_size: int
    test_sessions: int
    predictions: int
    min_prefix: int
    cutoffs: list[int]
    sessions_per_day: float
    learn_seconds: float
    frozen: ModeResults
    prequential: ModeResults


class EventsReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results of ``headrace evaluate events``.

    Attributes
    ----------
    k
        List length of the metrics.
    seconds
        Wall time of ranking and folding the whole log.
    """

    run: LearningRun
    k: int
    seconds: float
    results: EventLogResults


class RerankReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results of ``headrace evaluate rerank``.

    Attributes
    ----------
    seconds
        Wall time of ranking and folding the whole log.
    """

    run: LearningRun
    seconds: float
    results: RerankResults


class SourcesReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results of ``headrace evaluate sources``.

    Attributes
    ----------
    k
        List length of the metrics.
    seconds
        Wall time.
    """

    run: LearningRun
    k: int
    seconds: float
    results: SourcesResults


class ColdReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results of ``headrace evaluate cold``.

    Attributes
    ----------
    k
        List length of the metrics.
    seeds
        Of the shops of each kind; none for a log.
    seconds
        Wall time.
    shops
        Results by kind of shop, or by the name of the log.
    """

    run: LearningRun
    k: int
    seeds: list[int]
    seconds: float
    shops: dict[str, ColdItemsResults]


class TuningReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of ``headrace tune``.

    Attributes
    ----------
    model, metric, seed
        The tuned model, the maximized metric and the seed of the search.
    train_sessions, validation_sessions, sessions_per_day
        Sessions, or rows of a log, that each trial learned and predicted; `sessions_per_day` applies to sessions.
    seconds
        Wall time of the search.
    setting
        The line for the environment that sets the best hyperparameters.
    """

    run: LearningRun
    model: str
    metric: str
    seed: int
    train_sessions: int
    validation_sessions: int
    sessions_per_day: float
    seconds: float
    result: TuningResult
    setting: str
