"""Which policies are surely worse than the control, and have to rest."""

from collections.abc import Collection
from typing import NamedTuple

from stream_app.experiment.comparison import ListMetric, PolicyComparison
from stream_app.experiment.confidence_sequence import CONFIDENCE_LEVEL, AnytimeInterval


class GuardrailViolation(NamedTuple):
    """A policy that is surely worse than the control.

    Attributes
    ----------
    policy
        Which.
    metric
        By what.
    measured, control
        What it comes to per list, with intervals.
    """

    policy: str
    metric: ListMetric
    measured: AnytimeInterval
    control: AnytimeInterval


def guardrail_violations(
    comparison: PolicyComparison,
    control: str,
    margin: float,
    metric: ListMetric = ListMetric.VALUE,
    paused: Collection[str] = (),
) -> list[GuardrailViolation]:
    """The policies whose figure is surely more than a margin below the control's.

    The intervals hold at any time one looks, so this may be asked as often as one likes; of all that are as good as
    the control less the margin, about 1 - `confidence_sequence.CONFIDENCE_LEVEL` a policy at most are ever found. A
    policy's deviation is taken to be the control's at the least: of one with few shoppers no reaction may have come
    yet.

    Where lists are known to be seen from reactions alone, nobody knows how many were seen without: nothing is found.

    Parameters
    ----------
    comparison
        What the policies have come to.
    control
        The policy that the others are held against.
    margin
        Share of the control's figure that another may lack, from 0.
    metric
        What is compared.
    paused
        Policies that rest already.
    """
    metrics_by_policy = comparison.policies
    if control not in metrics_by_policy or not metrics_by_policy[control].lists_with_impression:
        return []
    level = 1.0 - (1.0 - CONFIDENCE_LEVEL) / 2.0
    control_interval, control_deviation = (
        metrics_by_policy[control].interval(metric, level),
        metrics_by_policy[control].deviation(metric),
    )
    violations = []
    for name, metrics in metrics_by_policy.items():
        if name == control or name in paused or not metrics.lists_with_impression:
            continue
        measured = metrics.interval(metric, level, control_deviation)
        if measured.high < control_interval.low - margin * abs(control_interval.low):
            violations.append(GuardrailViolation(name, metric, measured, control_interval))
    return violations
