"""What came out, as reports, tables and pictures."""

import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.table import Table

from stream_app.tools.evaluation.plots import picture
from stream_app.tools.evaluation.policies.estimator_coverage import WorldFigures
from stream_app.tools.evaluation.policies.estimators import Estimator
from stream_app.tools.evaluation.policies.policy_evaluation import PolicyFigures
from stream_app.tools.evaluation.report import DataFile
from stream_app.tools.evaluation.statistics import Interval

TITLES: Final[dict[Estimator, str]] = {
    Estimator.DM: "direct method",
    Estimator.IPS: "IPS",
    Estimator.SNIPS: "self-normalised IPS",
    Estimator.DR: "doubly robust",
    Estimator.SWITCH_DR: "SWITCH-DR",
    Estimator.CLIPPED_IPS: "clipped IPS",
    Estimator.CLIPPED_DR: "clipped DR",
}
"""Estimators as people call them."""


class PolicyRun(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to do the run again.

    Attributes
    ----------
    command
        The command line.
    files
        What was read; none where it was topics of a broker.
    versions
        Of Python and the libraries that figures depend on.
    options
        Those that figures depend on, each by its name.
    """

    command: str
    files: list[DataFile]
    versions: dict[str, str]
    options: dict[str, Any]


class PolicyReport(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of ``headrace evaluate policy``."""

    run: PolicyRun
    seconds: float
    read: dict[str, Any]
    figures: PolicyFigures


class EstimatorsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of ``headrace evaluate estimators``: each world's trials."""

    run: PolicyRun
    seconds: float
    repetitions: int
    worlds: dict[str, WorldFigures]


def describe(files: Sequence[Path], **options: Any) -> PolicyRun:
    """Describe this run of the command line."""
    return PolicyRun(
        command=shlex.join(("headrace", *sys.argv[1:])),
        files=[DataFile(str(path), path.stat().st_size) for path in files],
        versions={"python": sys.version.split()[0]} | {name: version(name) for name in ("headrace", "numpy")},
        options=options,
    )


def logged_table(figures: PolicyFigures) -> Table:
    """What each policy earned in its own rounds."""
    table = Table(box=None, pad_edge=False)
    table.add_column("policy that wrote the log", no_wrap=True)
    for name in ("rounds", "shoppers", "rewarded", "reward a round", "less the first"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, of in figures.logged.items():
        table.add_row(
            name,
            *(f"{count:,}" for count in (of.rounds, of.shoppers, of.rewarded)),
            _between(of.value),
            "" if of.difference is None else _between(of.difference, "+"),
        )
    return table


def targets_table(figures: PolicyFigures) -> Table:
    """Each target: the estimates, then its truth where that is known."""
    table = Table(box=None, pad_edge=False)
    for name in ("target", "estimator"):
        table.add_column(name, no_wrap=True)
    for name in ("reward a round", "less the log's own", "clipped"):
        table.add_column(name, justify="right", no_wrap=True)
    for target, of in figures.targets.items():
        labels = [
            f"{target} ({of.rounds:,} rounds)",
            f"  effective {of.effective:,.0f}, rewarded {of.effective_rewarded:,.0f}",
            f"  largest weight {of.largest_weight:,.1f}",
            f"  mean weight {of.mean_weight.mean:.3f}",
        ]
        rows = [
            (
                TITLES[name],
                _between(one.value),
                _between(one.difference, "+"),
                "" if one.clipped is None else f"{one.clipped:.1%} above {one.threshold:.3g}",
            )
            for name, one in of.estimates.items()
        ]
        if of.truth is not None:
            rows.append(("truth: its own log", _between(of.truth), "", ""))
        for at, row in enumerate(rows):
            style = "bold" if row[0] == TITLES[Estimator.DR] else None
            table.add_row(labels[at] if at < len(labels) else "", *row, style=style)
        table.add_section()
    return table


def trials_table(worlds: dict[str, WorldFigures]) -> Table:
    """Each world: bias and coverage by estimator."""
    table = Table(box=None, pad_edge=False)
    for name in ("world", "estimator"):
        table.add_column(name, no_wrap=True)
    for name in ("bias", "of truth", "spread", "std error", "coverage", "width", "clipped"):
        table.add_column(name, justify="right", no_wrap=True)
    for world, of in worlds.items():
        labels = [
            f"{world} (truth {of.truth:.4f})",
            f"  {of.rounds:,} rounds, {of.rewarded:,.0f} clicks",
            f"  effective {of.effective:,.0f}",
        ]
        for at, (name, one) in enumerate(of.trials.items()):
            table.add_row(
                labels[at] if at < len(labels) else "",
                TITLES[name],
                f"{one.bias:+.5f} ±{one.bias_error:.5f}",
                f"{one.bias / of.truth:+.1%}",
                f"{one.spread:.5f}",
                f"{one.error:.5f}",
                f"{one.coverage:.1%}",
                f"{one.width:.4f}",
                f"{one.clipped:.2%}",
            )
        table.add_section()
    return table


def plot_targets(figures: PolicyFigures, path: Path) -> None:
    """Bars of intervals by estimator, a panel a target; the log's own value and the truth as lines."""
    count = len(figures.targets)
    with picture(path, 12, 1 + 2.2 * count) as figure:
        panels = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
        for axes, (target, of) in zip(panels, figures.targets.items(), strict=True):
            values = [one.value for one in of.estimates.values()]
            axes.errorbar(
                [each.mean for each in values],
                range(len(values)),
                xerr=[[each.mean - each.low for each in values], [each.high - each.mean for each in values]],
                fmt="o",
                capsize=4,
            )
            axes.axvline(of.on_policy.mean, color="grey", label="the log's own policy")
            if of.truth is not None:
                axes.axvline(of.truth.mean, color="green", linestyle="--", label="truth")
            axes.set_yticks(range(len(values)), [TITLES[name] for name in of.estimates])
            axes.invert_yaxis()
            axes.set_title(f"{target}: effective {of.effective:,.0f} of {of.rounds:,} rounds")
        panels[-1].set_xlabel("reward a round, with 95 % intervals")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)


def _between(interval: Interval, sign: str = "") -> str:
    return f"{interval.mean:{sign}.4f} ({interval.low:{sign}.4f} to {interval.high:{sign}.4f})"
