"""What a run came to: as JSON, and as a table."""

import math
from typing import Final

import msgspec
import numpy as np
from rich.table import Table

from stream_app.tools.evaluation.statistics import Interval
from stream_app.tools.simulator.tally import FALLBACK, Tally
from stream_app.tools.simulator.user_outcomes import CLICK_THROUGH, EXPECTED, FIGURES, Outcomes
from topics.events import Click, Impression, Purchase, Search

CURVE_BINS: Final = 60
"""Points of a regret curve."""

_CONTROLS: Final = ("popularity", "fixed")
_DAY: Final = 86_400.0


class PolicyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy's lists came to; intervals are 95 %, by resampling shoppers.

    Attributes
    ----------
    policy
        As the lists say it; ``(fallback)`` behind it for lists that were not the shopper's own.
    shoppers, lists, examined
        Who saw it; lists looked at; items looked at.
    clicks, conversions, revenue
        On the lists; order lines that came from them, and what they brought.
    click_through, click_through_per_item, conversion_rate, revenue_per_list
        Clicks per list; per item looked at; order lines per list; revenue per list.
    expected_click_through, best_click_through
        The chance of a click on the lists shown and on the best ones, where it is known (generated shoppers).
    """

    policy: str
    shoppers: int
    lists: int
    examined: int
    clicks: int
    conversions: int
    revenue: float
    click_through: Interval
    click_through_per_item: Interval
    conversion_rate: Interval
    revenue_per_list: Interval
    expected_click_through: Interval | None = None
    best_click_through: Interval | None = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One policy against another in one figure: the difference, and the lift in percent."""

    policy: str
    against: str
    figure: str
    difference: Interval
    lift_percent: Interval


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Regret of a policy over the shop's time.

    Attributes
    ----------
    policy
        Its name.
    lists
        Looked at in each piece of time.
    per_list
        The chance of a click on the best list less that on the list shown, on average there; None without lists.
    cumulative
        Its sum since the beginning, at the end of each piece.
    """

    policy: str
    lists: list[int]
    per_list: list[float | None]
    cumulative: list[float]


class Regret(msgspec.Struct, frozen=True, kw_only=True):
    """Regret curves: `days` are the ends of the pieces of time, `shifts` when tastes changed."""

    days: list[float]
    shifts: list[float]
    curves: list[Curve]


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What was run."""

    shoppers: str
    seed: int
    tenth: int | None = None
    warm_up_events: int = 0
    at_once: int = 48
    rate: float = 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A run.

    Attributes
    ----------
    setup
        What was run.
    interrupted
        Whether it was ended early.
    shoppers, finished
        Who came by; who did all they were to do.
    events, clicks, searches, purchases, impressions
        Sent.
    seconds, events_per_second
        How long the loop took.
    lists, late, unlisted
        Lists looked at; those that had not come in time and were of before; steps without any list.
    sales_without_list, revenue_without_list
        Order lines whose item was not clicked on a list, and what they brought.
    policies, differences
        See there.
    regret
        Where the best list is known.
    """

    setup: Setup
    interrupted: bool
    shoppers: int
    finished: int
    events: int
    clicks: int
    searches: int
    purchases: int
    impressions: int
    seconds: float
    events_per_second: float
    lists: int
    late: int
    unlisted: int
    sales_without_list: int
    revenue_without_list: float
    policies: list[PolicyFigures]
    differences: list[Difference]
    regret: Regret | None = None


def make_report(
    tally: Tally,
    outcomes: Outcomes,
    setup: Setup,
    *,
    seconds: float,
    interrupted: bool,
    regret: Regret | None = None,
) -> Report:
    """Sum up.

    Parameters
    ----------
    tally
        Of the run.
    outcomes
        Its sums, and those of another run beside them.
    setup
        What was run.
    seconds
        How long it took.
    interrupted
        Whether it was ended early.
    regret
        Curves.
    """
    return Report(
        setup=setup,
        interrupted=interrupted,
        shoppers=len(tally.users),
        finished=tally.finished,
        events=tally.events,
        clicks=tally.sent(Click),
        searches=tally.sent(Search),
        purchases=tally.sent(Purchase),
        impressions=tally.sent(Impression),
        seconds=round(seconds, 2),
        events_per_second=round(tally.events / seconds, 1) if seconds > 0 else 0.0,
        lists=tally.lists,
        late=tally.late,
        unlisted=tally.unlisted,
        sales_without_list=tally.unled_lines,
        revenue_without_list=round(tally.unled_revenue, 2),
        policies=[_figures(outcomes, policy) for policy in outcomes.policies],
        differences=_differences(outcomes),
        regret=regret,
    )


def _figures(outcomes: Outcomes, policy: str) -> PolicyFigures:
    known = not math.isnan(outcomes.total(policy, "best"))
    wanted = (*FIGURES, *EXPECTED) if known else FIGURES
    intervals = dict(zip([figure.name for figure in wanted], outcomes.intervals(policy, wanted), strict=True))
    return PolicyFigures(
        policy=policy,
        shoppers=outcomes.shoppers(policy),
        lists=round(outcomes.total(policy, "lists")),
        examined=round(outcomes.total(policy, "examined")),
        clicks=round(outcomes.total(policy, "clicks")),
        conversions=round(outcomes.total(policy, "conversions")),
        revenue=round(outcomes.total(policy, "revenue"), 2),
        **intervals,
    )


def control_of(policies: list[str]) -> str | None:
    """What the others are held against first: `popularity`, `fixed`, or else the first there is.

    Examples
    --------
    >>> control_of(["thompson", "rrf (fallback)", "fixed"])
    'fixed'
    >>> control_of(["rrf (fallback)", "learned"])
    'learned'
    """
    own = [policy for policy in policies if FALLBACK not in policy]
    return next((name for name in _CONTROLS if name in own), own[0] if own else None)


def _differences(outcomes: Outcomes) -> list[Difference]:
    control = control_of(outcomes.policies)
    order = sorted(outcomes.policies, key=lambda policy: policy != control)
    return [
        Difference(
            policy=policy,
            against=against,
            figure=figure.name,
            difference=outcomes.difference(policy, against, figure),
            lift_percent=outcomes.lift(policy, against, figure),
        )
        for place, against in enumerate(order)
        for policy in order[place + 1 :]
        for figure in FIGURES
        if outcomes.total(against, figure.over) or outcomes.total(policy, figure.over)
    ]


def regret_of(tally: Tally, begin: float, end: float, shifts: list[float], bins: int = CURVE_BINS) -> Regret:
    """Regret curves of the shoppers' own lists.

    Parameters
    ----------
    tally
        Of generated shoppers.
    begin, end
        The shop's time, seconds.
    shifts
        When tastes changed, seconds.
    bins
        Pieces of time.
    """
    shown = tally.shown()
    edges = np.linspace(begin, end, bins + 1)
    piece = np.clip(np.searchsorted(edges, shown.time, side="right") - 1, 0, bins - 1)
    curves = []
    for policy, number in tally.policies.items():
        if FALLBACK in policy:
            continue
        mine = shown.policy == number
        lists = np.bincount(piece[mine], minlength=bins)
        regret = np.bincount(piece[mine], weights=(shown.best - shown.expected)[mine], minlength=bins)
        curves.append(
            Curve(
                policy=policy,
                lists=lists.tolist(),
                per_list=[
                    round(r / n, 6) if n else None
                    for r, n in zip(regret.tolist(), lists.tolist(), strict=True)
                ],
                cumulative=np.cumsum(regret).round(3).tolist(),
            )
        )
    return Regret(
        days=((edges[1:] - begin) / _DAY).round(4).tolist(),
        shifts=[round((shift - begin) / _DAY, 4) for shift in shifts],
        curves=curves,
    )


def table_of(report: Report) -> Table:
    """The policies side by side."""
    known = any(figures.best_click_through for figures in report.policies)
    table = Table("policy", box=None, pad_edge=False)
    numbers = ["lists", "click-through", "conversion", "revenue a list"]
    for name in [*numbers, *(["regret a list"] if known else []), "lift of click-through"]:
        table.add_column(name, justify="right")
    lifts = {
        d.policy: f"{_percent(d.lift_percent)} over {d.against}"
        for d in report.differences
        if d.figure == CLICK_THROUGH.name
        and d.against == control_of([each.policy for each in report.policies])
    }
    for figures in report.policies:
        row = [
            figures.policy,
            f"{figures.lists:,}",
            _interval(figures.click_through),
            _interval(figures.conversion_rate),
            _interval(figures.revenue_per_list, 2),
        ]
        if known:
            best, shown = figures.best_click_through, figures.expected_click_through
            row.append(f"{best.mean - shown.mean:.4f}" if best and shown else "")
        table.add_row(*row, lifts.get(figures.policy, ""))
    return table


def _interval(interval: Interval, digits: int = 4) -> str:
    return f"{interval.mean:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _percent(interval: Interval) -> str:
    if math.isnan(interval.low):
        return "unknown"
    return f"{interval.mean:+.1f} % [{interval.low:+.1f}, {interval.high:+.1f}]"
