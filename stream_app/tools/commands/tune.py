"""``headrace tune``: from the training file to the best hyperparameters."""

import json
import shlex
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import typer

from stream_app.errors import UserError
from stream_app.models.model_set import ModelSet
from stream_app.models.session_store_model import SessionStoreModel
from stream_app.ranking.assembly import FUSION, make_models, make_ranker
from stream_app.ranking.fusion.learned import TUNABLE_PARAMETERS, LearnedFusion
from stream_app.ranking.ranker import Ranker
from stream_app.settings import Settings, load_settings
from stream_app.tools.cli.tune import TuneOptions
from stream_app.tools.commands.evaluation_setup import learning_settings, offline_ranking_config, read_log
from stream_app.tools.console import open_progress, print_table
from stream_app.tools.evaluation.report import TuningReport, describe_run
from stream_app.tools.evaluation.search_spaces import (
    EVENT_LOG_MODELS,
    FUSED_LIST_TARGETS,
    SESSION_STORE,
    search_space,
)
from stream_app.tools.evaluation.session_files import read_sessions, validation_split
from stream_app.tools.evaluation.tables import tuning_table
from stream_app.tools.evaluation.trials import EventsTrial, SessionsTrial, Trial
from stream_app.tools.evaluation.tuning import Parameters, Tuning, TuningResult, parse_metric
from stream_app.tools.report_file import check_writable, write_report
from stream_app.worker.warm_up import warm_up


class _Data(NamedTuple):
    """A trial on the data of the search, and the number of learned and predicted sessions or rows."""

    trial: Trial
    n_train: int
    n_validation: int


class _Target(NamedTuple):
    """The model whose parameters are set, and a maker of untrained models with given parameters."""

    name: str
    build_models: Callable[[Parameters], ModelSet]


def run(options: TuneOptions) -> None:
    """Search, write the report and print the best parameters; exit status 130 if interrupted."""
    if find_spec("optuna") is None:
        raise UserError(
            "`headrace tune` needs optuna, which is not installed: pip install 'headrace[evaluate]'."
        )
    space = search_space(options.model)
    metric = parse_metric(options.metric)
    file = _training_file(options)
    # A model that is tried alone needs no learned fusion.
    fused = options.model in FUSED_LIST_TARGETS
    settings = load_settings() if fused else load_settings(models=[options.model], fusion="rrf")
    check_writable(options.report)
    target = _target(options.model, settings)
    data = (
        _read_sessions(options, file, settings, fused=fused)
        if options.log_file is None
        else _read_events(options, file, settings)
    )
    warm_up(settings)
    untrained = target.build_models({})
    tuning = Tuning(
        target.build_models,
        space,
        _default_parameters(target.name, untrained),
        data.trial,
        metric=metric,
        seed=options.seed,
        open_progress=open_progress(),
    )
    started = perf_counter()
    try:
        result = tuning.search(options.trials, options.timeout)
    except KeyboardInterrupt:
        raise UserError("Interrupted before the first trial ended; there is nothing to report.") from None
    report = TuningReport(
        run=describe_run([file], learning_settings(settings), untrained),
        model=options.model,
        metric=str(metric),
        seed=options.seed,
        train_sessions=data.n_train,
        validation_sessions=data.n_validation,
        sessions_per_day=options.sessions_per_day,
        seconds=round(perf_counter() - started, 3),
        result=result,
        setting=_environment_line(target.name, settings, result),
    )
    write_report(report, options.report)
    _print_report(report, options)
    if result.interrupted:
        raise typer.Exit(130)


def _environment_line(target_name: str, settings: Settings, result: TuningResult) -> str:
    overrides = settings.model_parameters
    best = {**overrides, target_name: {**overrides.get(target_name, {}), **result.best.parameters}}
    return f"HEADRACE_MODEL_PARAMETERS={shlex.quote(json.dumps(best))}"


def _print_report(report: TuningReport, options: TuneOptions) -> None:
    result = report.result
    print_table(tuning_table(result))
    unit = "sessions" if options.log_file is None else "rows"
    typer.echo(
        f"\n{'Interrupted after' if result.interrupted else 'Best of'} {len(result.trials)} trials for "
        f"{report.metric}, {result.predictions:,} predictions in {report.validation_sessions:,} {unit} after "
        f"{report.train_sessions:,}; all results in {options.report}."
    )
    if result.best is result.defaults:
        typer.echo("Nothing was better than the current parameters.")
    else:
        typer.echo(f"To run with the best:\n{report.setting}")
    typer.echo(report.run.command)


def _training_file(options: TuneOptions) -> Path:
    model, train, log_file = options.model, options.train, options.log_file
    if train is not None and log_file is None:
        if model in EVENT_LOG_MODELS:
            raise UserError(f"Sessions have nothing that {model} learns from: give a log with --events.")
        return train
    if log_file is not None and train is None:
        if model in FUSED_LIST_TARGETS:
            raise UserError(f"`{model}` is tuned on sessions: give them with --train.")
        return log_file
    raise UserError("Give either sessions with --train or a log with --events.")


def _default_parameters(target_name: str, untrained: ModelSet) -> dict[str, object]:
    if target_name != FUSION:
        return next(model for model in untrained.models if model.name == target_name).parameters()
    fusion = untrained.learner(LearnedFusion)
    if fusion is None:
        raise UserError(
            "The fusion does not learn, so there is nothing to tune; set HEADRACE_FUSION to learned, "
            "with a model on the session store in HEADRACE_MODELS."
        )
    return {name: fusion.ranker.parameters[name] for name in TUNABLE_PARAMETERS}


def _target(model: str, settings: Settings) -> _Target:
    """The model to set parameters of; for the session store, a model that uses it."""
    name = model
    if model == SESSION_STORE:
        store_models = [
            candidate.name
            for candidate in make_models(settings.ranking_config).models
            if isinstance(candidate, SessionStoreModel)
        ]
        if not store_models:
            raise UserError("None of HEADRACE_MODELS is on the session store, so there is nothing to tune.")
        # The store accepts parameters from any model on it, but from one only.
        name = next((name for name in store_models if name in settings.model_parameters), store_models[0])

    def build_models(parameters: Parameters) -> ModelSet:
        overrides = settings.model_parameters
        merged = {**overrides, name: {**overrides.get(name, {}), **parameters}}
        return make_models(offline_ranking_config(settings.model_copy(update={"model_parameters": merged})))

    return _Target(name, build_models)


def _read_sessions(options: TuneOptions, file: Path, settings: Settings, *, fused: bool) -> _Data:
    split = validation_split(read_sessions(file), options.validation_tail, options.train_limit)
    if not any(len(session) > 1 for session in split.test):
        raise UserError("No session of the validation tail has two clicks, so there is nothing to predict.")

    def ranker(models: ModelSet, length: int) -> Ranker:
        return make_ranker(models, offline_ranking_config(settings), length)

    trial = SessionsTrial(split, ranker=ranker if fused else None, sessions_per_day=options.sessions_per_day)
    return _Data(trial, len(split.train), len(split.test))


def _read_events(options: TuneOptions, file: Path, settings: Settings) -> _Data:
    rows = list(read_log(file, options.format_name, options.mapping, limit=options.limit))
    tail = options.validation_tail
    return _Data(EventsTrial(rows, tail, session_gap=settings.session_gap), len(rows) - tail, tail)
