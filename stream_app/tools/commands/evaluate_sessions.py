"""``headrace evaluate sessions``: from the session files to the report."""

from time import perf_counter

import typer

from stream_app.errors import UserError
from stream_app.ranking.ranker import Ranker
from stream_app.settings import Settings
from stream_app.tools.cli.evaluate import SessionsOptions
from stream_app.tools.commands.evaluation_setup import (
    add_trainer,
    build_ranker,
    learning_settings,
    settings_with_models,
)
from stream_app.tools.console import open_progress, print_table
from stream_app.tools.evaluation.plots import check_plot, plot_sessions
from stream_app.tools.evaluation.report import SessionsReport, describe_run
from stream_app.tools.evaluation.session_files import (
    SessionClock,
    TrainTestSplit,
    read_sessions,
    validation_split,
)
from stream_app.tools.evaluation.sessions import Mode, SessionsEvaluation
from stream_app.tools.evaluation.tables import sessions_table
from stream_app.tools.evaluation.training_along import UNUSED
from stream_app.tools.report_file import check_writable, write_report


def run(options: SessionsOptions) -> None:
    """Evaluate, write the report and print its table."""
    cutoffs = parse_cutoffs(options.cutoffs)
    settings = settings_with_models(options.models, neural=options.neural)
    check_writable(options.report)
    check_plot(options.plot)
    split = _read_split(options)
    ranker = build_ranker(settings, length=cutoffs[-1])
    report = _evaluate(options, split, ranker, cutoffs, settings)
    write_report(report, options.report)
    if options.plot is not None:
        plot_sessions(report, options.plot)
    print_table(sessions_table(report))
    typer.echo(
        f"\n{report.predictions:,} predictions in {report.test_sessions:,} sessions, after "
        f"{report.train_clicks:,} clicks in {report.train_sessions:,} sessions ({report.catalog_size:,} items, "
        f"learned in {report.learn_seconds:,.1f} s); all results in {options.report}."
    )


def _read_split(options: SessionsOptions) -> TrainTestSplit:
    if options.test is not None and options.validation_tail is None:
        train = read_sessions(options.train)
        newest_train = train[-options.train_limit :] if options.train_limit else train
        split = TrainTestSplit(newest_train, read_sessions(options.test, options.limit))
    elif options.validation_tail is not None and options.test is None:
        split = validation_split(read_sessions(options.train), options.validation_tail, options.train_limit)
        split = TrainTestSplit(split.train, split.test[: options.limit])
    else:
        raise typer.BadParameter("give either --test FILE or --validation-tail N")
    if not any(len(session) > options.min_prefix for session in split.test):
        raise UserError(
            f"No test session has more than {options.min_prefix} clicks, so there is nothing to predict; "
            "give longer sessions or a smaller --min-prefix."
        )
    return split


def _evaluate(
    options: SessionsOptions, split: TrainTestSplit, ranker: Ranker, cutoffs: list[int], settings: Settings
) -> SessionsReport:
    evaluation = SessionsEvaluation(
        ranker.models,
        ranker,
        cutoffs=cutoffs,
        min_prefix=options.min_prefix,
        open_progress=open_progress(),
    )
    clock = SessionClock(options.sessions_per_day)
    train = [clock.timed_session(session) for session in split.train]
    test = [clock.timed_session(session) for session in split.test]
    trainer = add_trainer(ranker.models, settings)
    started = perf_counter()
    evaluation.learn(train)
    if trainer is not None:
        # Frozen weights are those of all of train.
        trainer.publish()
    learn_seconds = perf_counter() - started
    catalog_size = len(ranker.models.index)
    frozen = evaluation.evaluate(test, Mode.FROZEN)
    n_published = 0 if trainer is None else trainer.n_published
    prequential = evaluation.evaluate(test, Mode.PREQUENTIAL)
    if trainer is not None and not n_published:
        typer.echo(UNUSED)
    elif trainer is not None and trainer.n_published == n_published:
        typer.echo(
            "The two-tower model had no new weights during the test, which has fewer clicks than lie between two "
            "versions."
        )
    files = [options.train] if options.test is None else [options.train, options.test]
    return SessionsReport(
        run=describe_run(files, learning_settings(settings), ranker.models),
        train_sessions=len(train),
        train_clicks=sum(len(session.items) for session in train),
        catalog_size=catalog_size,
        test_sessions=len(test),
        predictions=frozen.predictions,
        min_prefix=options.min_prefix,
        cutoffs=cutoffs,
        sessions_per_day=options.sessions_per_day,
        learn_seconds=round(learn_seconds, 3),
        frozen=frozen,
        prequential=prequential,
    )


def parse_cutoffs(text: str) -> list[int]:
    """Parse cut-offs such as ``5,10,20``.

    Raises
    ------
    UserError
        If they are not ascending positive integers.

    Examples
    --------
    >>> parse_cutoffs("5,10,20")
    [5, 10, 20]
    >>> parse_cutoffs("20,5")
    Traceback (most recent call last):
    stream_app.errors.UserError: --cutoffs takes ascending list lengths such as 5,10,20, not '20,5'.
    """
    try:
        cutoffs = [int(cutoff) for cutoff in text.split(",")]
    except ValueError:
        cutoffs = []
    if not cutoffs or cutoffs[0] < 1 or cutoffs != sorted(set(cutoffs)):
        raise UserError(f"--cutoffs takes ascending list lengths such as 5,10,20, not {text!r}.")
    return cutoffs
