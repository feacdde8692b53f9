"""``headrace evaluate rerank``: from the log to the report."""

from time import perf_counter

import typer

from stream_app.ranking.assembly import make_models
from stream_app.settings import load_settings
from stream_app.tools.cli.evaluate import RerankOptions
from stream_app.tools.commands.evaluation_setup import format_counts, learning_settings, read_files, read_log
from stream_app.tools.console import open_progress, print_table
from stream_app.tools.evaluation.plots import check_plot, plot_rerank
from stream_app.tools.evaluation.report import RerankReport, describe_run
from stream_app.tools.evaluation.rerank import RerankEvaluation
from stream_app.tools.evaluation.tables import rerank_table
from stream_app.tools.report_file import check_writable, write_report
from stream_app.worker.warm_up import warm_up


def run(options: RerankOptions) -> None:
    """Evaluate, write the report and print its table."""
    # The results ranker uses no model, so the fold runs with the fastest one alone.
    settings = load_settings(models=["popularity"], fusion="rrf")
    check_writable(options.report)
    check_plot(options.plot)
    log = read_log(
        options.log_file, options.format_name, options.mapping, limit=options.limit, order=options.order
    )
    warm_up(settings)
    models = make_models(settings.ranking_config)
    evaluation = RerankEvaluation(models, session_gap=settings.session_gap, open_progress=open_progress())
    started = perf_counter()
    results = evaluation.run(log, log.total)
    report = RerankReport(
        run=describe_run(read_files(options.log_file, options.mapping), learning_settings(settings), models),
        seconds=round(perf_counter() - started, 3),
        results=results,
    )
    write_report(report, options.report)
    if options.plot is not None:
        plot_rerank(report, options.plot)
    print_table(rerank_table(report))
    typer.echo(
        f"\n{format_counts(log.total, results.events)}. Lists of {results.mean_list_length:.1f} items on average, "
        f"{results.unlisted_choices:,} without the chosen item; {results.ms.mean:.3f} ms per list. "
        f"All results in {options.report}."
    )
