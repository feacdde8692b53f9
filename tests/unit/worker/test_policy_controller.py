import logging
from typing import Any

import msgspec
import pytest
from msgspec import structs

from stream_app.experiment.assignment import Shares
from stream_app.experiment.comparison import Comparison, Figure
from stream_app.experiment.live_policies import LivePolicies
from stream_app.metrics import Metrics
from stream_app.models.model_set import ModelSet
from stream_app.worker.policy_controller import PolicyKeeper
from topics.catalog import CONTROL
from topics.records import Reward, RewardKind, Source

WHO = [f"shopper {n}" for n in range(400)]


class Desk:
    """A keeper with what it keeps, without Kafka."""

    def __init__(self, margin: float = 0.1, **weights: float) -> None:
        weights = weights or {"fixed": 0.5, "thompson": 0.5}
        self.live = LivePolicies(ModelSet(["popularity"]), Shares(weights))
        self.comparison = Comparison()
        self.metrics = Metrics()
        self.sent: list[tuple[bytes, bytes]] = []
        self.keeper = PolicyKeeper(
            self.live,
            self.comparison,
            self.metrics,
            self._append,
            control="fixed",
            margin=margin,
            broker="nowhere:1",
            clock=lambda: 1_000.0,
        )

    def _append(self, topic: str, partition: int, key: bytes | None, value: bytes | None, *_: object) -> None:
        assert (topic, partition) == (CONTROL.name, 0)
        assert key is not None
        assert value is not None
        self.sent.append((key, value))

    def guard_is_heard(self, by: "Desk | None" = None, at: float = 1_000.0) -> None:
        """What the guard sent comes back, here or at another worker."""
        for key, value in self.sent:
            (by or self).keeper.take(key, value, at)

    def say(self, at: float = 0.0, **said: object) -> None:
        word = {"weights": {"fixed": 1.0, "thompson": 1.0}, **said}
        self.keeper.take(b"shares", msgspec.json.encode(word), at)

    def share(self, policy: str) -> float:
        return [self.live.shares.policy_of(who) for who in WHO].count(policy) / len(WHO)

    def thompson_does_badly(self, since: float = 0.0) -> None:
        self.does_badly("thompson", since)

    def does_badly(self, bad: str, since: float = 0.0) -> None:
        for n in range(300):
            for policy, clicks in (("fixed", n % 2), (bad, n % 20 == 0)):
                reward = Reward(
                    source=Source.CLICK,
                    partition=0,
                    offset=n,
                    line=0,
                    ts=since + n,
                    user_id=f"{policy} {n}",
                    list_id=f"{n}",
                    policy=policy,
                    kind=RewardKind.CLICK,
                    value=float(clicks),
                )
                shown = structs.replace(reward, kind=RewardKind.IMPRESSION, value=0.0, opens=True)
                self.comparison.hear_reward(shown)
                if clicks:
                    self.comparison.hear_reward(reward)

    def gauge(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def test_what_is_said_on_the_control_topic_holds_at_once() -> None:
    desk = Desk()
    desk.say(weights={"fixed": 3.0, "thompson": 1.0})
    desk.keeper.report()
    assert desk.share("fixed") == pytest.approx(0.75, abs=0.06)
    assert desk.gauge("headrace_policy_share_ratio", policy="fixed") == 0.75


def test_a_policy_at_rest_gets_nobody_until_it_is_resumed() -> None:
    desk = Desk()
    desk.say(resting=["thompson"])
    desk.keeper.report()
    assert desk.share("thompson") == 0.0
    assert desk.gauge("headrace_policy_resting", policy="thompson") == 1.0
    desk.say(resting=[])
    assert desk.share("thompson") > 0.4


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b'{"weights": 3}', b'{"weights": {"fixed": -1}}', b'{"weights": {"fixed": 0}}', b"{}"],
)
def test_what_says_nothing_that_holds_is_passed_over(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    with caplog.at_level(logging.WARNING):
        desk.keeper.take(b"shares", value, 0.0)
    assert "control topic" in caplog.text
    assert desk.share("thompson") == pytest.approx(0.5, abs=0.08)


def test_a_policy_this_worker_does_not_run_gets_nobody_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    with caplog.at_level(logging.WARNING):
        desk.say(weights={"fixed": 1.0, "linucb": 9.0})
    assert desk.share("fixed") == 1.0
    assert "linucb" in caplog.text


def test_the_guard_puts_a_policy_to_rest_that_does_harm_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    assert desk.keeper.guard() == []
    desk.thompson_does_badly()
    with caplog.at_level(logging.WARNING):
        [found] = desk.keeper.guard()
    assert found.policy == "thompson"
    # before it is heard and after, nothing is said again
    assert desk.keeper.guard() == []
    desk.guard_is_heard()
    desk.keeper.report()
    assert desk.share("thompson") == 0.0
    assert desk.gauge("headrace_policy_resting", policy="thompson") == 1.0
    assert "policy thompson rests" in caplog.text
    assert [key for key, _ in desk.sent] == [b"guard:thompson"]
    assert desk.keeper.guard() == []


def test_the_guard_leaves_alone_what_an_operator_resumed() -> None:
    desk = Desk()
    desk.thompson_does_badly()
    desk.say(trusted=["thompson"])
    assert desk.keeper.guard() == []
    assert desk.share("thompson") > 0.4


def test_an_operator_who_splits_anew_and_the_guard_do_not_undo_each_other() -> None:
    desk = Desk()
    desk.thompson_does_badly()
    assert desk.keeper.guard()
    desk.guard_is_heard()
    desk.say(weights={"fixed": 1.0, "thompson": 9.0})
    assert desk.share("thompson") == 0.0
    other = Desk()
    other.say(weights={"fixed": 1.0, "thompson": 9.0})
    desk.guard_is_heard(by=other)
    assert other.share("thompson") == 0.0
    other.say(weights={"fixed": 1.0, "thompson": 9.0}, trusted=["thompson"])
    assert other.share("thompson") == pytest.approx(0.9, abs=0.05)


def test_a_split_between_policies_that_are_not_run_leaves_that_of_the_settings() -> None:
    desk, fresh = Desk(), Desk()
    desk.say(weights={"fixed": 1.0, "thompson": 0.0})
    for each in (desk, fresh):
        each.say(weights={"linucb": 1.0})
        assert each.share("thompson") == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(
    "word",
    [{"weights": {"fixed": 9.0, "thompson": 1.0}}, {"resting": ["thompson"]}],
    ids=["other weights", "a rest"],
)
def test_where_the_split_changes_the_guard_judges_by_what_comes_after(word: dict[str, object]) -> None:
    desk = Desk()
    desk.say(at=0.0)
    desk.thompson_does_badly()
    desk.keeper.report()
    assert desk.gauge("headrace_policy_shoppers", policy="thompson") == 300
    desk.say(at=500.0, **word)
    assert desk.keeper.guard() == []
    desk.keeper.report()
    for policy in ("fixed", "thompson"):
        assert desk.gauge("headrace_policy_shoppers", policy=policy) is None
        labels = {"policy": policy, "figure": "clicks", "bound": "mean"}
        assert desk.gauge("headrace_policy_figure_per_list", **labels) is None
    # once more it does badly, of before and of after
    desk.say(at=500.0, **{**word, "resting": []})
    desk.thompson_does_badly(since=100.0)
    assert desk.keeper.guard() == []
    desk.thompson_does_badly(since=500.0)
    assert [each.policy for each in desk.keeper.guard()] == ["thompson"]


def test_the_guards_own_word_begins_the_figures_anew() -> None:
    desk = Desk()
    desk.thompson_does_badly()
    assert desk.keeper.guard()
    desk.guard_is_heard(at=1_001.0)
    assert (desk.comparison.since, desk.comparison.policies) == (1_001.0, {})


def test_a_word_that_says_that_it_does_not_change_the_split_keeps_the_figures() -> None:
    desk = Desk()
    desk.say(at=100.0)
    desk.thompson_does_badly(since=100.0)
    desk.say(at=500.0, since=100.0, note="so be it")
    assert desk.comparison.since == 100.0
    assert desk.comparison.policies["fixed"].shoppers == 300


@pytest.mark.parametrize("clock", [1.0, 1e9], ids=["behind", "ahead"])
def test_a_word_counts_by_the_brokers_time_whatever_the_clock_of_who_says_it(
    clock: float, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk()
    desk.say(at=100.0, ts=90.0)
    desk.thompson_does_badly(since=100.0)
    with caplog.at_level(logging.INFO):
        desk.say(at=500.0, ts=clock, weights={"fixed": 3.0, "thompson": 1.0})
    assert (desk.comparison.since, desk.comparison.policies) == (500.0, {})
    assert "figures of policies begin anew with the lists from 500.0 on" in caplog.text


def test_what_two_workers_guards_say_at_once_holds_together() -> None:
    policies = {"fixed": 1.0, "thompson": 1.0, "linucb": 1.0}
    desk, other, third = Desk(**policies), Desk(**policies), Desk(**policies)
    for worker, policy in ((desk, "thompson"), (other, "linucb")):
        worker.does_badly(policy)
        assert [found.policy for found in worker.keeper.guard()] == [policy]
    for worker in (desk, other):
        worker.guard_is_heard(by=third)
    assert third.share("fixed") == 1.0
    # an operator's trust wins over the guard as before
    third.say(weights=policies, trusted=["linucb"])
    assert (third.share("thompson"), third.share("linucb") > 0.4) == (0.0, True)


def test_a_word_without_weights_leaves_those_of_the_workers_settings() -> None:
    desk = Desk(fixed=3.0, thompson=1.0)
    desk.say(weights={}, resting=["thompson"])
    assert desk.share("fixed") == 1.0
    desk.say(weights={}, trusted=["thompson"])
    assert desk.share("fixed") == pytest.approx(0.75, abs=0.06)


def test_where_all_with_a_weight_rest_the_control_has_everybody() -> None:
    desk = Desk()
    desk.say(resting=["fixed", "thompson"])
    assert desk.share("fixed") == 1.0


def test_a_worker_that_starts_again_has_the_figures_of_its_snapshot_and_one_without_comes_to_the_same() -> (
    None
):
    words: list[dict[str, Any]] = [
        {"at": 50.0, "resting": ["thompson"]},
        {"at": 100.0},
        {"at": 120.0, "since": 100.0, "note": "so be it"},
    ]
    desk, restarted, fresh, after_compaction = Desk(), Desk(), Desk(), Desk()
    for word in words:
        desk.say(**word)
    desk.thompson_does_badly(since=90.0)
    restarted.comparison.restore(desk.comparison.state())
    # each reads the topic from its beginning, and before it any reward
    for other, kept in ((restarted, words), (fresh, words), (after_compaction, words[-1:])):
        for word in kept:
            other.say(**word)
    for other in (fresh, after_compaction):
        other.thompson_does_badly(since=90.0)
    for other in (restarted, fresh, after_compaction):
        assert other.comparison.since == 100.0
        for policy, held in desk.comparison.policies.items():
            assert other.comparison.policies[policy].shoppers == held.shoppers == 290
            assert other.comparison.policies[policy].interval(Figure.VALUE) == held.interval(Figure.VALUE)


def test_a_margin_of_one_switches_the_guard_off() -> None:
    desk = Desk(margin=1.0)
    desk.thompson_does_badly()
    assert desk.keeper.guard() == []


def test_figures_are_told_with_their_bounds() -> None:
    desk = Desk()
    desk.thompson_does_badly()
    desk.keeper.report()
    name = "headrace_policy_figure_per_list"
    low, mean, high = (
        desk.gauge(name, policy="fixed", figure="clicks", bound=bound) for bound in ("low", "mean", "high")
    )
    assert mean == 0.5
    assert low is not None
    assert high is not None
    assert 0.3 < low < 0.5 < high < 0.7
