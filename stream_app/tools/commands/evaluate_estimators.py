"""``headrace evaluate estimators``: from synthetic logs to a table and a report."""

from time import perf_counter

import typer

from stream_app.tools.cli.evaluate_policy import EvaluateEstimatorsOptions
from stream_app.tools.console import open_progress, print_table
from stream_app.tools.evaluation.policies.estimator_coverage import SCENARIOS, evaluate_estimators
from stream_app.tools.evaluation.policies.policy_report import EstimatorsReport, describe_run, trials_table
from stream_app.tools.report_file import check_writable, write_report


def run(options: EvaluateEstimatorsOptions) -> None:
    """Evaluate the estimators in each scenario, write the report and print the table."""
    check_writable(options.report, "--report")
    started_at = perf_counter()
    scenarios = {
        name: evaluate_estimators(
            scenario,
            repetitions=options.repetitions,
            resamples=options.resamples,
            seed=options.seed,
            title=name,
            open_progress=open_progress(),
        )
        for name, scenario in SCENARIOS.items()
    }
    report = EstimatorsReport(
        run=describe_run([], repetitions=options.repetitions, resamples=options.resamples, seed=options.seed),
        seconds=round(perf_counter() - started_at, 3),
        repetitions=options.repetitions,
        scenarios=scenarios,
    )
    write_report(report, options.report)
    print_table(trials_table(scenarios))
    typer.echo(f"{options.repetitions:,} logs a scenario; all results in {options.report}.")
