import math

import numpy as np
import pytest

from stream_app.experiment.comparison import Comparison, Figure
from stream_app.experiment.guardrail import findings
from topics.records import Reward, RewardKind, Source


class Log:
    """Rewards of lists as they come."""

    def __init__(self) -> None:
        self.comparison = Comparison()
        self.offset = 0

    def seen(self, user: str, policy: str) -> None:
        self._hear(user, policy, RewardKind.IMPRESSION, opens=True)

    def click(self, user: str, policy: str, *, first: bool = True, opens: bool = False) -> None:
        self._hear(user, policy, RewardKind.CLICK, value=1.0, first=first, opens=opens)

    def hide(self, user: str, policy: str) -> None:
        self._hear(user, policy, RewardKind.HIDE, value=-3.0)

    def buy(self, user: str, policy: str, revenue: float, delay: float = 0.0) -> None:
        self._hear(user, policy, RewardKind.PURCHASE, value=10.0, revenue=revenue, first=False, delay=delay)

    def week(self, shoppers: dict[str, int], rate: float, name: str) -> None:
        """So many shoppers of each policy see a list, and the same share of each clicks."""
        for policy, count in shoppers.items():
            for n in range(count):
                self.seen(f"{policy} {name} {n}", policy)
                if n < rate * count:
                    self.click(f"{policy} {name} {n}", policy)

    def _hear(self, user: str, policy: str, kind: RewardKind, **told: float | bool) -> None:
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
            **told,  # type: ignore[arg-type]
        )
        self.offset += 1
        self.comparison.hear_reward(reward)


def shop(rates: dict[str, float], shoppers: int, lists: int = 5, seed: int = 1, spread: float = 0.0) -> Log:
    """Shoppers of each policy see lists and click on each with about its rate."""
    chance = np.random.default_rng(seed)
    log = Log()
    for n in range(shoppers):
        for policy, rate in rates.items():
            own = min(1.0, max(0.0, rate + spread * (chance.random() - 0.5)))
            for _ in range(lists):
                log.seen(f"{policy} {n}", policy)
                if chance.random() < own:
                    log.click(f"{policy} {n}", policy)
    return log


def test_figures_are_per_list_that_was_seen() -> None:
    log = Log()
    for _ in range(4):
        log.seen("ann", "fixed")
    log.click("ann", "fixed")
    log.click("ann", "fixed", first=False)
    log.buy("ann", "fixed", 30.0)
    figures = log.comparison.policies["fixed"]
    assert (figures.lists, figures.shoppers) == (4, 1)
    assert [figures.mean(each) for each in Figure] == [0.25, 0.25, 7.5, 3.0]
    assert figures.interval(Figure.CLICKS).high == math.inf


def test_the_deviation_is_that_of_shoppers_and_not_of_lists() -> None:
    alike = shop({"a": 0.5}, 400, lists=20).comparison.policies["a"].interval(Figure.CLICKS)
    apart = shop({"a": 0.5}, 400, lists=20, spread=1.0).comparison.policies["a"].interval(Figure.CLICKS)
    # shoppers whose own rates lie anywhere from 0 to 1: variance 1/12 between them, 1/4 / 20 within
    assert (apart.high - apart.low) / (alike.high - alike.low) == pytest.approx(
        math.sqrt((1 / 12 + (1 / 4 - 1 / 12) / 20) / (1 / 80)), rel=0.1
    )


def test_the_interval_holds_the_truth_at_all_looks_in_most_runs() -> None:
    held = 0
    for seed in range(60):
        chance = np.random.default_rng(seed)
        log = Log()
        good = True
        for n in range(600):
            own = chance.random() * 0.4
            for _ in range(int(chance.integers(1, 6))):
                log.seen(f"u{n}", "a")
                if chance.random() < own:
                    log.click(f"u{n}", "a")
            if n >= 40 and n % 20 == 0:
                interval = log.comparison.policies["a"].interval(Figure.CLICKS)
                good = good and interval.low <= 0.2 <= interval.high
        held += good
    assert held >= 55


def test_a_state_makes_the_same_figures() -> None:
    log, again = shop({"a": 0.3, "b": 0.2}, 50), Log()
    again.comparison.restore(log.comparison.state())
    for each in (log, again):
        each.offset = 10_000
        each.seen("a 3", "a")
        each.click("a 3", "a")
    for policy in ("a", "b"):
        mine, other = log.comparison.policies[policy], again.comparison.policies[policy]
        assert mine.interval(Figure.CLICKS) == other.interval(Figure.CLICKS)
        assert (mine.lists, mine.shoppers) == (other.lists, other.shoppers)


def test_policies_that_are_alike_in_each_period_are_not_told_apart_by_when_they_had_their_lists() -> None:
    mended, pooled = Log(), Log()
    for log in (mended, pooled):
        # a bad week, mostly the new policy's, and then a good one, mostly the control's
        log.week({"fixed": 300, "new": 2_700}, 0.1, "bad")
        if log is mended:
            assert log.comparison.begin(float(log.offset))
        log.week({"fixed": 2_700, "new": 300}, 0.5, "good")
    assert [each.policy for each in findings(pooled.comparison, "fixed", margin=0.1)] == ["new"]
    assert findings(mended.comparison, "fixed", margin=0.1) == []
    fixed, new = mended.comparison.policies["fixed"], mended.comparison.policies["new"]
    assert (fixed.lists, fixed.mean(Figure.CLICKS)) == (2_700, 0.5)
    assert (new.lists, new.mean(Figure.CLICKS)) == (300, 0.5)


def test_what_still_comes_of_lists_of_before_counts_for_nobody() -> None:
    log = Log()
    log.seen("ann", "fixed")
    log.comparison.begin(1.0)
    log.buy("ann", "fixed", 30.0, delay=0.5)
    assert log.comparison.policies == {}
    log.seen("ann", "fixed")
    log.buy("ann", "fixed", 30.0, delay=1.0)
    log.buy("ann", "fixed", 30.0, delay=3.5)
    assert log.comparison.policies["fixed"].sums.tolist() == [0, 1, 30, 10]


def test_a_period_begins_once_and_never_goes_back() -> None:
    log = Log()
    assert log.comparison.begin(0.5)
    log.offset = 1
    log.seen("ann", "fixed")
    for ts in (0.5, 0.25):
        assert not log.comparison.begin(ts)
        assert (log.comparison.since, log.comparison.policies["fixed"].lists) == (0.5, 1)
    assert log.comparison.begin(0.75)
    assert log.comparison.policies == {}


def test_a_period_outlives_a_restart_with_its_figures() -> None:
    log, again = Log(), Log()
    log.offset = 10
    log.comparison.begin(10.0)
    log.seen("ann", "fixed")
    again.comparison.restore(log.comparison.state())
    # the worker reads the control topic again
    assert not again.comparison.begin(10.0)
    assert again.comparison.policies["fixed"].lists == 1
    again.offset = 9
    again.seen("bob", "fixed")
    assert again.comparison.policies["fixed"].lists == 1


def test_a_snapshot_of_before_there_were_periods_is_taken_and_counts_until_the_next_word() -> None:
    log, again = Log(), Log()
    log.seen("ann", "fixed")
    state = dict(log.comparison.state())
    del state["since"]
    again.comparison.restore(state)
    assert (again.comparison.since, again.comparison.policies["fixed"].lists) == (0.0, 1)
    assert again.comparison.begin(10.0)
    assert again.comparison.policies == {}


def test_beyond_the_bound_the_oldest_shopper_is_forgotten_and_the_sums_stay() -> None:
    log = Log()
    log.comparison = Comparison(max_shoppers=2)
    for user in ("ann", "bob", "cid"):
        log.seen(user, "a")
    assert log.comparison.policies["a"].lists == 3
    assert len(log.comparison.state()["shoppers"]) == 2


def test_a_policy_that_is_surely_worse_is_found_and_one_that_is_not_is_left() -> None:
    log = shop({"fixed": 0.30, "bad": 0.10, "good": 0.33, "alike": 0.29}, 600)
    found = findings(log.comparison, "fixed", margin=0.1)
    assert [each.policy for each in found] == ["bad"]
    assert found[0].mine.high < found[0].control.low
    assert findings(log.comparison, "fixed", 0.1, resting=["bad"]) == []


def test_a_margin_lets_a_policy_be_a_little_worse() -> None:
    log = shop({"fixed": 0.30, "bad": 0.20}, 2_000)
    assert [each.policy for each in findings(log.comparison, "fixed", margin=0.0)] == ["bad"]
    assert findings(log.comparison, "fixed", margin=0.5) == []


@pytest.mark.parametrize("rate", [0.05, 0.01, 0.003])
def test_a_new_policy_as_good_as_the_control_is_hardly_ever_found_however_rare_reactions_are(
    rate: float,
) -> None:
    alarms = 0
    for seed in range(40):
        chance = np.random.default_rng(seed)
        log, found = shop({"fixed": rate}, 1_500, lists=2, seed=seed), False
        for n in range(300):
            for _ in range(2):
                log.seen(f"new {n}", "new")
                if chance.random() < rate:
                    log.click(f"new {n}", "new")
            found = found or bool(findings(log.comparison, "fixed", margin=0.1, figure=Figure.CLICKS))
        alarms += found
    assert alarms <= 2


def test_of_rare_reactions_that_have_not_come_yet_no_spread_of_nothing_is_concluded() -> None:
    log = shop({"a": 0.0}, 40)
    interval = log.comparison.policies["a"].interval(Figure.CLICKS)
    assert interval.low < 0 < interval.high


def test_a_control_that_loses_does_not_condemn_its_like() -> None:
    log = Log()
    for n in range(400):
        for policy in ("fixed", "same"):
            log.seen(f"{policy} {n}", policy)
            log.hide(f"{policy} {n}", policy)
    assert findings(log.comparison, "fixed", margin=0.1) == []


def test_where_nobody_knows_which_lists_were_seen_in_vain_nothing_is_found() -> None:
    log = Log()
    for n in range(600):
        for policy, clicks in (("fixed", 1), ("bad", n % 3 == 0)):
            if clicks:
                log.click(f"{policy} {n}", policy, opens=True)
                log.click(f"{policy} {n}", policy) if policy == "fixed" else None
    assert findings(log.comparison, "fixed", margin=0.0) == []


def test_without_a_control_nothing_is_found() -> None:
    assert findings(shop({"bad": 0.0}, 100).comparison, "fixed", margin=0.0) == []


def test_policies_that_are_alike_are_hardly_ever_told_apart_however_often_one_looks() -> None:
    alarms = 0
    for seed in range(60):
        chance = np.random.default_rng(1_000 + seed)
        log, found = Log(), False
        for n in range(400):
            for policy in ("fixed", "same"):
                for _ in range(3):
                    log.seen(f"{policy} {n}", policy)
                    if chance.random() < 0.2:
                        log.click(f"{policy} {n}", policy)
            if n % 10 == 0:
                found = found or bool(findings(log.comparison, "fixed", margin=0.0))
        alarms += found
    assert alarms <= 3
