"""``headrace evaluate``: how good the lists are, on logs.

One function a kind of evaluation; `register` adds them to the group.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_app.errors import UserError
from stream_app.tools.cli.replay import FormatName, Limit, MappingFile, OrderName, parse_order

if TYPE_CHECKING:
    from rich.table import Table

    from stream_app.ranking.ranker import Ranker
    from stream_app.settings import Settings
    from stream_app.tools.feeds.event_log import EventLog, LogRequest
    from stream_app.tools.progress import OpenProgress

ModelNames = Annotated[
    str | None,
    typer.Option("--models", metavar="A,B,…", help="Models to run; by default those of HEADRACE_MODELS."),
]
LogFile = Annotated[Path, typer.Option("--events", metavar="FILE", help="The log; plain or gzip.")]
ReportFile = Annotated[Path, typer.Option("--report", metavar="FILE.json", help="Write all figures here.")]
PlotFile = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE.png", help="Draw the figures; needs the extra `evaluate`."),
]

SessionsPerDay = Annotated[
    float,
    typer.Option(
        min=0.001, help="Files have no times: so many sessions make a day, clicks follow by the second."
    ),
]

TABLE_WIDTH = 150
"""Columns that a table needs at most."""

SESSIONS_HELP = (
    "Predict the next click in sessions, by each model alone and by the fused ranker.\n\n"
    "Learns the train sessions in order, then predicts click t+1 of each test session from its clicks 1..t, the "
    "whole catalogue as candidates: once frozen (nothing is learned after train), once prequentially (each test "
    "session is learned after it was predicted). A file has one JSON list of item ids a line, the oldest session "
    "first, plain or gzip.\n\n"
    "\b\nExamples:\n"
    "  headrace evaluate sessions --train train.jsonl.gz --test test.jsonl.gz \\\n"
    "      --report sessions.json\n"
    "  headrace evaluate sessions --train train.jsonl.gz --validation-tail 4000 \\\n"
    "      --models session_knn,item_to_item --report tail.json --plot tail.png\n\n"
    "docs/evaluating.md says what each figure means."
)

EVENTS_HELP = (
    "Rank a shopper's list before each click and purchase of a log, see whether it held the item, then learn.\n\n"
    "Events take the way they take in a worker: checked, folded into the shopper's row, learned. The lists of the "
    "fused ranker are compared with popularity's, by cold and warm shoppers and items, each figure with its 95 % "
    "interval. Formats as in `headrace replay`.\n\n"
    "\b\nExamples:\n"
    "  headrace evaluate events --events events.csv.gz --format trivago \\\n"
    "      --report events.json\n"
    "  headrace evaluate events --events shop.tsv --format csv \\\n"
    "      --mapping shop.toml --each-model --report events.json --plot events.png\n\n"
    "docs/evaluating.md says what each figure means, docs/feeds.md describes the formats."
)

RERANK_HELP = (
    "Put each result list of a log in order before the choice from it, see where the choice is then, learn it.\n\n"
    "Lists are those of purchases that say what they were chosen from (`shown`; in the format trivago: clickouts "
    "with their impressions). Events take the way they take in a worker, and what orders is what workers learn and "
    "order search results by. Beside it: the order displayed, popularity, and what the shopper touched last first; "
    "each figure with its 95 % interval. Formats as in `headrace replay`.\n\n"
    "\b\nExamples:\n"
    "  headrace evaluate rerank --events events.csv.gz --format trivago \\\n"
    "      --report rerank.json --plot rerank.png\n\n"
    "docs/evaluating.md says what each figure means, docs/feeds.md describes the formats."
)


def register(cli: typer.Typer) -> None:
    """Add the group."""
    from stream_app.tools.cli import evaluate_policy  # noqa: PLC0415  # it uses what is defined here

    group = typer.Typer(
        no_args_is_help=True,
        help="Measure on logs how good the lists are, with the fold and the ranker of the workers. "
        "`headrace evaluate sessions --help` shows examples.",
    )
    group.command("sessions", help=SESSIONS_HELP)(sessions)
    group.command("rerank", help=RERANK_HELP)(rerank)
    group.command("events", help=EVENTS_HELP)(events)
    evaluate_policy.register(group)
    cli.add_typer(group, name="evaluate")


def sessions(
    train: Annotated[Path, typer.Option(metavar="FILE", help="Sessions to learn from.")],
    report: ReportFile,
    test: Annotated[Path | None, typer.Option(metavar="FILE", help="Sessions to predict.")] = None,
    validation_tail: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Predict the last N sessions of train instead of --test."),
    ] = None,
    train_limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Learn only the newest N sessions.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Predict only the first N sessions.")
    ] = None,
    min_prefix: Annotated[
        int, typer.Option(min=1, metavar="N", help="Clicks given before the first prediction.")
    ] = 1,
    models: ModelNames = None,
    cutoffs: Annotated[
        str, typer.Option(metavar="K,K,…", help="Places of the list that count, ascending.")
    ] = "5,10,20",
    sessions_per_day: SessionsPerDay = 1000.0,
    plot: PlotFile = None,
) -> None:
    """Predict the next click in sessions."""
    from time import perf_counter  # noqa: PLC0415

    from stream_app.tools.evaluation.report import SessionsReport, check_writable, describe_run, write  # noqa: PLC0415
    from stream_app.tools.evaluation.session_files import (  # noqa: PLC0415
        SessionClock,
        TrainTestSplit,
        read_sessions,
        validation_split,
    )
    from stream_app.tools.evaluation.sessions import Mode, SessionsEvaluation  # noqa: PLC0415
    from stream_app.tools.evaluation.tables import sessions_table  # noqa: PLC0415

    if (test is None) == (validation_tail is None):
        raise typer.BadParameter("give either --test FILE or --validation-tail N")
    parsed_cutoffs = parse_cutoffs(cutoffs)
    settings = settings_with_models(models)
    check_writable(report, "--report")
    check_plot(plot)
    all_train_sessions = read_sessions(train)
    if test is not None:
        split = TrainTestSplit(
            all_train_sessions[-train_limit:] if train_limit else all_train_sessions,
            read_sessions(test, limit),
        )
    else:
        split = validation_split(all_train_sessions, validation_tail or 0, train_limit)
        split = TrainTestSplit(split.train, split.test[:limit])
    if not any(len(session) > min_prefix for session in split.test):
        raise UserError(
            f"No test session has more than {min_prefix} clicks, so there is nothing to predict; "
            "give longer sessions or a smaller --min-prefix."
        )
    ranker = build_ranker(settings, length=parsed_cutoffs[-1])
    evaluation = SessionsEvaluation(
        ranker.models, ranker, cutoffs=parsed_cutoffs, min_prefix=min_prefix, open_progress=open_progress()
    )
    clock = SessionClock(sessions_per_day)
    timed_train, timed_test = (
        [clock.timed_session(each) for each in split.train],
        [clock.timed_session(each) for each in split.test],
    )
    started = perf_counter()
    evaluation.learn(timed_train)
    learn_seconds = perf_counter() - started
    catalog_size = len(ranker.models.index)
    frozen = evaluation.evaluate(timed_test, Mode.FROZEN)
    prequential = evaluation.evaluate(timed_test, Mode.PREQUENTIAL)
    evaluation_report = SessionsReport(
        run=describe_run(
            [train] if test is None else [train, test], learning_settings(settings), ranker.models
        ),
        train_sessions=len(timed_train),
        train_clicks=sum(len(timed_session.items) for timed_session in timed_train),
        catalog_size=catalog_size,
        test_sessions=len(timed_test),
        predictions=frozen.predictions,
        min_prefix=min_prefix,
        cutoffs=parsed_cutoffs,
        sessions_per_day=sessions_per_day,
        learn_seconds=round(learn_seconds, 3),
        frozen=frozen,
        prequential=prequential,
    )
    write(evaluation_report, report)
    if plot is not None:
        from stream_app.tools.evaluation.plots import plot_sessions  # noqa: PLC0415

        plot_sessions(evaluation_report, plot)
    print_table(sessions_table(evaluation_report))
    typer.echo(
        f"\n{evaluation_report.predictions:,} predictions in {evaluation_report.test_sessions:,} sessions, after "
        f"{evaluation_report.train_clicks:,} clicks in {evaluation_report.train_sessions:,} sessions "
        f"({catalog_size:,} items, "
        f"learned in {learn_seconds:,.1f} s); all figures in {report}."
    )


def events(
    log_file: LogFile,
    report: ReportFile,
    format_name: FormatName = "jsonl",
    mapping: MappingFile = None,
    limit: Limit = None,
    order: OrderName = "time",
    k: Annotated[int, typer.Option("--k", min=1, help="Places of the list that count.")] = 20,
    models: ModelNames = None,
    each_model: Annotated[
        bool, typer.Option("--each-model", help="Measure each model alone, too; takes longer.")
    ] = False,
    plot: PlotFile = None,
) -> None:
    """Rank before each click and purchase of a log, then learn it."""
    from time import perf_counter  # noqa: PLC0415

    from stream_app.tools.evaluation.event_logs import EventsEvaluation  # noqa: PLC0415
    from stream_app.tools.evaluation.report import EventsReport, check_writable, describe_run, write  # noqa: PLC0415
    from stream_app.tools.evaluation.tables import events_table, exposure_table  # noqa: PLC0415

    request = log_request(log_file, format_name, mapping, order, limit)
    settings = settings_with_models(models)
    check_writable(report, "--report")
    check_plot(plot)
    log = read_log(request)
    ranker = build_ranker(settings, length=k)
    evaluation = EventsEvaluation(
        ranker,
        k=k,
        session_gap=settings.session_gap,
        buy_again=settings.buy_again,
        each_model=each_model,
        open_progress=open_progress(),
    )
    started = perf_counter()
    results = evaluation.run(log, log.total)
    evaluation_report = EventsReport(
        run=describe_run(
            [log_file] if mapping is None else [log_file, mapping],
            learning_settings(settings),
            ranker.models,
        ),
        k=k,
        seconds=round(perf_counter() - started, 3),
        results=results,
    )
    write(evaluation_report, report)
    if plot is not None:
        from stream_app.tools.evaluation.plots import plot_events  # noqa: PLC0415

        plot_events(evaluation_report, plot)
    print_table(events_table(evaluation_report))
    print_table(exposure_table(evaluation_report))
    counts = ", ".join(f"{count:,} {row_outcome}" for row_outcome, count in results.events.items())
    typer.echo(f"\n{log.total:,} rows: {counts}. All figures in {report}.")


def rerank(
    log_file: LogFile,
    report: ReportFile,
    format_name: FormatName = "jsonl",
    mapping: MappingFile = None,
    limit: Limit = None,
    order: OrderName = "time",
    plot: PlotFile = None,
) -> None:
    """Order each result list of a log before the choice from it, then learn the choice."""
    from time import perf_counter  # noqa: PLC0415

    from stream_app.ranking.assembly import make_models  # noqa: PLC0415
    from stream_app.settings import load_settings  # noqa: PLC0415
    from stream_app.tools.evaluation.report import RerankReport, check_writable, describe_run, write  # noqa: PLC0415
    from stream_app.tools.evaluation.rerank import RerankEvaluation  # noqa: PLC0415
    from stream_app.tools.evaluation.tables import rerank_table  # noqa: PLC0415
    from stream_app.worker.warm_up import warm_up  # noqa: PLC0415

    request = log_request(log_file, format_name, mapping, order, limit)
    # the order of results asks no model, so the quickest one keeps the fold company
    settings = load_settings(models=["popularity"], fusion="rrf")
    check_writable(report, "--report")
    check_plot(plot)
    log = read_log(request)
    warm_up(settings)
    models = make_models(settings)
    evaluation = RerankEvaluation(models, session_gap=settings.session_gap, open_progress=open_progress())
    started = perf_counter()
    results = evaluation.run(log, log.total)
    evaluation_report = RerankReport(
        run=describe_run(
            [log_file] if mapping is None else [log_file, mapping], learning_settings(settings), models
        ),
        seconds=round(perf_counter() - started, 3),
        results=results,
    )
    write(evaluation_report, report)
    if plot is not None:
        from stream_app.tools.evaluation.plots import plot_rerank  # noqa: PLC0415

        plot_rerank(evaluation_report, plot)
    print_table(rerank_table(evaluation_report))
    counts = ", ".join(f"{count:,} {row_outcome}" for row_outcome, count in results.events.items())
    typer.echo(
        f"\n{log.total:,} rows: {counts}. Lists of {results.mean_list_length:.1f} items on average, "
        f"{results.unlisted_choices:,} "
        f"without what was chosen; {results.ms.mean:.3f} ms a list. All figures in {report}."
    )


def log_request(
    path: Path, format_name: str, mapping: Path | None, order: str, limit: int | None
) -> "LogRequest":
    """How a log is to be read, with the times it has.

    Raises
    ------
    UserError
        If there is no such format or order, or the mapping is wrong.
    """
    from stream_app.tools.feeds.event_log import LogRequest  # noqa: PLC0415
    from stream_app.tools.feeds.formats import reader  # noqa: PLC0415

    return LogRequest(
        path=path, read=reader(format_name, mapping), order=parse_order(order), limit=limit, keep_time=True
    )


def read_log(request: "LogRequest") -> "EventLog":
    """Open a log, counting its rows on the terminal.

    Raises
    ------
    UserError
        If it cannot be read in its format.
    """
    from rich.console import Console  # noqa: PLC0415

    from stream_app.tools.feeds.event_log import open_log  # noqa: PLC0415
    from stream_app.tools.progress import row_counter  # noqa: PLC0415

    with row_counter(Console(stderr=True), f"reading {request.path.name}") as progress:
        return open_log(request, now=0.0, max_age=0.0, progress=progress)


def parse_cutoffs(text: str) -> list[int]:
    """Cut-offs out of ``5,10,20``.

    Raises
    ------
    UserError
        If they are no ascending positive integers.

    Examples
    --------
    >>> parse_cutoffs("5,10,20")
    [5, 10, 20]
    >>> parse_cutoffs("20,5")
    Traceback (most recent call last):
    stream_app.errors.UserError: --cutoffs takes ascending places such as 5,10,20, not '20,5'.
    """
    try:
        parsed_cutoffs = [int(each) for each in text.split(",")]
    except ValueError:
        parsed_cutoffs = []
    if not parsed_cutoffs or parsed_cutoffs[0] < 1 or parsed_cutoffs != sorted(set(parsed_cutoffs)):
        raise UserError(f"--cutoffs takes ascending places such as 5,10,20, not {text!r}.")
    return parsed_cutoffs


def settings_with_models(models: str | None) -> "Settings":
    """The settings, with the models of ``--models`` where it is given.

    Raises
    ------
    UserError
        If a setting is wrong or there is no model of a name.
    """
    from stream_app.models.registry import MODELS  # noqa: PLC0415
    from stream_app.settings import load_settings  # noqa: PLC0415

    if models is None:
        return load_settings()
    names = [name.strip() for name in models.split(",")]
    for name in names:
        if name not in MODELS:
            raise UserError(f"--models: there is no model {name!r}; there are {', '.join(MODELS)}.")
    return load_settings(models=names)


def build_ranker(settings: "Settings", length: int) -> "Ranker":
    """A worker's ranker that has learned nothing, its kernels compiled.

    Parameters
    ----------
    settings
        As a worker's.
    length
        Items on a list.
    """
    from stream_app.models.registry import MODELS  # noqa: PLC0415
    from stream_app.models.session_store_model import SessionStoreModel  # noqa: PLC0415
    from stream_app.ranking.assembly import make_models, make_ranker  # noqa: PLC0415
    from stream_app.tools.evaluation.report import effective_fusion  # noqa: PLC0415
    from stream_app.worker.warm_up import warm_up  # noqa: PLC0415

    warm_up(settings)  # so that no prediction that is timed waits for the compiler
    models = make_models(settings)
    if settings.fusion == "learned" and effective_fusion(models, settings.fusion) != "learned":
        store_model_names = ", ".join(
            name for name, model in MODELS.items() if issubclass(model, SessionStoreModel)
        )
        typer.echo(
            f"HEADRACE_FUSION is learned, which needs one of {store_model_names} among the models: "
            "lists are fused by reciprocal ranks (rrf) instead.",
            err=True,
        )
    return make_ranker(models, settings, length)


def learning_settings(settings: "Settings") -> dict[str, object]:
    """The settings that figures depend on."""
    return settings.model_dump(
        include={
            "models",
            "model_parameters",
            "fusion",
            "candidates_per_source",
            "max_items",
            "max_users",
            "half_life",
            "session_gap",
            "seed",
            "diversity",
            "max_per_category",
            "max_per_brand",
            "max_per_seller",
            "exposure_floor",
            "buy_again",
        }
    )


def open_progress() -> "OpenProgress":
    """Progress bars on the terminal's error stream: what is printed can go into a pipe."""
    from rich.console import Console  # noqa: PLC0415

    from stream_app.tools.progress import progress_bars  # noqa: PLC0415

    return progress_bars(Console(stderr=True))


def check_plot(plot: Path | None) -> None:
    """Find out before a long run whether ``--plot`` can be drawn.

    Raises
    ------
    UserError
        If it cannot.
    """
    if plot is None:
        return
    from stream_app.tools.evaluation.plots import require_matplotlib  # noqa: PLC0415
    from stream_app.tools.evaluation.report import check_writable  # noqa: PLC0415

    require_matplotlib()
    check_writable(plot, "--plot")


def print_table(table: "Table") -> None:
    """Print a table; into a pipe or file nothing is folded to a terminal's width."""
    from rich.console import Console  # noqa: PLC0415

    console = Console()
    # a narrow terminal breaks the lines, which loses nothing
    console.width = max(console.width, TABLE_WIDTH) if sys.stdout.isatty() else 240
    console.print(table, soft_wrap=True)
