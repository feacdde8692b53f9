"""Results by policy, parsed from the metrics of a worker."""

import math
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from prometheus_client.samples import Sample


class PolicyStats(msgspec.Struct, frozen=True):
    """Results of one policy; each worker exposes the results over all partitions.

    Attributes
    ----------
    share
        Traffic share of the policy.
    paused
        Whether the guardrail or an operator has paused it.
    users
        Users who saw a list of the policy.
    clicks, revenue, purchases
        Mean per displayed list, and the bounds of its anytime-valid confidence interval. Bounds are infinite while
        there are too few users; all three are NaN before the first value.
    """

    share: float = 0.0
    paused: bool = False
    users: float = 0.0
    clicks: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    revenue: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    purchases: tuple[float, float, float] = (math.nan, math.nan, math.nan)


_BOUND_NAMES: Final = ("mean", "low", "high")

_PER_LIST_METRICS: Final = frozenset({"clicks", "revenue", "purchases"})


def parse_policy_stats(samples: Iterable[Sample]) -> dict[str, PolicyStats]:
    """Parse the results of the policies that have or had traffic from a worker's samples.

    A worker also exposes results of lists that no policy ranked (search lists, degraded lists, all lists with a
    single policy) under the name of their ranking. These have no share and are skipped.

    Examples
    --------
    >>> from stream_app.tools.environment.metrics_endpoint import parse_samples
    >>> parse_policy_stats(parse_samples('headrace_policy_share_ratio{policy="fixed"} 1.0'))["fixed"].share
    1.0
    >>> parse_policy_stats(parse_samples('headrace_policy_users{policy="learned"} 9.0'))
    {}
    """
    stats: dict[str, dict[str, Any]] = {}
    for sample in samples:
        name = sample.labels.get("policy", "")
        if sample.name == "headrace_policy_share_ratio":
            stats.setdefault(name, {})["share"] = sample.value
        elif sample.name == "headrace_policy_paused":
            stats.setdefault(name, {})["paused"] = sample.value > 0
        elif sample.name == "headrace_policy_users":
            stats.setdefault(name, {})["users"] = sample.value
        elif (
            sample.name == "headrace_policy_metric_per_list" and sample.labels["metric"] in _PER_LIST_METRICS
        ):
            bounds = stats.setdefault(name, {}).setdefault(sample.labels["metric"], [math.nan] * 3)
            bounds[_BOUND_NAMES.index(sample.labels["bound"])] = sample.value
    with_share = {
        name: msgspec.convert(policy, PolicyStats)
        for name, policy in sorted(stats.items())
        if "share" in policy
    }
    return {name: policy for name, policy in with_share.items() if policy.share or policy.users}
