"""``headrace evaluate``: measure lists on logs; options and help of each kind of evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_app.tools.cli import evaluate_policy
from stream_app.tools.cli.command import add_command
from stream_app.tools.cli.shared_options import (
    FormatName,
    LogOptions,
    MappingFile,
    ModelNames,
    PlotFile,
    ReportFile,
    SessionsPerDay,
)

HELP = (
    "Measure the quality of lists on logs, with the fold and the ranker of the workers. "
    "`headrace evaluate sessions --help` shows examples."
)

SESSIONS_HELP = (
    "Predict the next click in sessions, with each model alone and with the fused ranker.\n\n"
    "Learns the train sessions in order, then predicts click t+1 of each test session from its clicks 1..t, with the "
    "whole catalog as candidates: first frozen (nothing is learned after train), then prequentially (each test "
    "session is learned after its predictions). A file has one JSON list of item ids per line, the oldest session "
    "first, plain or gzip.\n\n"
    "\b\nExamples:\n"
    "  headrace evaluate sessions --train train.jsonl.gz --test test.jsonl.gz \\\n"
    "      --report sessions.json\n"
    "  headrace evaluate sessions --train train.jsonl.gz --validation-tail 4000 \\\n"
    "      --models session_knn,item_to_item --report tail.json --plot tail.png\n\n"
    "With --neural, a two-tower model is trained along the train sessions, in one pass with replay, and again along "
    "the test sessions in the prequential mode; it is measured alone, and its scores are features of the fused "
    "ranker. It needs `pip install 'headrace\\[neural]'`.\n\n"
    "docs/evaluating.md defines each metric."
)

EVENTS_HELP = (
    "Rank the user's list before each click and purchase of a log, look for the chosen item on it, then learn.\n\n"
    "Events are processed as in a worker: checked, folded into the user's row, learned. The lists of the fused "
    "ranker are compared with popularity's, for cold and warm users and items, each metric with its 95 % interval. "
    "Formats as in `headrace replay`.\n\n"
    "\b\nExamples:\n"
    "  headrace evaluate events --events events.csv.gz --format trivago \\\n"
    "      --report events.json\n"
    "  headrace evaluate events --events shop.tsv --format csv \\\n"
    "      --mapping shop.toml --each-model --report events.json --plot events.png\n"
    "  headrace evaluate events --events ml-100k.inter.gz --format recbole \\\n"
    "      --each-model --compare river:reco.BiasedMF --report ml.json\n\n"
    "With --neural, a two-tower model is trained along the log; it needs `pip install 'headrace\\[neural]'`.\n\n"
    "docs/evaluating.md defines each metric, docs/feeds.md the formats."
)

SOURCES_HELP = (
    "Measure what each candidate source is worth to the learned fusion, and what it costs.\n\n"
    "Fusions of the same models learn along: one of all sources, one without each, and one that pauses sources by "
    "itself. Their lists are compared choice by choice, with 95 % intervals of the differences.\n\n"
    "\b\nExamples:\n"
    "  headrace evaluate sources --events ml-100k.inter.gz --format recbole \\\n"
    "      --share 0.5 --report sources.json\n"
    "  headrace evaluate sources --train train.jsonl.gz --validation-tail 3000 \\\n"
    "      --models popularity,session_knn,bpr,user_knn --report sources.json\n\n"
    "docs/evaluating.md defines each metric."
)

COLD_HELP = (
    "Measure how often a list has an item that no one has interacted with before, when a user chooses it.\n\n"
    "Two generated shops with texts and pictures, over whose log new items appear: `words` and `books`, which differ "
    "in vocabulary, pictures and behavior. Compared are TF-IDF, the two-tower model by what it knows of an item, and "
    "the fused lists with and without it, all learned along the log as by workers and trainer. It needs "
    "`pip install 'headrace\\[neural,text,onnx]'`.\n\n"
    "\b\nExamples:\n"
    "  headrace evaluate cold --report cold.json\n"
    "  headrace evaluate cold --shops books --seeds 4,5 --sessions 4000 --report books.json\n"
    "  headrace evaluate cold --events embedded.jsonl --report log.json\n\n"
    "docs/evaluating.md defines each metric."
)

RERANK_HELP = (
    "Rerank each result list of a log before the choice from it, measure the rank of the choice, then learn.\n\n"
    "Lists are those of purchases with the displayed items (`shown`; in the format trivago: clickouts with their "
    "impressions). Events are processed as in a worker, and the results are ranked by the worker's results ranker. "
    "It is compared with the displayed order, with popularity, and with the items the user last interacted with "
    "first; each metric has its 95 % interval. Formats as in `headrace replay`.\n\n"
    "\b\nExamples:\n"
    "  headrace evaluate rerank --events events.csv.gz --format trivago \\\n"
    "      --report rerank.json --plot rerank.png\n\n"
    "docs/evaluating.md defines each metric, docs/feeds.md the formats."
)


Share = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=1.0,
        metavar="F",
        help="Use only the first F of the rows in the order of time: a part to choose settings on.",
    ),
]
Neural = Annotated[
    bool, typer.Option("--neural", help="Also train the two-tower model; needs the extra `neural`.")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionsOptions:
    """Options of ``headrace evaluate sessions``."""

    train: Annotated[Path, typer.Option(metavar="FILE", help="Sessions to learn from.")]
    report: ReportFile
    test: Annotated[Path | None, typer.Option(metavar="FILE", help="Sessions to predict.")] = None
    validation_tail: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Predict the last N sessions of train instead of --test."),
    ] = None
    train_limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Learn only the newest N sessions.")
    ] = None
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Predict only the first N sessions.")
    ] = None
    min_prefix: Annotated[
        int, typer.Option(min=1, metavar="N", help="Clicks before the first prediction of a session.")
    ] = 1
    models: ModelNames = None
    neural: Neural = False
    cutoffs: Annotated[
        str, typer.Option(metavar="K,K,…", help="List lengths k of the metrics, ascending.")
    ] = "5,10,20"
    sessions_per_day: SessionsPerDay = 1000.0
    plot: PlotFile = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EventsOptions(LogOptions):
    """Options of ``headrace evaluate events``."""

    report: ReportFile
    k: Annotated[int, typer.Option("--k", min=1, help="List length of the metrics.")] = 20
    models: ModelNames = None
    each_model: Annotated[
        bool, typer.Option("--each-model", help="Also measure each model alone; this takes longer.")
    ] = False
    compare: Annotated[
        str | None,
        typer.Option(
            "--compare",
            metavar="A,B,…",
            help="Also measure these models alone, such as river:reco.BiasedMF; the fused lists do not use them.",
        ),
    ] = None
    neural: Neural = False
    share: Share = 1.0
    plot: PlotFile = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RerankOptions(LogOptions):
    """Options of ``headrace evaluate rerank``."""

    report: ReportFile
    plot: PlotFile = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ColdOptions:
    """Options of ``headrace evaluate cold``."""

    report: ReportFile
    log_file: Annotated[
        Path | None,
        typer.Option(
            "--events", metavar="FILE", help="A log whose catalog has embeddings, instead of shops."
        ),
    ] = None
    format_name: FormatName = "jsonl"
    mapping: MappingFile = None
    shops: Annotated[str, typer.Option(metavar="A,B,…", help="Kinds of shops: words, books.")] = "words,books"
    seeds: Annotated[
        str, typer.Option(metavar="N,N,…", help="A shop of each kind is made for each seed.")
    ] = "1,2,3"
    items: Annotated[int, typer.Option(min=100, metavar="N", help="Items of a shop.")] = 2_000
    sessions: Annotated[int, typer.Option(min=10, metavar="N", help="Sessions, one per minute.")] = 5_000
    users: Annotated[int, typer.Option(min=1, metavar="N", help="Users, who take turns.")] = 2_500
    new: Annotated[
        float, typer.Option(min=0.01, max=0.9, metavar="F", help="Share of items that appear over time.")
    ] = 0.5
    measured_from: Annotated[
        float,
        typer.Option(min=0.0, max=0.99, metavar="F", help="Share of the log that is learned first."),
    ] = 0.3
    arms: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Measure these arms alone, beside the baseline, by their names."),
    ] = None
    k: Annotated[int, typer.Option("--k", min=1, help="List length of the metrics.")] = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcesOptions:
    """Options of ``headrace evaluate sources``."""

    report: ReportFile
    log_file: Annotated[
        Path | None, typer.Option("--events", metavar="FILE", help="A log, read in the order of time.")
    ] = None
    format_name: FormatName = "jsonl"
    mapping: MappingFile = None
    share: Share = 1.0
    every: Annotated[
        int, typer.Option(min=1, metavar="N", help="Measure one choice of a log in this many.")
    ] = 4
    train: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sessions instead of a log, the oldest first.")
    ] = None
    validation_tail: Annotated[
        int, typer.Option(min=1, metavar="N", help="Measure the last N sessions; learn the others first.")
    ] = 3_000
    train_limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Learn only the newest N sessions before them.")
    ] = None
    sessions_per_day: SessionsPerDay = 1000.0
    models: ModelNames = None
    k: Annotated[int, typer.Option("--k", min=1, help="List length of the metrics.")] = 20


def register(cli: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help=HELP)
    add_command(group, "sessions", "evaluate_sessions:run", SessionsOptions, help=SESSIONS_HELP)
    add_command(group, "rerank", "evaluate_rerank:run", RerankOptions, help=RERANK_HELP)
    add_command(group, "events", "evaluate_events:run", EventsOptions, help=EVENTS_HELP)
    add_command(group, "sources", "evaluate_sources:run", SourcesOptions, help=SOURCES_HELP)
    add_command(group, "cold", "evaluate_cold:run", ColdOptions, help=COLD_HELP)
    evaluate_policy.register(group)
    cli.add_typer(group, name="evaluate")
