"""The report of a run, as JSON and as a table."""

import math
from typing import Final

import msgspec
from rich.table import Table

from stream_app.tools.evaluation.bootstrap import ConfidenceInterval
from stream_app.tools.simulator.regret import Regret
from stream_app.tools.simulator.tally import FALLBACK, SimulationTally
from stream_app.tools.simulator.user_outcomes import (
    CLICK_THROUGH_RATE,
    EXPECTED_METRICS,
    METRICS,
    UserOutcomes,
)
from topics.events import Click, Impression, Purchase, Search

_CONTROL_POLICIES: Final = ("popularity", "fixed")


class PolicySummary(msgspec.Struct, frozen=True, kw_only=True):
    """Results of one policy, with 95 % bootstrap intervals over users.

    Attributes
    ----------
    policy
        Policy of the lists, with the suffix ``(fallback)`` for lists that are not personal.
    users, lists, examined
        Users who saw its lists; examined lists; examined items.
    clicks, conversions, revenue
        Clicks on the lists; attributed order lines; their revenue.
    click_through, click_through_per_item, conversion_rate, revenue_per_list
        Clicks per list; clicks per examined item; order lines per list; revenue per list.
    expected_click_through, best_click_through
        Mean click probability of the displayed and of the best lists; None for logged users, where it is unknown.
    """

    policy: str
    users: int
    lists: int
    examined: int
    clicks: int
    conversions: int
    revenue: float
    click_through: ConfidenceInterval
    click_through_per_item: ConfidenceInterval
    conversion_rate: ConfidenceInterval
    revenue_per_list: ConfidenceInterval
    expected_click_through: ConfidenceInterval | None = None
    best_click_through: ConfidenceInterval | None = None


class PolicyDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Difference and lift in percent of one metric between a policy and a baseline policy."""

    policy: str
    baseline: str
    metric: str
    difference: ConfidenceInterval
    lift_percent: ConfidenceInterval


class SimulationSetup(msgspec.Struct, frozen=True, kw_only=True):
    """Setup of a run."""

    users: str
    seed: int
    tenth: int | None = None
    warm_up_events: int = 0
    concurrency: int = 48
    rate: float = 0.0


class SimulationReport(msgspec.Struct, frozen=True, kw_only=True):
    """Results of a run.

    Attributes
    ----------
    interrupted
        Whether a signal ended the run early.
    users, finished
        Users of the run; users who took all their steps.
    events, clicks, searches, purchases, impressions
        Events sent.
    seconds, events_per_second
        Duration and event rate of the loop.
    lists, late_lists, steps_without_list
        Examined lists; steps whose new list was not published in time, so that they had the previous list or none;
        steps without any list.
    sales_without_list, revenue_without_list
        Order lines that are not attributed to a list, and their revenue.
    policies, differences
        Results by policy, and comparisons.
    regret
        Regret curves; None for logged users.
    """

    setup: SimulationSetup
    interrupted: bool
    users: int
    finished: int
    events: int
    clicks: int
    searches: int
    purchases: int
    impressions: int
    seconds: float
    events_per_second: float
    lists: int
    late_lists: int
    steps_without_list: int
    sales_without_list: int
    revenue_without_list: float
    policies: list[PolicySummary]
    differences: list[PolicyDifference]
    regret: Regret | None = None


def build_report(
    tally: SimulationTally,
    outcomes: UserOutcomes,
    setup: SimulationSetup,
    *,
    seconds: float,
    interrupted: bool,
    regret: Regret | None = None,
) -> SimulationReport:
    """Build the report.

    Parameters
    ----------
    outcomes
        Outcomes of its users, and of a baseline run if there is one.
    """
    return SimulationReport(
        setup=setup,
        interrupted=interrupted,
        users=len(tally.users),
        finished=tally.finished,
        events=tally.events,
        clicks=tally.sent(Click),
        searches=tally.sent(Search),
        purchases=tally.sent(Purchase),
        impressions=tally.sent(Impression),
        seconds=round(seconds, 2),
        events_per_second=round(tally.events / seconds, 1) if seconds > 0 else 0.0,
        lists=tally.lists,
        late_lists=tally.late_lists,
        steps_without_list=tally.steps_without_list,
        sales_without_list=tally.unattributed_lines,
        revenue_without_list=round(tally.unattributed_revenue, 2),
        policies=[_summarize_policy(outcomes, policy) for policy in outcomes.policies],
        differences=_differences(outcomes),
        regret=regret,
    )


def _summarize_policy(outcomes: UserOutcomes, policy: str) -> PolicySummary:
    has_best = not math.isnan(outcomes.total(policy, "best"))
    metrics_to_report = (*METRICS, *EXPECTED_METRICS) if has_best else METRICS
    intervals = dict(
        zip(
            [metric.name for metric in metrics_to_report],
            outcomes.intervals(policy, metrics_to_report),
            strict=True,
        )
    )
    return PolicySummary(
        policy=policy,
        users=outcomes.n_users(policy),
        lists=round(outcomes.total(policy, "lists")),
        examined=round(outcomes.total(policy, "examined")),
        clicks=round(outcomes.total(policy, "clicks")),
        conversions=round(outcomes.total(policy, "conversions")),
        revenue=round(outcomes.total(policy, "revenue"), 2),
        **intervals,
    )


def choose_control(policies: list[str]) -> str | None:
    """Choose the control policy: `popularity`, else `fixed`, else the first one with personal lists.

    Examples
    --------
    >>> choose_control(["thompson", "rrf (fallback)", "fixed"])
    'fixed'
    >>> choose_control(["rrf (fallback)", "learned"])
    'learned'
    """
    policy_lists = [policy for policy in policies if FALLBACK not in policy]
    return next(
        (name for name in _CONTROL_POLICIES if name in policy_lists),
        policy_lists[0] if policy_lists else None,
    )


def _differences(outcomes: UserOutcomes) -> list[PolicyDifference]:
    control = choose_control(outcomes.policies)
    order = sorted(outcomes.policies, key=lambda policy: policy != control)
    return [
        PolicyDifference(
            policy=policy,
            baseline=baseline,
            metric=metric.name,
            difference=outcomes.difference(policy, baseline, metric),
            lift_percent=outcomes.lift(policy, baseline, metric),
        )
        for index, baseline in enumerate(order)
        for policy in order[index + 1 :]
        for metric in METRICS
        if outcomes.total(baseline, metric.numerator) or outcomes.total(policy, metric.numerator)
    ]


def build_table(report: SimulationReport) -> Table:
    """Build a table with one row per policy."""
    has_best = any(metrics.best_click_through for metrics in report.policies)
    table = Table("policy", box=None, pad_edge=False)
    numbers = ["lists", "click-through", "conversion", "revenue/list"]
    for name in [*numbers, *(["regret/list"] if has_best else []), "click-through lift"]:
        table.add_column(name, justify="right")
    lifts = {
        d.policy: f"{_format_percent(d.lift_percent)} over {d.baseline}"
        for d in report.differences
        if d.metric == CLICK_THROUGH_RATE.name
        and d.baseline == choose_control([each.policy for each in report.policies])
    }
    for metrics in report.policies:
        row = [
            metrics.policy,
            f"{metrics.lists:,}",
            _format_interval(metrics.click_through),
            _format_interval(metrics.conversion_rate),
            _format_interval(metrics.revenue_per_list, 2),
        ]
        if has_best:
            best, displayed = metrics.best_click_through, metrics.expected_click_through
            row.append(f"{best.mean - displayed.mean:.4f}" if best and displayed else "")
        table.add_row(*row, lifts.get(metrics.policy, ""))
    return table


def _format_interval(interval: ConfidenceInterval, digits: int = 4) -> str:
    return f"{interval.mean:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _format_percent(interval: ConfidenceInterval) -> str:
    if math.isnan(interval.low):
        return "unknown"
    return f"{interval.mean:+.1f} % [{interval.low:+.1f}, {interval.high:+.1f}]"
