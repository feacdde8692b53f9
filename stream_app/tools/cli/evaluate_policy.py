"""``headrace evaluate policy`` and ``headrace evaluate estimators``: what a log says of other policies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.errors import UserError
from stream_app.tools.cli.evaluate import PlotFile, ReportFile, prepare_plot, show, watch

if TYPE_CHECKING:
    from stream_app.tools.evaluation.policies.policy_evaluation import Target
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
    shown: Annotated[
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

    from stream_app.tools.evaluation.policies.policy_evaluation import PolicyEvaluation  # noqa: PLC0415
    from stream_app.tools.evaluation.policies.policy_report import (  # noqa: PLC0415
        PolicyReport,
        describe,
        logged_table,
        plot_targets,
        targets_table,
    )
    from stream_app.tools.evaluation.report import check_writable, write  # noqa: PLC0415

    if broker == (log is not None):
        raise typer.BadParameter("give either --log FILE or --broker")
    own = broker or rewards is not None
    for option, there in (("--items", items), ("--target-log", target_log)):
        if own and there is not None:
            raise typer.BadParameter(f"{option} belongs to Open Bandit logs, not to Headrace's own records")
    asked = _targets(target, alone=target_log is not None)
    check_writable(report, "--report")
    prepare_plot(plot)
    began = perf_counter()
    if own:
        rounds, read = _own(log, rewards, reward, shown, logged_policy, limit)
        if not rounds.design.width > rounds.design.constants and target is None:
            asked = [each for each in asked if each == "uniform"]
            typer.echo(
                "The lists have no features, so no policy can be learned: only uniform is asked about."
            )
    else:
        if log is None:  # the check above has seen to that
            raise AssertionError
        rounds, read = _open_bandit(log, items, limit), {}
    other = None if target_log is None else _open_bandit(target_log, None, None)
    evaluation = PolicyEvaluation(
        rounds, resamples=resamples, folds=folds, temperature=temperature, seed=seed, watch=watch()
    )
    figures = evaluation.run(asked, other, "" if other is None else other.policies[0])
    outcome = PolicyReport(
        run=describe(
            [path for path in (log, items, rewards, target_log) if path is not None],
            targets=[str(each) for each in asked],
            reward=reward,
            shown=shown,
            logged_policy=logged_policy,
            limit=limit,
            temperature=temperature,
            resamples=resamples,
            folds=folds,
            seed=seed,
        ),
        seconds=round(perf_counter() - began, 3),
        read=read,
        figures=figures,
    )
    write(outcome, report)
    if plot is not None:
        plot_targets(figures, plot)
    show(logged_table(figures))
    typer.echo()
    show(targets_table(figures))
    for name, of in figures.targets.items():
        typer.echo(f"{name}: {of.verdict.sentence}.")
    told = "".join(f" {name.capitalize()}: {value}." for name, value in read.items())
    typer.echo(f"\n{len(rounds):,} rounds.{told} All figures in {report}.")


def estimators(
    report: ReportFile,
    repetitions: Annotated[int, typer.Option(min=10, metavar="N", help="Logs of each world.")] = 200,
    resamples: Annotated[int, typer.Option(min=100, metavar="N", help="Of the bootstrap.")] = 500,
    seed: Seed = 7,
) -> None:
    """Check the estimators on synthetic logs."""
    from time import perf_counter  # noqa: PLC0415

    from stream_app.tools.evaluation.policies.estimator_coverage import WORLDS, try_estimators  # noqa: PLC0415
    from stream_app.tools.evaluation.policies.policy_report import (  # noqa: PLC0415
        EstimatorsReport,
        describe,
        trials_table,
    )
    from stream_app.tools.evaluation.report import check_writable, write  # noqa: PLC0415

    check_writable(report, "--report")
    began = perf_counter()
    worlds = {
        name: try_estimators(
            world, repetitions=repetitions, resamples=resamples, seed=seed, title=name, watch=watch()
        )
        for name, world in WORLDS.items()
    }
    outcome = EstimatorsReport(
        run=describe([], repetitions=repetitions, resamples=resamples, seed=seed),
        seconds=round(perf_counter() - began, 3),
        repetitions=repetitions,
        worlds=worlds,
    )
    write(outcome, report)
    show(trials_table(worlds))
    typer.echo(f"{repetitions:,} logs of each world; all figures in {report}.")


def _targets(names: str | None, *, alone: bool) -> "list[Target]":
    from stream_app.tools.evaluation.policies.policy_evaluation import Target  # noqa: PLC0415

    if names is None:
        return [] if alone else list(Target)
    try:
        return [Target(name.strip()) for name in names.split(",")]
    except ValueError:
        raise UserError(f"--target takes some of {', '.join(Target)}, not {names!r}.") from None


def _open_bandit(log: Path, items: Path | None, limit: int | None) -> "Rounds":
    from rich.console import Console  # noqa: PLC0415

    from stream_app.tools.evaluation.policies import open_bandit  # noqa: PLC0415
    from stream_app.tools.feeds.feed_progress import counting  # noqa: PLC0415

    with counting(Console(stderr=True), f"reading {log.name}") as tell:
        return open_bandit.read(log, items, limit=limit, tell=tell)


def _own(
    lists: Path | None, rewards: Path | None, reward: str, shown: str, policy: str | None, limit: int | None
) -> "tuple[Rounds, dict[str, Any]]":
    from rich.console import Console  # noqa: PLC0415

    from stream_app.settings import load_settings  # noqa: PLC0415
    from stream_app.tools.evaluation.policies import headrace_log as published  # noqa: PLC0415
    from stream_app.tools.evaluation.policies.topic_reader import raw_records  # noqa: PLC0415
    from stream_app.tools.feeds.feed_progress import counting  # noqa: PLC0415
    from topics.catalog import LISTS, REWARDS  # noqa: PLC0415

    try:
        counted = published.Shown(shown)
    except ValueError:
        raise UserError(f"--shown takes one of {', '.join(published.Shown)}, not {shown!r}.") from None
    if lists is not None and rewards is not None:
        records = published.raw_lines(lists), published.raw_lines(rewards)
    else:
        broker = load_settings().broker
        records = raw_records(broker, LISTS), raw_records(broker, REWARDS)
    with counting(Console(stderr=True), "reading lists and rewards") as tell:
        read = published.read(*records, measure=reward, shown=counted, policy=policy, limit=limit, tell=tell)
    return read.rounds, {
        "lists": read.lists,
        "places shown": str(read.shown),
        "rewards of unknown lists": read.unlisted,
        "places without a propensity": read.unlikely,
        "lists without features": read.featureless,
        "lists left out for features of another version": read.outdated,
    }
