"""Results of policies as a table."""

import math
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from stream_app.experiment.comparison import ListMetric, PolicyComparison
from stream_app.experiment.confidence_sequence import AnytimeInterval
from stream_app.experiment.control import ControlState

_HEADINGS: Final = {
    ListMetric.CLICKS: "clicks / list",
    ListMetric.PURCHASES: "purchases / list",
    ListMetric.REVENUE: "revenue / list",
    ListMetric.VALUE: "reward / list",
}

_LIFT: Final = "against"

_OPTIONAL_COLUMNS: Final = (
    _HEADINGS[ListMetric.REVENUE],
    _HEADINGS[ListMetric.PURCHASES],
    _LIFT,
    "users",
    "displayed lists",
    _HEADINGS[ListMetric.CLICKS],
)
"""Columns that a narrow terminal omits, in this order; the metric of the guardrail stays."""


class PolicyTable(NamedTuple):
    """A table that fits the terminal.

    Attributes
    ----------
    omitted
        Headings of the columns that do not fit.
    """

    table: Table
    omitted: list[str]


def policy_table(
    control_state: ControlState, comparison: PolicyComparison, control: str, console: Console
) -> PolicyTable:
    """Make the table; names of policies are never truncated.

    A policy without a weight, a pause and a displayed list has no row.

    Parameters
    ----------
    control
        The policy that the others are compared with.
    """
    weighted = {name for name, weight in control_state.operator.weights.items() if weight > 0}
    with_lists = {name for name, metrics in comparison.policies.items() if metrics.lists > 0}
    policies = sorted(weighted | with_lists | control_state.paused)
    rows = [_row(name, control_state, comparison, control) for name in policies]
    omitted: list[str] = []
    optional = [f"against {control}" if heading == _LIFT else heading for heading in _OPTIONAL_COLUMNS]
    unlimited = console.options.update_width(10_000)
    while True:
        headings = [
            heading for heading in _row("", control_state, comparison, control) if heading not in omitted
        ]
        table = Table(box=None, pad_edge=False)
        for heading in headings:
            table.add_column(heading, justify="left" if heading == "policy" else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(row[heading] for heading in headings))
        if not optional or console.measure(table, options=unlimited).maximum <= console.width:
            return PolicyTable(table, omitted)
        omitted.append(optional.pop(0))


def _share(name: str, control_state: ControlState, control: str) -> str:
    split = control_state.split(control)
    fraction = split.fraction(name) if split else 0.0
    if name in control_state.paused and not fraction:
        return "paused"
    return f"{fraction:.0%}" if split else "settings"


def _row(
    name: str, control_state: ControlState, comparison: PolicyComparison, control: str
) -> dict[str, str]:
    """Cells by heading."""
    metrics, control_metrics = comparison.policies.get(name), comparison.policies.get(control)
    lift = ""
    if (
        metrics is not None
        and control_metrics is not None
        and name != control
        and control_metrics.mean(ListMetric.CLICKS)
    ):
        lift = f"{metrics.mean(ListMetric.CLICKS) / control_metrics.mean(ListMetric.CLICKS) - 1:+.1%} clicks"
    return {
        "policy": name,
        "share": _share(name, control_state, control),
        "users": "0" if metrics is None else f"{metrics.users:,}",
        "displayed lists": "0" if metrics is None else f"{metrics.lists:,.0f}",
        **{
            heading: "" if metrics is None else _interval(metrics.interval(metric))
            for metric, heading in _HEADINGS.items()
        },
        f"against {control}": lift,
    }


def _interval(interval: AnytimeInterval) -> str:
    """A mean with its interval, if there are enough users for one."""
    mean = f"{interval.mean:.4f}" if abs(interval.mean) < 10 else f"{interval.mean:,.2f}"
    if not math.isfinite(interval.high):
        return mean
    return f"{mean} ±{(interval.high - interval.low) / 2:.4f}"
