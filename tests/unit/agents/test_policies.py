import logging

import msgspec
import pytest
from msgspec import structs

from stream_app.agents.policies import PolicyKeeper
from stream_app.metrics import Metrics
from stream_app.models.model_set import ModelSet
from stream_app.ranker.live.comparison import Comparison
from stream_app.ranker.live.policies import LivePolicies
from stream_app.ranker.live.shares import Shares
from topics.catalogue import CONTROL
from topics.records import PolicyShares, Reward, RewardKind, Source

WHO = [f"shopper {n}" for n in range(400)]


class Desk:
    """A keeper with what it keeps, without Kafka."""

    def __init__(self, margin: float = 0.1) -> None:
        self.live = LivePolicies(ModelSet(["popularity"]), Shares({"fixed": 0.5, "thompson": 0.5}))
        self.comparison = Comparison()
        self.metrics = Metrics()
        self.sent: list[PolicyShares] = []
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
        assert (topic, partition, key) == (CONTROL.name, 0, b"guard")
        assert value is not None
        self.sent.append(msgspec.json.decode(value, type=PolicyShares))

    def say(self, **said: object) -> None:
        self.keeper.take(msgspec.json.encode({"weights": {"fixed": 1.0, "thompson": 1.0}, **said}))

    def share(self, policy: str) -> float:
        return [self.live.shares.policy_of(who) for who in WHO].count(policy) / len(WHO)

    def thompson_does_badly(self) -> None:
        for n in range(300):
            for policy, clicks in (("fixed", n % 2), ("thompson", n % 20 == 0)):
                reward = Reward(
                    source=Source.CLICK,
                    partition=0,
                    offset=n,
                    line=0,
                    ts=float(n),
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
    "value", [b"", b"{", b'{"weights": 3}', b'{"weights": {"fixed": -1}}', b'{"weights": {}}']
)
def test_what_says_nothing_that_holds_is_passed_over(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    with caplog.at_level(logging.WARNING):
        desk.keeper.take(value)
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
    desk.keeper.report()
    assert found.policy == "thompson"
    assert desk.share("thompson") == 0.0
    assert desk.gauge("headrace_policy_resting", policy="thompson") == 1.0
    assert "policy thompson rests" in caplog.text
    assert [(word.by, word.resting, word.ts) for word in desk.sent] == [("guard", ("thompson",), 1_000.0)]
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
    desk.say(weights={"fixed": 1.0, "thompson": 9.0})
    assert desk.share("thompson") == 0.0
    other = Desk()
    other.say(weights={"fixed": 1.0, "thompson": 9.0})
    other.keeper.take(msgspec.json.encode(desk.sent[-1]))
    assert other.share("thompson") == 0.0
    other.say(weights={"fixed": 1.0, "thompson": 9.0}, trusted=["thompson"])
    assert other.share("thompson") == pytest.approx(0.9, abs=0.05)


def test_a_split_between_policies_that_are_not_run_leaves_that_of_the_settings() -> None:
    desk, fresh = Desk(), Desk()
    desk.say(weights={"fixed": 1.0, "thompson": 0.0})
    for each in (desk, fresh):
        each.say(weights={"linucb": 1.0})
        assert each.share("thompson") == pytest.approx(0.5, abs=0.08)


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
