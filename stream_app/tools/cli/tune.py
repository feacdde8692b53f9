"""``headrace tune``: search a model's hyper-parameters."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.errors import UserError
from stream_app.tools.cli.evaluate import (
    ReportFile,
    SessionsPerDay,
    learning_settings,
    log_request,
    open_progress,
    print_table,
    read_log,
)
from stream_app.tools.cli.replay import FormatName, Limit, MappingFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from stream_app.models.model_set import ModelSet
    from stream_app.ranking.ranker import Ranker
    from stream_app.settings import Settings
    from stream_app.tools.evaluation.trials import Trial
    from stream_app.tools.evaluation.tuning import Parameters

HELP = (
    "Search a model's hyper-parameters with Optuna, on the newest sessions of train, or the newest rows of a log.\n\n"
    "Each trial learns all but the last --validation-tail sessions (rows) and predicts these. The best is printed "
    "beside what is shipped, with the line to put into the environment. Never give it the sessions that the model is "
    "judged by later. Ctrl-C ends the search, keeps the best so far and writes the report.\n\n"
    "\b\nExamples:\n"
    "  headrace tune --model session_knn --train train.jsonl.gz --report knn.json\n"
    "  headrace tune --model bpr --train train.jsonl.gz --train-limit 40000 \\\n"
    "      --trials 100 --metric hr@20 --report bpr.json\n"
    "  headrace tune --model search --events events.csv.gz --format trivago \\\n"
    "      --validation-tail 20000 --report search.json\n"
    "  headrace tune --model session_store --train train.jsonl.gz --report store.json\n\n"
    "`session_store` is what several models and the learned fusion share, `fusion` the ranker that learns from "
    "choices: both are tuned for the fused lists. stream_app/tools/evaluation/search_spaces.py lists the ranges "
    "that are searched; docs/evaluating.md explains the search. Needs the extra `evaluate`."
)


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("tune", help=HELP)(tune)


def tune(
    model: Annotated[
        str, typer.Option(help="The model, as HEADRACE_MODELS names it; `session_store`; `fusion`.")
    ],
    report: ReportFile,
    train: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sessions, one JSON list of item ids a line, oldest first."),
    ] = None,
    log_file: Annotated[
        Path | None,
        typer.Option(
            "--events", metavar="FILE", help="A log instead, taken in the order of time; plain or gzip."
        ),
    ] = None,
    format_name: FormatName = "jsonl",
    mapping: MappingFile = None,
    limit: Limit = None,
    validation_tail: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Predict the last N sessions or rows; the rest is learned."),
    ] = 4_000,
    train_limit: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Learn only the newest N sessions before them, which is faster."
        ),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, metavar="N", help="Trials besides the shipped values.")] = 50,
    metric: Annotated[
        str, typer.Option(metavar="NAME@K", help="What is maximised: hr@K or mrr@K.")
    ] = "mrr@20",
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Begin no trial after so many seconds.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the search.")] = 7,
    sessions_per_day: SessionsPerDay = 1000.0,
) -> None:
    """Search a model's hyper-parameters."""
    from importlib.util import find_spec  # noqa: PLC0415
    from time import perf_counter  # noqa: PLC0415

    if find_spec("optuna") is None:
        raise UserError(
            "`headrace tune` needs optuna, which is not installed: pip install 'headrace[evaluate]'."
        )

    from stream_app.settings import load_settings  # noqa: PLC0415
    from stream_app.tools.evaluation.report import TuningReport, check_writable, describe_run, write  # noqa: PLC0415
    from stream_app.tools.evaluation.search_spaces import FUSED_LIST_TARGETS, search_space  # noqa: PLC0415
    from stream_app.tools.evaluation.tables import tuning_table  # noqa: PLC0415
    from stream_app.tools.evaluation.tuning import Tuning, parse_metric  # noqa: PLC0415
    from stream_app.worker.warm_up import warm_up  # noqa: PLC0415

    space = search_space(model)
    parsed_metric = parse_metric(metric)
    file = _training_file(model, train, log_file)
    # no fusion learns along where one model is tried, alone
    settings = load_settings() if model in FUSED_LIST_TARGETS else load_settings(models=[model], fusion="rrf")
    check_writable(report, "--report")
    target_model, build_models = _model_builder(model, settings)
    if log_file is None:
        trial, n_train, n_validation = _sessions_trial(
            settings, file, validation_tail, train_limit, sessions_per_day, fused=model in FUSED_LIST_TARGETS
        )
        unit = "sessions"
    else:
        trial, n_train, n_validation = _events_trial(
            settings, file, format_name, mapping, limit, validation_tail
        )
        unit = "rows"
    warm_up(settings)
    untrained = build_models({})
    default_parameters = _default_parameters(target_model, untrained)
    tuning = Tuning(
        build_models,
        space,
        default_parameters,
        trial,
        metric=parsed_metric,
        seed=seed,
        open_progress=open_progress(),
    )
    started = perf_counter()
    try:
        result = tuning.search(trials, timeout)
    except KeyboardInterrupt:
        raise UserError("Interrupted before the first trial was done; there is nothing to report.") from None
    overrides = settings.model_parameters
    best = {**overrides, target_model: {**overrides.get(target_model, {}), **result.best.parameters}}
    tuning_report = TuningReport(
        run=describe_run([file], learning_settings(settings), untrained),
        model=model,
        metric=str(parsed_metric),
        seed=seed,
        train_sessions=n_train,
        validation_sessions=n_validation,
        sessions_per_day=sessions_per_day,
        seconds=round(perf_counter() - started, 3),
        result=result,
        setting=f"HEADRACE_MODEL_PARAMETERS={shlex.quote(json.dumps(best))}",
    )
    write(tuning_report, report)
    print_table(tuning_table(result))
    typer.echo(
        f"\n{'Interrupted after' if result.interrupted else 'Best of'} {len(result.trials)} trials for "
        f"{parsed_metric}, "
        f"{result.predictions:,} predictions in {n_validation:,} {unit} after {n_train:,}; all in {report}."
    )
    if result.best is result.defaults:
        typer.echo("Nothing was better than what runs now.")
    else:
        typer.echo(f"To run with the best:\n{tuning_report.setting}")
    typer.echo(tuning_report.run.command)
    if result.interrupted:
        raise typer.Exit(130)


def _training_file(model: str, train: Path | None, log_file: Path | None) -> Path:
    """The file to learn from.

    Raises
    ------
    UserError
        If there are two or none, or it has not what the model learns from.
    """
    from stream_app.tools.evaluation.search_spaces import EVENT_LOG_MODELS, FUSED_LIST_TARGETS  # noqa: PLC0415

    if train is not None and log_file is None:
        if model in EVENT_LOG_MODELS:
            raise UserError(f"Sessions have nothing that {model} learns from: give a log with --events.")
        return train
    if log_file is not None and train is None:
        if model in FUSED_LIST_TARGETS:
            raise UserError(f"`{model}` is tuned on sessions: give them with --train.")
        return log_file
    raise UserError("Give either sessions with --train or a log with --events.")


def _default_parameters(target_model: str, untrained: "ModelSet") -> dict[str, object]:
    """The parameters that run without a search."""
    from stream_app.ranking.assembly import FUSION  # noqa: PLC0415
    from stream_app.ranking.fusion.learned import LearnedFusion  # noqa: PLC0415

    if target_model != FUSION:
        return next(each for each in untrained.models if each.name == target_model).parameters()
    fusion = untrained.learner(LearnedFusion)
    if fusion is None:
        raise UserError("The fusion does not learn: HEADRACE_FUSION and HEADRACE_MODELS say so.")
    return {name: fusion.ranker.parameters[name] for name in LearnedFusion.hyper_parameters()}


def _model_builder(model: str, settings: "Settings") -> "tuple[str, Callable[[Parameters], ModelSet]]":
    """The model whose parameters are searched, and what makes models with some of them.

    Raises
    ------
    UserError
        If the store is to be searched and none of the models is on it.
    """
    from stream_app.models.session_store_model import SessionStoreModel  # noqa: PLC0415
    from stream_app.ranking.assembly import make_models  # noqa: PLC0415
    from stream_app.tools.evaluation.search_spaces import SESSION_STORE  # noqa: PLC0415

    target_model = model
    if model == SESSION_STORE:
        store_models = [
            each.name for each in make_models(settings).models if isinstance(each, SessionStoreModel)
        ]
        if not store_models:
            raise UserError("None of HEADRACE_MODELS is on the session store, so there is nothing to tune.")
        # the store takes what any model on it is given; where one is given something it is that one
        target_model = next(
            (name for name in store_models if name in settings.model_parameters), store_models[0]
        )

    def build_models(parameters: "Parameters") -> "ModelSet":
        overrides = settings.model_parameters
        merged = {**overrides, target_model: {**overrides.get(target_model, {}), **parameters}}
        return make_models(settings.model_copy(update={"model_parameters": merged}))

    return target_model, build_models


def _sessions_trial(
    settings: "Settings",
    train: Path,
    validation_tail: int,
    train_limit: int | None,
    sessions_per_day: float,
    *,
    fused: bool,
) -> "tuple[Trial, int, int]":
    """What a trial does with sessions, and how many it learns and predicts."""
    from stream_app.ranking.assembly import make_ranker  # noqa: PLC0415
    from stream_app.tools.evaluation.session_files import read_sessions, validation_split  # noqa: PLC0415
    from stream_app.tools.evaluation.trials import SessionsTrial  # noqa: PLC0415

    split = validation_split(read_sessions(train), validation_tail, train_limit)
    if not any(len(session) > 1 for session in split.test):
        raise UserError("No session of the validation tail has two clicks, so there is nothing to predict.")

    def ranker(models: "ModelSet", length: int) -> "Ranker":
        return make_ranker(models, settings, length)

    trial = SessionsTrial(split, ranker=ranker if fused else None, sessions_per_day=sessions_per_day)
    return trial, len(split.train), len(split.test)


def _events_trial(
    settings: "Settings",
    path: Path,
    format_name: str,
    mapping: Path | None,
    limit: int | None,
    validation_tail: int,
) -> "tuple[Trial, int, int]":
    """What a trial does with a log, and how many rows it learns and predicts."""
    from stream_app.tools.evaluation.trials import EventsTrial  # noqa: PLC0415

    rows = list(read_log(log_request(path, format_name, mapping, "time", limit)))
    trial = EventsTrial(rows, validation_tail, session_gap=settings.session_gap)
    return trial, len(rows) - validation_tail, validation_tail
