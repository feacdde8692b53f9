"""Results by policy, parsed from metrics."""

import math

from stream_app.metrics import Metrics
from stream_app.tools.environment.policy_stats import parse_policy_stats
from tests.unit.tools.environment.exposition import exposition


def test_policy_stats_are_parsed_by_name() -> None:
    metrics = Metrics()
    metrics.policies.share.labels("fixed").set(0.25)
    metrics.policies.paused.labels("fixed").set(1)
    metrics.policies.users.labels("fixed").set(40)
    for bound, value in (("mean", 0.5), ("low", 0.4), ("high", 0.6)):
        metrics.policies.metric.labels("fixed", "clicks", bound).set(value)
        metrics.policies.metric.labels("fixed", "purchases", bound).set(value / 10)
    metrics.policies.share.labels("thompson").set(0.75)

    policy_stats = parse_policy_stats(exposition(metrics))

    assert list(policy_stats) == ["fixed", "thompson"]
    assert policy_stats["fixed"].paused
    assert (policy_stats["fixed"].share, policy_stats["fixed"].users, policy_stats["fixed"].clicks) == (
        0.25,
        40.0,
        (0.5, 0.4, 0.6),
    )
    assert policy_stats["fixed"].purchases == (0.05, 0.04, 0.06)
    assert not policy_stats["thompson"].paused
    assert math.isnan(policy_stats["thompson"].clicks[0])


def test_policies_without_a_share_or_users_are_left_out() -> None:
    metrics = Metrics()
    for name, share, users in (("fixed", 1.0, 0), ("thompson", 0.0, 30), ("linucb", 0.0, 0)):
        metrics.policies.share.labels(name).set(share)
        metrics.policies.users.labels(name).set(users)
    # Names of rankings without a policy.
    for name in ("learned", "search_rrf", "degraded"):
        metrics.policies.users.labels(name).set(25)
        metrics.policies.metric.labels(name, "clicks", "mean").set(0.5)

    assert list(parse_policy_stats(exposition(metrics))) == ["fixed", "thompson"]
