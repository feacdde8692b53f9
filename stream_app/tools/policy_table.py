"""How policies do, as a table for people."""

import math
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from stream_app.experiment.comparison import Comparison, Figure
from stream_app.experiment.confidence_sequence import Interval
from stream_app.experiment.control import Control

_HEADINGS: Final = {
    Figure.CLICKS: "clicks / list",
    Figure.PURCHASES: "purchases / list",
    Figure.REVENUE: "revenue / list",
    Figure.VALUE: "reward / list",
}

_AGAINST: Final = "against"

_EXPENDABLE: Final = (
    _HEADINGS[Figure.REVENUE],
    _HEADINGS[Figure.PURCHASES],
    _AGAINST,
    "shoppers",
    "lists seen",
    _HEADINGS[Figure.CLICKS],
)
"""Columns that are left out of a narrow terminal, the first first; what the guard judges by stays."""


class PolicyTable(NamedTuple):
    """How policies do, as wide as a terminal.

    Attributes
    ----------
    table
        To be printed.
    left_out
        Headings of the columns for which there is no room.
    """

    table: Table
    left_out: list[str]


def policy_table(said: Control, comparison: Comparison, control: str, console: Console) -> PolicyTable:
    """Draw the table; policies are named in full, however narrow it is.

    A policy that has no weight, was not put to rest, and of which no list was seen, has no row.

    Parameters
    ----------
    said
        What holds of shares and rests.
    comparison
        What the policies have come to.
    control
        The policy that the others are held against.
    console
        Where it goes.
    """
    weighted = {name for name, weight in said.operator.weights.items() if weight > 0}
    seen = {name for name, figures in comparison.policies.items() if figures.lists > 0}
    shown = sorted(weighted | seen | said.resting)
    rows = [_row(name, said, comparison, control) for name in shown]
    left_out: list[str] = []
    expendable = [f"against {control}" if heading == _AGAINST else heading for heading in _EXPENDABLE]
    unlimited = console.options.update_width(10_000)
    while True:
        headings = [heading for heading in _row("", said, comparison, control) if heading not in left_out]
        table = Table(box=None, pad_edge=False)
        for heading in headings:
            table.add_column(heading, justify="left" if heading == "policy" else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(row[heading] for heading in headings))
        if not expendable or console.measure(table, options=unlimited).maximum <= console.width:
            return PolicyTable(table, left_out)
        left_out.append(expendable.pop(0))


def _share(name: str, said: Control, control: str) -> str:
    split = said.split(control)
    fraction = split.fraction(name) if split else 0.0
    if name in said.resting and not fraction:
        return "rests"
    return f"{fraction:.0%}" if split else "settings"


def _row(name: str, said: Control, comparison: Comparison, control: str) -> dict[str, str]:
    """Cells by heading."""
    held, standard = comparison.policies.get(name), comparison.policies.get(control)
    against = ""
    if held is not None and standard is not None and name != control and standard.mean(Figure.CLICKS):
        against = f"{held.mean(Figure.CLICKS) / standard.mean(Figure.CLICKS) - 1:+.1%} clicks"
    return {
        "policy": name,
        "share": _share(name, said, control),
        "shoppers": "0" if held is None else f"{held.shoppers:,}",
        "lists seen": "0" if held is None else f"{held.lists:,.0f}",
        **{
            heading: "" if held is None else _interval(held.interval(figure))
            for figure, heading in _HEADINGS.items()
        },
        f"against {control}": against,
    }


def _interval(interval: Interval) -> str:
    """A mean with its interval, which is left out where there are too few shoppers for one."""
    mean = f"{interval.mean:.4f}" if abs(interval.mean) < 10 else f"{interval.mean:,.2f}"
    if not math.isfinite(interval.high):
        return mean
    return f"{mean} ±{(interval.high - interval.low) / 2:.4f}"
