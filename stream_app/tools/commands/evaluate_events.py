"""``headrace evaluate events``: from the log to the report."""

from itertools import islice
from time import perf_counter

import typer

from stream_app.tools.cli.evaluate import EventsOptions
from stream_app.tools.commands.evaluation_setup import (
    add_trainer,
    build_ranker,
    compared_models,
    format_counts,
    learning_settings,
    read_files,
    read_log,
    settings_with_models,
    split_names,
)
from stream_app.tools.console import open_progress, print_table
from stream_app.tools.evaluation.event_logs import EventsEvaluation
from stream_app.tools.evaluation.plots import check_plot, plot_events
from stream_app.tools.evaluation.report import EventsReport, describe_run
from stream_app.tools.evaluation.tables import events_table, exposure_table
from stream_app.tools.evaluation.training_along import UNUSED
from stream_app.tools.report_file import check_writable, write_report


def run(options: EventsOptions) -> None:
    """Evaluate, write the report and print its tables."""
    settings = settings_with_models(options.models, neural=options.neural)
    compared_names = split_names(options.compare) if options.compare else []
    check_writable(options.report)
    check_plot(options.plot)
    log = read_log(
        options.log_file, options.format_name, options.mapping, limit=options.limit, order=options.order
    )
    n_rows = round(log.total * options.share)
    ranker = build_ranker(settings, length=options.k)
    trainer = add_trainer(ranker.models, settings, log)
    compared = compared_models(settings, ranker.models, compared_names) if compared_names else None
    evaluation = EventsEvaluation(
        ranker,
        k=options.k,
        session_gap=settings.session_gap,
        buy_again=settings.buy_again,
        each_model=options.each_model,
        compared=compared,
        open_progress=open_progress(),
    )
    started = perf_counter()
    results = evaluation.run(islice(log, n_rows), n_rows)
    if trainer is not None and not trainer.n_published:
        typer.echo(UNUSED)
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
    typer.echo(f"\n{format_counts(n_rows, results.events)}. All results in {options.report}.")
