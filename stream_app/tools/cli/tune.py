"""``headrace tune``: search a model's hyperparameters."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command
from stream_app.tools.cli.shared_options import FormatName, Limit, MappingFile, ReportFile, SessionsPerDay

HELP = (
    "Search a model's hyperparameters with Optuna, on the newest sessions of train, or the newest rows of a log.\n\n"
    "Each trial learns all but the last --validation-tail sessions (rows) and predicts these. The best parameters "
    "are printed beside the defaults, with the line to put into the environment. Never give it the sessions that "
    "the model is evaluated on later. Ctrl-C ends the search, keeps the best so far and writes the report.\n\n"
    "\b\nExamples:\n"
    "  headrace tune --model session_knn --train train.jsonl.gz --report knn.json\n"
    "  headrace tune --model bpr --train train.jsonl.gz --train-limit 40000 \\\n"
    "      --trials 100 --metric hr@20 --report bpr.json\n"
    "  headrace tune --model search --events events.csv.gz --format trivago \\\n"
    "      --validation-tail 20000 --report search.json\n"
    "  headrace tune --model session_store --train train.jsonl.gz --report store.json\n\n"
    "`session_store` is the store that several models and the learned fusion share, `fusion` the learned fusion: "
    "both are tuned for the fused lists. stream_app/tools/evaluation/search_spaces.py lists the ranges; "
    "docs/evaluating.md explains the search. Needs the extra `evaluate`."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneOptions:
    """Options of ``headrace tune``."""

    model: Annotated[
        str, typer.Option(help="The model, as HEADRACE_MODELS names it; `session_store`; `fusion`.")
    ]
    report: ReportFile
    train: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sessions, one JSON list of item ids per line, oldest first."),
    ] = None
    log_file: Annotated[
        Path | None,
        typer.Option(
            "--events", metavar="FILE", help="A log instead, read in the order of time; plain or gzip."
        ),
    ] = None
    format_name: FormatName = "jsonl"
    mapping: MappingFile = None
    limit: Limit = None
    validation_tail: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Predict the last N sessions or rows; learn the others."),
    ] = 4_000
    train_limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Learn only the newest N sessions before them; faster."),
    ] = None
    trials: Annotated[int, typer.Option(min=1, metavar="N", help="Trials besides the defaults.")] = 50
    metric: Annotated[str, typer.Option(metavar="NAME@K", help="Metric to maximize: hr@K or mrr@K.")] = (
        "mrr@20"
    )
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Start no trial after this many seconds.")
    ] = None
    seed: Annotated[int, typer.Option(help="Seed of the search.")] = 7
    sessions_per_day: SessionsPerDay = 1000.0


def register(cli: typer.Typer) -> None:
    """Add the command."""
    add_command(cli, "tune", "tune:run", TuneOptions, help=HELP)
