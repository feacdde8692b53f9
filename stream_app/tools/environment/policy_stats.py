"""Results by policy, parsed from the metrics of a worker."""

import math
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from prometheus_client.samples import Sample


class PolicyStats(msgspec.Struct, frozen=True):
    """How one policy does, as every worker tells it alike.

    Attributes
    ----------
    share
        Of the shoppers.
    paused
        Whether the guard, or somebody, has put it to rest.
    users
        Who saw a list of it.
    clicks, revenue, purchases
        Per list seen: mean, and the ends of an interval that holds at any time one looks; infinite while it has too
        few shoppers for one, NaN while nothing is told.
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
    """Read how the policies do that shoppers are, or were, split between, out of a worker's samples.

    A worker also tells how lists do that no policy had a say in (of searches, those made in a hurry, all where there
    is one policy only), by what ordered them. These have no share: nothing is to be compared with them.

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
