"""``headrace evaluate policy`` and ``headrace evaluate estimators``: what a log says of other policies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.errors import UserError
from stream_app.tools.cli.shared_options import PlotFile, ReportFile

if TYPE_CHECKING:
    from stream_app.tools.evaluation.policies.policy_evaluation import TargetName
    from stream_app.tools.evaluation.policies.rounds import Rounds

Seed = Annotated[int, typer.Option(help="Of folds, draws and resamples.")]

POLICY_HELP = (
    "What other policies would have earned on logged traffic, by off-policy estimators.\n\n"
    "A log says what was shown, with which propensity, and what it earned. It is one of: a file in the format of "
    "the Open Bandit Dataset (--log, with its items in --items); Headrace's own records as one JSON document a line "
    "(the topic `lists` in --log, `rewards` in --rewards); the same two topics read from the broker (--broker). "
    "Targets: `uniform` chance; `greedy` and `softmax` on a reward model, learned from the shoppers who came first "
    "and evaluated on the rest; the policy of another log (--target-log), beside what that log really earned. "
    "Printed for each: seven estimators with 95 % intervals, how much of the log bears on it, and a verdict.\n\n"
    "\b\nExamples:\n"
    "  headrace evaluate policy --log random_men.csv.gz \\\n"
    "      --items random_men_item_context.csv --target-log bts_men.csv.gz \\\n"
    "      --report men.json --plot men.png\n"
    "  headrace evaluate policy --broker --reward click --report own.json\n"
    "  headrace evaluate policy --log lists.jsonl --rewards rewards.jsonl \\\n"
    "      --logged-policy thompson --target uniform,greedy --report own.json\n\n"
    "docs/off_policy.md says what each figure means and when to believe it."
)

ESTIMATORS_HELP = (
    "Check the off-policy estimators on synthetic logs whose truth is known: bias, and coverage of the intervals.\n\n"
    "Three worlds: the reward model's class is right; it is wrong; the target hardly overlaps with the log. With N "
    "repetitions a coverage of 95 % is known to ± 3 points at N = 200, ± 1 at N = 2,000 (two standard errors).\n\n"
    "\b\nExamples:\n"
    "  headrace evaluate estimators --report estimators.json\n"
    "  headrace evaluate estimators --repetitions 2000 --report estimators.json"
)


def register(group: typer.Typer) -> None:
    """Add the commands to ``headrace evaluate``."""
    group.command("policy", help=POLICY_HELP)(policy)
    group.command("estimators", help=ESTIMATORS_HELP)(estimators)


def policy(
    report: ReportFile,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Open Bandit CSV, or `lists` records; plain or gzip.")
    ] = None,
    items: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Items of an Open Bandit log, with features.")
    ] = None,
    rewards: Annotated[
        Path | None, typer.Option(metavar="FILE", help="`rewards` records to the lists of --log.")
    ] = None,
    broker: Annotated[
        bool, typer.Option("--broker", help="Read both topics from HEADRACE_BROKER instead of files.")
    ] = False,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…", help="Of uniform, greedy, softmax. By default all; or --target-log alone."
        ),
    ] = None,
    target_log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Open Bandit log of one more target.")
    ] = None,
    reward: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Of Headrace's records: value (as the settings weigh reactions), revenue, or a kind such as click.",
        ),
    ] = "value",
    impression_mode: Annotated[
        str,
        typer.Option(
            metavar="auto|known|all",
            help="Of Headrace's lists: places known to be seen, or all published. auto: known where there are "
            "impressions.",
        ),
    ] = "auto",
    logged_policy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only lists of this policy (Headrace's records).")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Only the first N rows, or lists.")
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0.01, help="Of softmax, in standard deviations of the scores.")
    ] = 1.0,
    resamples: Annotated[int, typer.Option(min=100, metavar="N", help="Of the bootstrap.")] = 1000,
    folds: Annotated[int, typer.Option(min=2, metavar="N", help="Of cross-fitting the reward model.")] = 5,
    seed: Seed = 7,
    plot: PlotFile = None,
) -> None:
    """Estimate what other policies would have earned."""
    from time import perf_counter  # noqa: PLC0415

    from stream_app.tools.console import open_progress, print_table  # noqa: PLC0415
    from stream_app.tools.evaluation.plots import check_plot  # noqa: PLC0415
    from stream_app.tools.evaluation.policies.policy_evaluation import PolicyEvaluation  # noqa: PLC0415
    from stream_app.tools.evaluation.policies.policy_report import (  # noqa: PLC0415
        PolicyEvaluationReport,
        describe_run,
        logged_table,
        plot_targets,
        targets_table,
    )
    from stream_app.tools.report_file import check_writable, write_report  # noqa: PLC0415

    if broker == (log is not None):
        raise typer.BadParameter("give either --log FILE or --broker")
    from_headrace = broker or rewards is not None
    for option, value in (("--items", items), ("--target-log", target_log)):
        if from_headrace and value is not None:
            raise typer.BadParameter(f"{option} belongs to Open Bandit logs, not to Headrace's own records")
    target_names = _targets(target, alone=target_log is not None)
    check_writable(report, "--report")
    check_plot(plot)
    started_at = perf_counter()
    if from_headrace:
        rounds, read = _read_headrace_log(log, rewards, reward, impression_mode, logged_policy, limit)
        if not rounds.design.width > rounds.design.constants and target is None:
            target_names = [each for each in target_names if each == "uniform"]
            typer.echo(
                "The lists have no features, so no policy can be learned: only uniform is asked about."
            )
    else:
        if log is None:  # the check above has seen to that
            raise AssertionError
        rounds, read = _open_bandit(log, items, limit), {}
    other = None if target_log is None else _open_bandit(target_log, None, None)
    evaluation = PolicyEvaluation(
        rounds,
        resamples=resamples,
        folds=folds,
        temperature=temperature,
        seed=seed,
        open_progress=open_progress(),
    )
    estimates = evaluation.run(target_names, other, "" if other is None else other.policies[0])
    report_data = PolicyEvaluationReport(
        run=describe_run(
            [path for path in (log, items, rewards, target_log) if path is not None],
            targets=[str(each) for each in target_names],
            reward=reward,
            impression_mode=impression_mode,
            logged_policy=logged_policy,
            limit=limit,
            temperature=temperature,
            resamples=resamples,
            folds=folds,
            seed=seed,
        ),
        seconds=round(perf_counter() - started_at, 3),
        input_counts=read,
        estimates=estimates,
    )
    write_report(report_data, report)
    if plot is not None:
        plot_targets(estimates, plot)
    print_table(logged_table(estimates))
    typer.echo()
    print_table(targets_table(estimates))
    for name, of in estimates.targets.items():
        typer.echo(f"{name}: {of.verdict.sentence}.")
    notes = "".join(f" {name.capitalize()}: {value}." for name, value in read.items())
    typer.echo(f"\n{len(rounds):,} rounds.{notes} All figures in {report}.")


def estimators(
    report: ReportFile,
    repetitions: Annotated[int, typer.Option(min=10, metavar="N", help="Logs of each world.")] = 200,
    resamples: Annotated[int, typer.Option(min=100, metavar="N", help="Of the bootstrap.")] = 500,
    seed: Seed = 7,
) -> None:
    """Check the estimators on synthetic logs."""
    from time import perf_counter  # noqa: PLC0415

    from stream_app.tools.console import open_progress, print_table  # noqa: PLC0415
    from stream_app.tools.evaluation.policies.estimator_coverage import SCENARIOS, evaluate_estimators  # noqa: PLC0415
    from stream_app.tools.evaluation.policies.policy_report import (  # noqa: PLC0415
        EstimatorsReport,
        describe_run,
        trials_table,
    )
    from stream_app.tools.report_file import check_writable, write_report  # noqa: PLC0415

    check_writable(report, "--report")
    started_at = perf_counter()
    scenarios = {
        name: evaluate_estimators(
            scenario,
            repetitions=repetitions,
            resamples=resamples,
            seed=seed,
            title=name,
            open_progress=open_progress(),
        )
        for name, scenario in SCENARIOS.items()
    }
    report_data = EstimatorsReport(
        run=describe_run([], repetitions=repetitions, resamples=resamples, seed=seed),
        seconds=round(perf_counter() - started_at, 3),
        repetitions=repetitions,
        scenarios=scenarios,
    )
    write_report(report_data, report)
    print_table(trials_table(scenarios))
    typer.echo(f"{repetitions:,} logs of each world; all figures in {report}.")


def _targets(names: str | None, *, alone: bool) -> "list[TargetName]":
    from stream_app.tools.evaluation.policies.policy_evaluation import TargetName  # noqa: PLC0415

    if names is None:
        return [] if alone else list(TargetName)
    try:
        return [TargetName(name.strip()) for name in names.split(",")]
    except ValueError:
        raise UserError(f"--target takes some of {', '.join(TargetName)}, not {names!r}.") from None


def _open_bandit(log: Path, items: Path | None, limit: int | None) -> "Rounds":
    from rich.console import Console  # noqa: PLC0415

    from stream_app.tools.evaluation.policies import open_bandit  # noqa: PLC0415
    from stream_app.tools.progress import row_counter  # noqa: PLC0415

    with row_counter(Console(stderr=True), f"reading {log.name}") as update_progress:
        return open_bandit.read(log, items, limit=limit, update_progress=update_progress)


def _read_headrace_log(
    lists: Path | None,
    rewards: Path | None,
    reward: str,
    impression_mode: str,
    policy: str | None,
    limit: int | None,
) -> "tuple[Rounds, dict[str, Any]]":
    from rich.console import Console  # noqa: PLC0415

    from stream_app.kafka.topic_reader import raw_records  # noqa: PLC0415
    from stream_app.settings import load_settings  # noqa: PLC0415
    from stream_app.tools.evaluation.policies import headrace_log  # noqa: PLC0415
    from stream_app.tools.progress import row_counter  # noqa: PLC0415
    from topics.catalog import LISTS, REWARDS  # noqa: PLC0415

    try:
        mode = headrace_log.ImpressionMode(impression_mode)
    except ValueError:
        raise UserError(
            f"--impression-mode takes one of {', '.join(headrace_log.ImpressionMode)}, not {impression_mode!r}."
        ) from None
    if lists is not None and rewards is not None:
        records = headrace_log.raw_lines(lists), headrace_log.raw_lines(rewards)
    else:
        broker = load_settings().broker
        records = raw_records(broker, LISTS), raw_records(broker, REWARDS)
    with row_counter(Console(stderr=True), "reading lists and rewards") as update_progress:
        read = headrace_log.read(
            *records,
            measure=reward,
            impression_mode=mode,
            policy=policy,
            limit=limit,
            update_progress=update_progress,
        )
    return read.rounds, {
        "lists": read.lists,
        "impressions": str(read.impression_mode),
        "unknown lists with rewards": read.n_unmatched_lists,
        "items without a propensity": read.without_propensity,
        "lists without features": read.without_features,
        "lists with outdated features": read.outdated,
    }
