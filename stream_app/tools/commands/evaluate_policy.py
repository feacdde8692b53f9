"""``headrace evaluate policy``: from a log to estimates, a report and a plot."""

from pathlib import Path
from time import perf_counter
from typing import Any

import typer
from rich.console import Console

from stream_app.errors import UserError
from stream_app.kafka.topic_reader import raw_records
from stream_app.settings import load_settings
from stream_app.tools.cli.evaluate_policy import EvaluatePolicyOptions
from stream_app.tools.console import open_progress, print_table
from stream_app.tools.evaluation.plots import check_plot
from stream_app.tools.evaluation.policies import headrace_log, open_bandit
from stream_app.tools.evaluation.policies.policy_evaluation import PolicyEvaluation, TargetName
from stream_app.tools.evaluation.policies.policy_report import (
    PolicyEvaluationReport,
    describe_run,
    logged_table,
    plot_targets,
    targets_table,
)
from stream_app.tools.evaluation.policies.rounds import Rounds
from stream_app.tools.progress import row_counter
from stream_app.tools.report_file import check_writable, write_report
from topics.catalog import LISTS, REWARDS


def run(options: EvaluatePolicyOptions) -> None:
    """Evaluate the targets, write the report and print the tables and verdicts.

    Raises
    ------
    typer.BadParameter
        If options exclude each other.
    UserError
        If a name is unknown, a file cannot be read, or the log is too small.
    """
    _check_options(options)
    target_names = _target_names(options)
    check_writable(options.report, "--report")
    check_plot(options.plot)
    started_at = perf_counter()
    rounds, input_counts = _read_log(options)
    if (
        not rounds.design.width > rounds.design.constants
        and _is_headrace_log(options)
        and options.target is None
    ):
        target_names = [each for each in target_names if each is TargetName.UNIFORM]
        typer.echo("The lists have no features, so no policy can be learned: uniform is the only target.")
    target_log = None if options.target_log is None else _read_open_bandit(options.target_log)
    evaluation = PolicyEvaluation(
        rounds,
        resamples=options.resamples,
        folds=options.folds,
        temperature=options.temperature,
        seed=options.seed,
        open_progress=open_progress(),
    )
    estimates = evaluation.run(target_names, target_log, "" if target_log is None else target_log.policies[0])
    report = PolicyEvaluationReport(
        run=describe_run(
            [
                path
                for path in (options.log, options.items, options.rewards, options.target_log)
                if path is not None
            ],
            targets=[str(each) for each in target_names],
            **{name: getattr(options, name) for name in _REPORTED_OPTIONS},
        ),
        seconds=round(perf_counter() - started_at, 3),
        input_counts=input_counts,
        estimates=estimates,
    )
    write_report(report, options.report)
    if options.plot is not None:
        plot_targets(estimates, options.plot)
    _print_report(report, options, len(rounds))


_REPORTED_OPTIONS = (
    "reward",
    "impression_mode",
    "logged_policy",
    "limit",
    "temperature",
    "resamples",
    "folds",
    "seed",
)


def _is_headrace_log(options: EvaluatePolicyOptions) -> bool:
    return options.broker or options.rewards is not None


def _check_options(options: EvaluatePolicyOptions) -> None:
    if options.broker == (options.log is not None):
        raise typer.BadParameter("give either --log FILE or --broker")
    if options.broker and options.rewards is not None:
        raise typer.BadParameter("--rewards belongs to --log; --broker reads the topic `rewards`")
    if _is_headrace_log(options):
        for option, value in (("--items", options.items), ("--target-log", options.target_log)):
            if value is not None:
                raise typer.BadParameter(
                    f"{option} belongs to Open Bandit logs, not to Headrace's own records"
                )


def _target_names(options: EvaluatePolicyOptions) -> list[TargetName]:
    if options.target is None:
        return [] if options.target_log is not None else list(TargetName)
    try:
        return [TargetName(name.strip()) for name in options.target.split(",")]
    except ValueError:
        raise UserError(f"--target takes some of {', '.join(TargetName)}, not {options.target!r}.") from None


def _read_log(options: EvaluatePolicyOptions) -> tuple[Rounds, dict[str, Any]]:
    if options.log is not None and options.rewards is None:
        return _read_open_bandit(options.log, options.items, options.limit), {}
    return _read_headrace_log(options)


def _read_open_bandit(log: Path, items: Path | None = None, limit: int | None = None) -> Rounds:
    with row_counter(Console(stderr=True), f"reading {log.name}") as update_progress:
        return open_bandit.read(log, items, limit=limit, update_progress=update_progress)


def _read_headrace_log(options: EvaluatePolicyOptions) -> tuple[Rounds, dict[str, Any]]:
    try:
        mode = headrace_log.ImpressionMode(options.impression_mode)
    except ValueError:
        raise UserError(
            f"--impression-mode takes one of {', '.join(headrace_log.ImpressionMode)}, "
            f"not {options.impression_mode!r}."
        ) from None
    if options.log is not None and options.rewards is not None:
        records = headrace_log.raw_lines(options.log), headrace_log.raw_lines(options.rewards)
    else:
        broker = load_settings().kafka
        records = raw_records(broker, LISTS), raw_records(broker, REWARDS)
    with row_counter(Console(stderr=True), "reading lists and rewards") as update_progress:
        log = headrace_log.read(
            *records,
            measure=options.reward,
            impression_mode=mode,
            policy=options.logged_policy,
            limit=options.limit,
            update_progress=update_progress,
        )
    return log.rounds, {
        "lists": log.lists,
        "impressions": str(log.impression_mode),
        "unknown lists with rewards": log.n_unmatched_lists,
        "items without a propensity": log.without_propensity,
        "lists without features": log.without_features,
        "lists with outdated features": log.outdated,
    }


def _print_report(report: PolicyEvaluationReport, options: EvaluatePolicyOptions, n_rounds: int) -> None:
    print_table(logged_table(report.estimates))
    typer.echo()
    print_table(targets_table(report.estimates))
    for name, evaluation in report.estimates.targets.items():
        typer.echo(f"{name}: {evaluation.verdict.sentence}.")
    counts = "".join(f" {name.capitalize()}: {value}." for name, value in report.input_counts.items())
    typer.echo(f"\n{n_rounds:,} rounds.{counts} All results in {options.report}.")
