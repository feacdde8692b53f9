"""How sure the guardrail must be, in numbers that do not come from the code."""

import math

import numpy as np
import pytest

from stream_app.experiment.comparison import ListMetric, PolicyComparison
from stream_app.experiment.confidence_sequence import (
    CONFIDENCE_LEVEL,
    MIN_USERS,
    OPTIMAL_AT_USERS,
    half_width,
)
from stream_app.experiment.guardrail import guardrail_violations
from topics.records import Reward, RewardKind, Source


def compared(*, worse: int, users: int = 400, clicks: int = 200) -> PolicyComparison:
    """Each user sees one list of a policy; `clicks` of the control's users click, `worse` of the other's."""
    comparison = PolicyComparison()
    for number in range(users):
        for policy, n_clicks in (("fixed", clicks), ("new", worse)):
            for kind in (RewardKind.IMPRESSION, RewardKind.CLICK)[: 1 + (number < n_clicks)]:
                comparison.on_reward(
                    Reward(
                        source=Source.CLICK,
                        partition=0,
                        offset=number,
                        line=0,
                        ts=float(number),
                        user_id=f"{policy} {number}",
                        list_id="l",
                        policy=policy,
                        kind=kind,
                        value=float(kind is RewardKind.CLICK),
                        first_exposure=kind is RewardKind.IMPRESSION,
                    )
                )
    return comparison


def width(n: int, level: float) -> float:
    """Half the width by theorem 2.2 of Waudby-Smith et al., with rho for which it is tightest at 1,000 users."""
    log = -2.0 * math.log(1.0 - level)
    rho = math.sqrt((log + math.log(1.0 + log)) / 1_000.0)
    return math.sqrt(
        2.0 * (n * rho**2 + 1.0) / (n**2 * rho**2) * math.log(math.sqrt(n * rho**2 + 1.0) / (1.0 - level))
    )


@pytest.mark.parametrize("level", [0.95, 0.975, 0.99])
@pytest.mark.parametrize("n", [30, 400, 1_000, 50_000])
def test_an_interval_has_the_published_width(n: int, level: float) -> None:
    assert half_width(n, level) == pytest.approx(width(n, level), rel=1e-12)
    assert half_width(n) == pytest.approx(width(n, 0.95), rel=1e-12)


def test_intervals_hold_with_95_percent_from_30_users_on() -> None:
    assert (CONFIDENCE_LEVEL, MIN_USERS, OPTIMAL_AT_USERS) == (0.95, 30, 1_000)
    assert half_width(29.0) == math.inf
    assert half_width(30.0) < math.inf


def test_the_guardrail_shares_its_five_percent_between_two_intervals() -> None:
    comparison = compared(worse=0)
    [violation] = guardrail_violations(comparison, "fixed", margin=0.1)
    control, deviation = (
        comparison.policies["fixed"],
        comparison.policies["fixed"].deviation(ListMetric.VALUE),
    )
    assert violation.control.mean == 0.5
    assert violation.control.mean - violation.control.low == pytest.approx(deviation * width(400, 0.975))
    assert violation.measured.mean == 0.0
    assert violation.measured.high == pytest.approx(deviation * width(400, 0.975))
    assert (violation.policy, violation.metric, control.users) == ("new", ListMetric.VALUE, 400)


def test_the_guardrail_pauses_from_the_first_user_on_whose_loss_is_beyond_the_intervals() -> None:
    """The number of clicks at which it pauses follows from the two intervals, computed here."""
    paused = [
        worse for worse in range(60, 140) if guardrail_violations(compared(worse=worse), "fixed", margin=0.1)
    ]
    # At the bound: high of the new policy = 0.9 * low of the control, each with its own deviation, the new one's at
    # least that of the control. The deviation of n of 400 users with one click each is about sqrt(p (1 - p)).
    half = width(400, 0.975) * math.sqrt(0.25 + 1.0 / 400.0)
    bound = 400 * (0.9 * (0.5 - half) - half)
    assert paused
    assert paused == list(range(60, paused[-1] + 1))
    assert paused[-1] == pytest.approx(bound, abs=1.0)


@pytest.mark.parametrize(("margin", "n_paused"), [(0.0, 1), (0.99, 0)])
def test_the_margin_is_a_share_of_the_control(margin: float, n_paused: int) -> None:
    assert len(guardrail_violations(compared(worse=60), "fixed", margin)) == n_paused


def test_below_30_users_an_interval_says_nothing() -> None:
    metrics = compared(worse=0, users=29, clicks=29).policies["fixed"]
    assert metrics.interval(ListMetric.VALUE) == (1.0, -math.inf, math.inf)
    assert compared(worse=0, users=30, clicks=30).policies["fixed"].interval(ListMetric.VALUE).low > -math.inf


@pytest.mark.parametrize("metric", list(ListMetric))
def test_the_deviation_is_that_of_a_ratio_over_users_with_one_more_user_of_a_typical_reaction(
    metric: ListMetric,
) -> None:
    rng = np.random.default_rng(8)
    comparison, n_users = PolicyComparison(), 50
    lists, sums = np.zeros(n_users), np.zeros((n_users, len(ListMetric)))
    for offset in range(400):
        user, kind = int(rng.integers(n_users)), rng.choice([RewardKind.CLICK, RewardKind.PURCHASE])
        displayed = bool(rng.random() < 0.7) or not lists[user]
        reward = Reward(
            source=Source.CLICK,
            partition=0,
            offset=offset,
            line=0,
            ts=float(offset),
            user_id=f"u{user}",
            list_id="l",
            policy="fixed",
            kind=RewardKind(kind),
            value=3.0,
            revenue=7.0 * (kind == RewardKind.PURCHASE),
            first_exposure=displayed,
        )
        comparison.on_reward(reward)
        lists[user] += displayed
        bought = kind == RewardKind.PURCHASE
        sums[user] += [not bought, bought, 7.0 * bought, 3.0]
    of_users, seen = sums[lists > 0, metric], lists[lists > 0]
    mean = of_users.sum() / seen.sum()
    typical = (of_users**2).sum() / of_users.sum()
    variance = (((of_users - mean * seen) ** 2).sum() + typical**2) / len(seen)
    metrics = comparison.policies["fixed"]
    assert metrics.mean(metric) == pytest.approx(mean)
    assert metrics.deviation(metric) == pytest.approx(math.sqrt(variance) / seen.mean())
