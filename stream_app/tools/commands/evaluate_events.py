"""``headrace evaluate events``: from the log to the report."""

from time import perf_counter

import typer

from stream_app.tools.cli.evaluate import EventsOptions
from stream_app.tools.commands.evaluation_setup import (
    build_ranker,
    format_counts,
    learning_settings,
    read_files,
    read_log,
    settings_with_models,
)
from stream_app.tools.console import open_progress, print_table
from stream_app.tools.evaluation.event_logs import EventsEvaluation
from stream_app.tools.evaluation.plots import check_plot, plot_events
from stream_app.tools.evaluation.report import EventsReport, describe_run
from stream_app.tools.evaluation.tables import events_table, exposure_table
from stream_app.tools.report_file import check_writable, write_report


def run(options: EventsOptions) -> None:
    """Evaluate, write the report and print its tables."""
    settings = settings_with_models(options.models)
    check_writable(options.report)
    check_plot(options.plot)
    log = read_log(
        options.log_file, options.format_name, options.mapping, limit=options.limit, order=options.order
    )
    ranker = build_ranker(settings, length=options.k)
    evaluation = EventsEvaluation(
        ranker,
        k=options.k,
        session_gap=settings.session_gap,
        buy_again=settings.buy_again,
        each_model=options.each_model,
        open_progress=open_progress(),
    )
    started = perf_counter()
    results = evaluation.run(log, log.total)
    report = EventsReport(
        run=describe_run(
            read_files(options.log_file, options.mapping), learning_settings(settings), ranker.models
        ),
        k=options.k,
        seconds=round(perf_counter() - started, 3),
        results=results,
    )
    write_report(report, options.report)
    if options.plot is not None:
        plot_events(report, options.plot)
    print_table(events_table(report))
    print_table(exposure_table(report))
    typer.echo(f"\n{format_counts(log.total, results.events)}. All results in {options.report}.")
