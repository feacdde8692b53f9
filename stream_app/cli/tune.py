"""``headrace tune``: search a model's hyper-parameters."""

from pathlib import Path
from typing import Annotated

import typer

from stream_app.cli.evaluate import (
    ReportFile,
    SessionsADay,
    learning_settings,
    show,
    watch,
)
from stream_app.errors import UserError

HELP = (
    "Search a model's hyper-parameters with Optuna, on the newest sessions of train.\n\n"
    "Each trial learns train without its last --validation-tail sessions and predicts these. The best is printed "
    "beside what is shipped. Never give it the sessions that the model is judged by later. Ctrl-C ends the "
    "search, keeps the best so far and writes the report.\n\n"
    "\b\nExamples:\n"
    "  headrace tune --model session_knn --train train.jsonl.gz --report knn.json\n"
    "  headrace tune --model bpr --train train.jsonl.gz --train-limit 40000 \\\n"
    "      --trials 100 --metric hr@20 --report bpr.json\n\n"
    "What is searched in which range stands in stream_app/evaluation/spaces.py; docs/evaluating.md tells more. "
    "Needs the extra `evaluate`."
)


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("tune", help=HELP)(tune)


def tune(
    model: Annotated[str, typer.Option(help="The model, as HEADRACE_MODELS names it.")],
    train: Annotated[
        Path, typer.Option(metavar="FILE", help="Sessions, one JSON list of item ids a line, oldest first.")
    ],
    report: ReportFile,
    validation_tail: Annotated[
        int, typer.Option(min=1, metavar="N", help="Predict the last N sessions; the rest is learned.")
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
    sessions_a_day: SessionsADay = 1000.0,
) -> None:
    """Search a model's hyper-parameters."""
    from importlib.util import find_spec  # noqa: PLC0415
    from time import perf_counter  # noqa: PLC0415

    if find_spec("optuna") is None:
        raise UserError(
            "`headrace tune` needs optuna, which is not installed: pip install 'headrace[evaluate]'."
        )
    from functools import partial  # noqa: PLC0415

    from stream_app.evaluation.report import TuningReport, check_writable, describe_run, write  # noqa: PLC0415
    from stream_app.evaluation.session_files import read_sessions, validation_split  # noqa: PLC0415
    from stream_app.evaluation.spaces import space_of  # noqa: PLC0415
    from stream_app.evaluation.tables import tuning_table  # noqa: PLC0415
    from stream_app.evaluation.tuning import Tuning, parse_metric  # noqa: PLC0415
    from stream_app.models.model_set import warm_up  # noqa: PLC0415
    from stream_app.ranker.assembly import make_models  # noqa: PLC0415
    from stream_app.settings import load_settings  # noqa: PLC0415

    space = space_of(model)
    wanted = parse_metric(metric)
    # no fusion learns along: one model is tried, alone
    settings = load_settings(models=[model], fusion="rrf")
    check_writable(report, "--report")
    split = validation_split(read_sessions(train), validation_tail, train_limit)
    if not any(len(session) > 1 for session in split.test):
        raise UserError("No session of the validation tail has two clicks, so there is nothing to predict.")
    warm_up([model])
    make = partial(make_models, settings)
    tuning = Tuning(
        make, space, split, metric=wanted, sessions_a_day=sessions_a_day, seed=seed, watch=watch()
    )
    began = perf_counter()
    try:
        found = tuning.search(trials, timeout)
    except KeyboardInterrupt:
        raise UserError("Interrupted before the first trial was done; there is nothing to report.") from None
    outcome = TuningReport(
        run=describe_run([train], learning_settings(settings), make()),
        model=model,
        metric=str(wanted),
        seed=seed,
        train_sessions=len(split.train),
        validation_sessions=len(split.test),
        sessions_a_day=sessions_a_day,
        seconds=round(perf_counter() - began, 3),
        found=found,
    )
    write(outcome, report)
    show(tuning_table(found))
    typer.echo(
        f"\n{'Interrupted after' if found.interrupted else 'Best of'} {len(found.trials)} trials for {wanted}, "
        f"{found.predictions:,} predictions in {len(split.test):,} sessions after {len(split.train):,}; "
        f"all in {report}.\n{outcome.run.command}"
    )
    if found.interrupted:
        raise typer.Exit(130)
