"""Reports, tables and plots of policy evaluations."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.table import Table

from stream_app.tools.evaluation.bootstrap import ConfidenceInterval
from stream_app.tools.evaluation.plots import figure_file
from stream_app.tools.evaluation.policies.estimator_coverage import ScenarioResult
from stream_app.tools.evaluation.policies.estimators import Estimator
from stream_app.tools.evaluation.policies.policy_evaluation import PolicyEstimate
from stream_app.tools.evaluation.report import RunDescription, describe_command
from stream_app.tools.evaluation.tables import make_table

TITLES: Final[dict[Estimator, str]] = {
    Estimator.DM: "direct method",
    Estimator.IPS: "IPS",
    Estimator.SNIPS: "self-normalized IPS",
    Estimator.DR: "doubly robust",
    Estimator.SWITCH_DR: "SWITCH-DR",
    Estimator.CLIPPED_IPS: "clipped IPS",
    Estimator.CLIPPED_DR: "clipped DR",
}
"""Names of the estimators in tables and plots."""


class PolicyRun(RunDescription, frozen=True, kw_only=True):
    """Everything needed to repeat a run; no files if topics of a broker were read."""

    options: dict[str, Any]


class PolicyEvaluationReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results of ``headrace evaluate policy``."""

    run: PolicyRun
    seconds: float
    input_counts: dict[str, Any]
    estimates: PolicyEstimate


class EstimatorsReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results of ``headrace evaluate estimators``, by scenario."""

    run: PolicyRun
    seconds: float
    repetitions: int
    scenarios: dict[str, ScenarioResult]


def describe_run(files: Sequence[Path], **options: Any) -> PolicyRun:
    """Describe this run of the command line."""
    return PolicyRun(**describe_command(files, ("headrace", "numpy")), options=options)


def logged_table(estimates: PolicyEstimate) -> Table:
    """A table with the reward of each logging policy in its own rounds."""
    numbers = ("rounds", "users", "rewarded", "reward per round", "less the first")
    table = make_table(("logging policy",), numbers)
    for name, entry in estimates.logged.items():
        table.add_row(
            name,
            *(f"{count:,}" for count in (entry.rounds, entry.users, entry.rewarded)),
            _format_interval(entry.value),
            "" if entry.difference is None else _format_interval(entry.difference, "+"),
        )
    return table


def targets_table(estimates: PolicyEstimate) -> Table:
    """A table with the estimates of each target, then its truth if known."""
    table = make_table(("target", "estimator"), ("reward per round", "less the log's", "clipped"))
    for target, entry in estimates.targets.items():
        labels = [
            f"{target} ({entry.rounds:,} rounds)",
            f"  effective {entry.effective_rounds:,.0f}, rewarded {entry.effective_rewarded_rounds:,.0f}",
            f"  largest weight {entry.largest_weight:,.1f}",
            f"  mean weight {entry.mean_weight.mean:.3f}",
        ]
        rows = [
            (
                TITLES[name],
                _format_interval(estimate.value),
                _format_interval(estimate.difference, "+"),
                "" if estimate.clipped is None else f"{estimate.clipped:.1%} above {estimate.threshold:.3g}",
            )
            for name, estimate in entry.estimates.items()
        ]
        if entry.truth is not None:
            rows.append(("truth: its own log", _format_interval(entry.truth), "", ""))
        for index, row in enumerate(rows):
            style = "bold" if row[0] == TITLES[Estimator.DR] else None
            table.add_row(labels[index] if index < len(labels) else "", *row, style=style)
        table.add_section()
    return table


def trials_table(scenarios: dict[str, ScenarioResult]) -> Table:
    """A table with bias and coverage by scenario and estimator."""
    numbers = ("bias", "of truth", "spread", "std error", "coverage", "width", "clipped")
    table = make_table(("scenario", "estimator"), numbers)
    for scenario, entry in scenarios.items():
        labels = [
            f"{scenario} (truth {entry.truth:.4f})",
            f"  {entry.rounds:,} rounds, {entry.rewarded:,.0f} clicks",
            f"  effective {entry.effective_rounds:,.0f}",
        ]
        for index, (name, estimate) in enumerate(entry.trials.items()):
            table.add_row(
                labels[index] if index < len(labels) else "",
                TITLES[name],
                f"{estimate.bias:+.5f} ±{estimate.bias_std_error:.5f}",
                f"{estimate.bias / entry.truth:+.1%}",
                f"{estimate.std_dev:.5f}",
                f"{estimate.std_error:.5f}",
                f"{estimate.coverage:.1%}",
                f"{estimate.width:.4f}",
                f"{estimate.clipped:.2%}",
            )
        table.add_section()
    return table


def plot_targets(estimates: PolicyEstimate, path: Path) -> None:
    """Plot the intervals by estimator, one panel a target; lines for the logging policy and the truth."""
    count = len(estimates.targets)
    with figure_file(path, 12, 1 + 2.2 * count) as figure:
        panels = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
        for axes, (target, entry) in zip(panels, estimates.targets.items(), strict=True):
            values = [estimate.value for estimate in entry.estimates.values()]
            axes.errorbar(
                [each.mean for each in values],
                range(len(values)),
                xerr=[[each.mean - each.low for each in values], [each.high - each.mean for each in values]],
                fmt="o",
                capsize=4,
            )
            axes.axvline(entry.on_policy.mean, color="grey", label="logging policy")
            if entry.truth is not None:
                axes.axvline(entry.truth.mean, color="green", linestyle="--", label="truth")
            axes.set_yticks(range(len(values)), [TITLES[name] for name in entry.estimates])
            axes.invert_yaxis()
            axes.set_title(f"{target}: effective {entry.effective_rounds:,.0f} of {entry.rounds:,} rounds")
        panels[-1].set_xlabel("reward per round, with 95 % intervals")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)


def _format_interval(interval: ConfidenceInterval, sign: str = "") -> str:
    return f"{interval.mean:{sign}.4f} ({interval.low:{sign}.4f} to {interval.high:{sign}.4f})"
