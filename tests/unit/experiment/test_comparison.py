import math

import numpy as np
import pytest

from stream_app.experiment.comparison import ListMetric, PolicyComparison
from stream_app.experiment.guardrail import guardrail_violations
from topics.records import Reward, RewardKind, Source


class RewardLog:
    """A log of rewards."""

    def __init__(self) -> None:
        self.comparison = PolicyComparison()
        self.offset = 0

    def seen(self, user: str, policy: str) -> None:
        self._record(user, policy, RewardKind.IMPRESSION, first_exposure=True)

    def click(self, user: str, policy: str, *, first: bool = True, first_exposure: bool = False) -> None:
        self._record(
            user, policy, RewardKind.CLICK, value=1.0, first_positive=first, first_exposure=first_exposure
        )

    def hide(self, user: str, policy: str) -> None:
        self._record(user, policy, RewardKind.HIDE, value=-3.0)

    def buy(self, user: str, policy: str, revenue: float, delay: float = 0.0) -> None:
        self._record(
            user, policy, RewardKind.PURCHASE, value=10.0, revenue=revenue, first_positive=False, delay=delay
        )

    def week(self, users: dict[str, int], rate: float, name: str) -> None:
        """Users of each policy see a list, and the same share of each clicks."""
        for policy, count in users.items():
            for n in range(count):
                self.seen(f"{policy} {name} {n}", policy)
                if n < rate * count:
                    self.click(f"{policy} {name} {n}", policy)

    def _record(self, user: str, policy: str, kind: RewardKind, **fields: float | bool) -> None:
        reward = Reward(
            source=Source.CLICK,
            partition=0,
            offset=self.offset,
            line=0,
            ts=float(self.offset),
            user_id=user,
            list_id="l",
            policy=policy,
            kind=kind,
            **fields,  # type: ignore[arg-type]
        )
        self.offset += 1
        self.comparison.on_reward(reward)


def shop(
    rates: dict[str, float], users: int, lists: int = 5, seed: int = 1, spread: float = 0.0
) -> RewardLog:
    """Users of each policy see lists and click on each at about its rate."""
    rng = np.random.default_rng(seed)
    log = RewardLog()
    for n in range(users):
        for policy, rate in rates.items():
            own_rate = min(1.0, max(0.0, rate + spread * (rng.random() - 0.5)))
            for _ in range(lists):
                log.seen(f"{policy} {n}", policy)
                if rng.random() < own_rate:
                    log.click(f"{policy} {n}", policy)
    return log


def test_metrics_are_per_seen_list() -> None:
    log = RewardLog()
    for _ in range(4):
        log.seen("ann", "fixed")
    log.click("ann", "fixed")
    log.click("ann", "fixed", first=False)
    log.buy("ann", "fixed", 30.0)
    metrics = log.comparison.policies["fixed"]
    assert (metrics.lists, metrics.users) == (4, 1)
    assert [metrics.mean(each) for each in ListMetric] == [0.25, 0.25, 7.5, 3.0]
    assert metrics.interval(ListMetric.CLICKS).high == math.inf


def test_deviation_is_clustered_by_user() -> None:
    homogeneous = shop({"a": 0.5}, 400, lists=20).comparison.policies["a"].interval(ListMetric.CLICKS)
    heterogeneous = (
        shop({"a": 0.5}, 400, lists=20, spread=1.0).comparison.policies["a"].interval(ListMetric.CLICKS)
    )
    # the rates of the users are uniform from 0 to 1: variance 1/12 between users, 1/4 / 20 within
    assert (heterogeneous.high - heterogeneous.low) / (homogeneous.high - homogeneous.low) == pytest.approx(
        math.sqrt((1 / 12 + (1 / 4 - 1 / 12) / 20) / (1 / 80)), rel=0.1
    )


def test_interval_covers_the_truth_at_all_looks_in_most_runs() -> None:
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        log = RewardLog()
        covered_so_far = True
        for n in range(600):
            own_rate = rng.random() * 0.4
            for _ in range(int(rng.integers(1, 6))):
                log.seen(f"u{n}", "a")
                if rng.random() < own_rate:
                    log.click(f"u{n}", "a")
            if n >= 40 and n % 20 == 0:
                interval = log.comparison.policies["a"].interval(ListMetric.CLICKS)
                covered_so_far = covered_so_far and interval.low <= 0.2 <= interval.high
        covered += covered_so_far
    assert covered >= 55


def test_restored_state_gives_the_same_metrics() -> None:
    log, again = shop({"a": 0.3, "b": 0.2}, 50), RewardLog()
    again.comparison.restore(log.comparison.state())
    for each in (log, again):
        each.offset = 10_000
        each.seen("a 3", "a")
        each.click("a 3", "a")
    for policy in ("a", "b"):
        measured, other = log.comparison.policies[policy], again.comparison.policies[policy]
        assert measured.interval(ListMetric.CLICKS) == other.interval(ListMetric.CLICKS)
        assert (measured.lists, measured.users) == (other.lists, other.users)


def test_periods_prevent_simpsons_paradox() -> None:
    with_periods, without_periods = RewardLog(), RewardLog()
    for log in (with_periods, without_periods):
        # a bad week with mostly the new policy, then a good one with mostly the control
        log.week({"fixed": 300, "new": 2_700}, 0.1, "bad")
        if log is with_periods:
            assert log.comparison.start_period(float(log.offset))
        log.week({"fixed": 2_700, "new": 300}, 0.5, "good")
    assert [
        each.policy for each in guardrail_violations(without_periods.comparison, "fixed", margin=0.1)
    ] == ["new"]
    assert guardrail_violations(with_periods.comparison, "fixed", margin=0.1) == []
    fixed, new = with_periods.comparison.policies["fixed"], with_periods.comparison.policies["new"]
    assert (fixed.lists, fixed.mean(ListMetric.CLICKS)) == (2_700, 0.5)
    assert (new.lists, new.mean(ListMetric.CLICKS)) == (300, 0.5)


def test_rewards_of_lists_before_the_period_are_ignored() -> None:
    log = RewardLog()
    log.seen("ann", "fixed")
    log.comparison.start_period(1.0)
    log.buy("ann", "fixed", 30.0, delay=0.5)
    assert log.comparison.policies == {}
    log.seen("ann", "fixed")
    log.buy("ann", "fixed", 30.0, delay=1.0)
    log.buy("ann", "fixed", 30.0, delay=3.5)
    assert log.comparison.policies["fixed"].sums.tolist() == [0, 1, 30, 10]


def test_period_starts_once_and_never_moves_back() -> None:
    log = RewardLog()
    assert log.comparison.start_period(0.5)
    log.offset = 1
    log.seen("ann", "fixed")
    for ts in (0.5, 0.25):
        assert not log.comparison.start_period(ts)
        assert (log.comparison.since, log.comparison.policies["fixed"].lists) == (0.5, 1)
    assert log.comparison.start_period(0.75)
    assert log.comparison.policies == {}


def test_period_and_metrics_survive_a_restart() -> None:
    log, again = RewardLog(), RewardLog()
    log.offset = 10
    log.comparison.start_period(10.0)
    log.seen("ann", "fixed")
    again.comparison.restore(log.comparison.state())
    # the worker reads the control topic again
    assert not again.comparison.start_period(10.0)
    assert again.comparison.policies["fixed"].lists == 1
    again.offset = 9
    again.seen("bob", "fixed")
    assert again.comparison.policies["fixed"].lists == 1


def test_oldest_user_is_evicted_and_the_sums_stay() -> None:
    log = RewardLog()
    log.comparison = PolicyComparison(max_users=2)
    for user in ("ann", "bob", "cid"):
        log.seen(user, "a")
    assert log.comparison.policies["a"].lists == 3
    assert len(log.comparison.state()["users"]) == 2


def test_guardrail_reports_only_significantly_worse_policies() -> None:
    log = shop({"fixed": 0.30, "bad": 0.10, "good": 0.33, "alike": 0.29}, 600)
    violations = guardrail_violations(log.comparison, "fixed", margin=0.1)
    assert [each.policy for each in violations] == ["bad"]
    assert violations[0].measured.high < violations[0].control.low
    assert guardrail_violations(log.comparison, "fixed", 0.1, paused=["bad"]) == []


def test_margin_tolerates_a_slightly_worse_policy() -> None:
    log = shop({"fixed": 0.30, "bad": 0.20}, 2_000)
    assert [each.policy for each in guardrail_violations(log.comparison, "fixed", margin=0.0)] == ["bad"]
    assert guardrail_violations(log.comparison, "fixed", margin=0.5) == []


@pytest.mark.parametrize("rate", [0.05, 0.01, 0.003])
def test_guardrail_false_positives_are_rare_for_a_new_policy(
    rate: float,
) -> None:
    false_positives = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        log, violations = shop({"fixed": rate}, 1_500, lists=2, seed=seed), False
        for n in range(300):
            for _ in range(2):
                log.seen(f"new {n}", "new")
                if rng.random() < rate:
                    log.click(f"new {n}", "new")
            violations = violations or bool(
                guardrail_violations(log.comparison, "fixed", margin=0.1, metric=ListMetric.CLICKS)
            )
        false_positives += violations
    assert false_positives <= 2


def test_interval_has_width_without_any_reaction() -> None:
    log = shop({"a": 0.0}, 40)
    interval = log.comparison.policies["a"].interval(ListMetric.CLICKS)
    assert interval.low < 0 < interval.high


def test_policy_equal_to_a_negative_control_is_not_reported() -> None:
    log = RewardLog()
    for n in range(400):
        for policy in ("fixed", "same"):
            log.seen(f"{policy} {n}", policy)
            log.hide(f"{policy} {n}", policy)
    assert guardrail_violations(log.comparison, "fixed", margin=0.1) == []


def test_without_impressions_the_guardrail_reports_nothing() -> None:
    log = RewardLog()
    for n in range(600):
        for policy, clicks in (("fixed", 1), ("bad", n % 3 == 0)):
            if clicks:
                log.click(f"{policy} {n}", policy, first_exposure=True)
                log.click(f"{policy} {n}", policy) if policy == "fixed" else None
    assert guardrail_violations(log.comparison, "fixed", margin=0.0) == []


def test_without_a_control_the_guardrail_reports_nothing() -> None:
    assert guardrail_violations(shop({"bad": 0.0}, 100).comparison, "fixed", margin=0.0) == []


def test_guardrail_false_positives_are_rare_under_continuous_monitoring() -> None:
    false_positives = 0
    for seed in range(60):
        rng = np.random.default_rng(1_000 + seed)
        log, violations = RewardLog(), False
        for n in range(400):
            for policy in ("fixed", "same"):
                for _ in range(3):
                    log.seen(f"{policy} {n}", policy)
                    if rng.random() < 0.2:
                        log.click(f"{policy} {n}", policy)
            if n % 10 == 0:
                violations = violations or bool(guardrail_violations(log.comparison, "fixed", margin=0.0))
        false_positives += violations
    assert false_positives <= 3
