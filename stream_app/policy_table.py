"""How policies do, as a table for people: of the command and of the demo's screen."""

import math

from rich.table import Table

from stream_app.policy_control import Said
from stream_app.ranker.live.comparison import Comparison, Figure
from stream_app.ranker.live.confidence import Interval

_HEADINGS = {
    Figure.CLICKS: "clicks / list",
    Figure.PURCHASES: "purchases / list",
    Figure.REVENUE: "revenue / list",
    Figure.VALUE: "reward / list",
}


def policy_table(said: Said, comparison: Comparison, control: str) -> Table:
    """Draw the table.

    Parameters
    ----------
    said
        What holds of shares and rests.
    comparison
        What the policies have come to.
    control
        The policy that the others are held against.
    """
    shares = said.split
    table = Table(box=None, pad_edge=False, title_justify="left")
    for heading in ("policy", "share", "shoppers", "lists seen", *_HEADINGS.values(), f"against {control}"):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    standard = comparison.policies.get(control)
    for name in sorted({*said.operator.weights, *comparison.policies}):
        held = comparison.policies.get(name)
        share = "rests" if name in said.resting else f"{shares.fraction(name):.0%}"
        if held is None:
            table.add_row(name, share, "0", "0", *("" for _ in _HEADINGS), "")
            continue
        against = ""
        if standard is not None and name != control and standard.mean(Figure.CLICKS):
            against = f"{held.mean(Figure.CLICKS) / standard.mean(Figure.CLICKS) - 1:+.1%} clicks"
        table.add_row(
            name,
            share,
            f"{held.shoppers:,}",
            f"{held.lists:,.0f}",
            *(_interval(held.interval(figure)) for figure in _HEADINGS),
            against,
        )
    return table


def _interval(interval: Interval) -> str:
    """A mean with its interval, which is left out where there are too few shoppers for one."""
    mean = f"{interval.mean:.4f}" if abs(interval.mean) < 10 else f"{interval.mean:,.2f}"
    if not math.isfinite(interval.high):
        return mean
    return f"{mean} ±{(interval.high - interval.low) / 2:.4f}"
