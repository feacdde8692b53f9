"""``headrace evaluate policy`` and ``headrace evaluate estimators``: off-policy evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command
from stream_app.tools.cli.shared_options import PlotFile, ReportFile

POLICY_HELP = (
    "Estimate the reward of other policies from logged traffic, by off-policy estimators.\n\n"
    "A log has the displayed items, their propensities and rewards. It is one of: a file in the format of the Open "
    "Bandit Dataset (--log, with its items in --items); Headrace's own records, one JSON document a line (topic "
    "`lists` in --log, topic `rewards` in --rewards); the same two topics read from the broker (--broker). Targets: "
    "`uniform`; `greedy` and `softmax` on a reward model that is learned from the first half of the users and "
    "evaluated on the others; the policy of another log (--target-log), with the reward measured on that log. "
    "Results of each target: seven estimates with 95 % intervals, the effective sample size, and a verdict.\n\n"
    "\b\nExamples:\n"
    "  headrace evaluate policy --log random_men.csv.gz \\\n"
    "      --items random_men_item_context.csv --target-log bts_men.csv.gz \\\n"
    "      --report men.json --plot men.png\n"
    "  headrace evaluate policy --broker --reward click --report own.json\n"
    "  headrace evaluate policy --log lists.jsonl --rewards rewards.jsonl \\\n"
    "      --logged-policy thompson --target uniform,greedy --report own.json\n\n"
    "docs/off_policy.md explains each result and when it is reliable."
)

ESTIMATORS_HELP = (
    "Measure the bias of the off-policy estimators, and the coverage of their intervals, on synthetic logs.\n\n"
    "Three scenarios: the class of the reward model is right; it is wrong; the target hardly overlaps with the log. "
    "With N repetitions the coverage of 95 % is known to ± 3 points at N = 200, ± 1 at N = 2,000 (two standard "
    "errors).\n\n"
    "\b\nExamples:\n"
    "  headrace evaluate estimators --report estimators.json\n"
    "  headrace evaluate estimators --repetitions 2000 --report estimators.json"
)

Seed = Annotated[int, typer.Option(help="Seed of folds, draws and resamples.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatePolicyOptions:
    """Options of ``headrace evaluate policy``."""

    report: ReportFile
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Open Bandit CSV, or `lists` records; plain or gzip.")
    ] = None
    items: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Items of an Open Bandit log, with features.")
    ] = None
    rewards: Annotated[
        Path | None, typer.Option(metavar="FILE", help="`rewards` records of the lists in --log.")
    ] = None
    broker: Annotated[
        bool, typer.Option("--broker", help="Read both topics from HEADRACE_BROKER in place of files.")
    ] = False
    target: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Some of uniform, greedy, softmax. By default all, or --target-log alone if given.",
        ),
    ] = None
    target_log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Open Bandit log of one more target.")
    ] = None
    reward: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Reward of Headrace's records: value (weighted by the settings), revenue, or a kind such as click.",
        ),
    ] = "value"
    impression_mode: Annotated[
        str,
        typer.Option(
            metavar="auto|known|all",
            help="Impressions of Headrace's lists: items known to be seen, or all items published. auto: known if "
            "the log has impression events.",
        ),
    ] = "auto"
    logged_policy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only lists of this policy (Headrace's records).")
    ] = None
    limit: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Read only the first N rows or lists.")
    ] = None
    temperature: Annotated[
        float, typer.Option(min=0.01, help="Temperature of softmax, in standard deviations of the scores.")
    ] = 1.0
    resamples: Annotated[int, typer.Option(min=100, metavar="N", help="Resamples of the bootstrap.")] = 1000
    folds: Annotated[
        int, typer.Option(min=2, metavar="N", help="Folds of cross-fitting the reward model.")
    ] = 5
    seed: Seed = 7
    plot: PlotFile = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateEstimatorsOptions:
    """Options of ``headrace evaluate estimators``."""

    report: ReportFile
    repetitions: Annotated[int, typer.Option(min=10, metavar="N", help="Logs a scenario.")] = 200
    resamples: Annotated[int, typer.Option(min=100, metavar="N", help="Resamples of the bootstrap.")] = 500
    seed: Seed = 7


def register(group: typer.Typer) -> None:
    """Add the commands to ``headrace evaluate``."""
    add_command(group, "policy", "evaluate_policy:run", EvaluatePolicyOptions, help=POLICY_HELP)
    add_command(
        group, "estimators", "evaluate_estimators:run", EvaluateEstimatorsOptions, help=ESTIMATORS_HELP
    )
