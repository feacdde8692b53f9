"""What a run was and what it came to, as it is written with ``--report``."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from stream_app.models.model_set import ModelSet
from stream_app.ranking.fusion.choice_fusion import ChoiceFusion
from stream_app.tools.evaluation.event_logs import EventLogResults
from stream_app.tools.evaluation.rerank import RerankResults
from stream_app.tools.evaluation.sessions import ModeResults
from stream_app.tools.evaluation.tuning import TuningResult

_LIBRARIES: Final = ("headrace", "numpy", "numba", "river")


class DataFile(msgspec.Struct, frozen=True):
    """A file that was read."""

    path: str
    bytes: int


class RunDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to do the run again.

    Attributes
    ----------
    command
        The command line.
    files
        What was read.
    versions
        Of Python and the libraries that figures depend on.
    settings
        Those that figures depend on, each by its name.
    fusion
        How lists were really fused: the learned fusion needs a model on the session store, and where none runs
        they are fused by ``rrf``, whatever the setting says.
    models
        The hyper-parameters of each model.
    """

    command: str
    files: list[DataFile]
    versions: dict[str, str]
    settings: dict[str, Any]
    fusion: str
    models: dict[str, dict[str, Any]]


def describe_run(files: Sequence[Path], settings: Mapping[str, Any], models: ModelSet) -> RunDescription:
    """Describe this run of the command line."""
    return RunDescription(
        command=shlex.join(("headrace", *sys.argv[1:])),
        files=[DataFile(str(path), path.stat().st_size) for path in files],
        versions={"python": sys.version.split()[0]} | {name: version(name) for name in _LIBRARIES},
        settings=dict(settings),
        fusion=effective_fusion(models, str(settings["fusion"])),
        models={model.name: model.parameters() for model in models.models},
    )


def effective_fusion(models: ModelSet, setting: str) -> str:
    """How lists of these models are fused where the setting says `setting`.

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
    """The figures of ``headrace evaluate sessions``.

    Attributes
    ----------
    run
        How it was done.
    train_sessions, train_clicks, catalog_size
        What was learned, and how many items were known then.
    test_sessions, predictions
        What was predicted, in each mode.
    min_prefix, cutoffs, sessions_per_day
        The options that figures depend on.
    learn_seconds
        Wall time of learning train.
    frozen, prequential
        The figures of each mode.
    """

    run: RunDescription
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
    """The figures of ``headrace evaluate events``.

    Attributes
    ----------
    run
        How it was done.
    k
        Places of the list that count.
    seconds
        Wall time of ranking and folding the whole log.
    results
        The figures.
    """

    run: RunDescription
    k: int
    seconds: float
    results: EventLogResults


class RerankReport(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of ``headrace evaluate rerank``.

    Attributes
    ----------
    run
        How it was done.
    seconds
        Wall time of ordering and folding the whole log.
    results
        The figures.
    """

    run: RunDescription
    seconds: float
    results: RerankResults


class TuningReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``headrace tune`` found.

    Attributes
    ----------
    run
        How it was done.
    model, metric, seed
        What was searched, for what, and with which seed.
    train_sessions, validation_sessions, sessions_per_day
        What each trial learned and predicted, sessions or rows of a log; `sessions_per_day` is of sessions alone.
    seconds
        Wall time of the search.
    result
        The hyper-parameters and their figures.
    setting
        What to put into the environment to run with the best.
    """

    run: RunDescription
    model: str
    metric: str
    seed: int
    train_sessions: int
    validation_sessions: int
    sessions_per_day: float
    seconds: float
    result: TuningResult
    setting: str
