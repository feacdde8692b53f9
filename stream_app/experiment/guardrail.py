"""Policies that are significantly worse than the control and must be paused."""

from collections.abc import Collection
from typing import NamedTuple

from stream_app.experiment.comparison import ListMetric, PolicyComparison
from stream_app.experiment.confidence_sequence import CONFIDENCE_LEVEL, AnytimeInterval


class GuardrailViolation(NamedTuple):
    """A policy that is significantly worse than the control."""

    policy: str
    metric: ListMetric
    # measured, control: mean per list of the policy and of the control, with intervals
    measured: AnytimeInterval
    control: AnytimeInterval


def guardrail_violations(
    comparison: PolicyComparison,
    control: str,
    margin: float,
    metric: ListMetric = ListMetric.VALUE,
    paused: Collection[str] = (),
) -> list[GuardrailViolation]:
    """Find the policies whose metric is significantly more than a margin below the control's.

    The intervals hold at all times, so this may be called any number of times: the probability that a policy as good
    as the control less the margin is ever found is at most about 1 - `confidence_sequence.CONFIDENCE_LEVEL`. The
    control's standard deviation is a lower bound of a policy's: one with few users may have no reactions yet.

    Without impression events the number of displayed lists without a reaction is unknown, and nothing is found.

    Parameters
    ----------
    comparison
        Metrics of the policies.
    control
        The policy that the others are compared with.
    margin
        Tolerated loss relative to the control's metric, from 0.
    metric
        The metric compared.
    paused
        Policies that are paused already; they are skipped.
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
