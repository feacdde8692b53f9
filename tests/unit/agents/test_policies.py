import logging

import msgspec
import pytest
from msgspec import structs

from stream_app.agents.policies import PolicyKeeper
from stream_app.metrics import Metrics
from stream_app.models.model_set import ModelSet
from stream_app.ranker.live.comparison import Comparison, Figure
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

    def thompson_does_badly(self, since: float = 0.0) -> None:
        for n in range(300):
            for policy, clicks in (("fixed", n % 2), ("thompson", n % 20 == 0)):
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


@pytest.mark.parametrize(
    "word",
    [{"weights": {"fixed": 9.0, "thompson": 1.0}}, {"resting": ["thompson"]}],
    ids=["other weights", "a rest"],
)
def test_where_the_split_changes_the_guard_judges_by_what_comes_after(word: dict[str, object]) -> None:
    desk = Desk()
    desk.say(ts=0.0)
    desk.thompson_does_badly()
    desk.keeper.report()
    assert desk.gauge("headrace_policy_shoppers", policy="thompson") == 300
    desk.say(ts=500.0, **word)
    assert desk.keeper.guard() == []
    desk.keeper.report()
    for policy in ("fixed", "thompson"):
        assert desk.gauge("headrace_policy_shoppers", policy=policy) is None
        labels = {"policy": policy, "figure": "clicks", "bound": "mean"}
        assert desk.gauge("headrace_policy_figure_per_list", **labels) is None
    # once more it does badly, of before and of after
    desk.say(ts=500.0, **{**word, "resting": []})
    desk.thompson_does_badly(since=100.0)
    assert desk.keeper.guard() == []
    desk.thompson_does_badly(since=500.0)
    assert [each.policy for each in desk.keeper.guard()] == ["thompson"]


def test_the_guards_own_word_begins_the_figures_anew() -> None:
    desk = Desk()
    desk.thompson_does_badly()
    assert desk.keeper.guard()
    assert (desk.comparison.since, desk.comparison.policies) == (1_000.0, {})


@pytest.mark.parametrize(
    "word",
    [
        {"note": "so be it"},
        {"trusted": ["thompson"]},
        {"weights": {"fixed": 0.5, "thompson": 0.5, "linucb": 0}},
    ],
    ids=["a note", "trust", "the same ratio"],
)
def test_a_word_that_does_not_change_the_split_keeps_the_figures(word: dict[str, object]) -> None:
    desk = Desk()
    desk.say(ts=100.0)
    desk.thompson_does_badly(since=100.0)
    desk.say(ts=500.0, **word)
    assert desk.comparison.since == 100.0
    assert desk.comparison.policies["fixed"].shoppers == 300


def test_an_operators_first_word_begins_a_period_whatever_the_settings_say_by_now() -> None:
    desk = Desk()
    desk.say(ts=100.0)
    assert desk.comparison.since == 100.0


def test_a_worker_that_starts_again_has_the_figures_of_its_snapshot_and_one_without_comes_to_the_same() -> (
    None
):
    words: list[dict[str, object]] = [{"ts": 50.0, "resting": ["thompson"]}, {"ts": 100.0}]
    desk, restarted, fresh = Desk(), Desk(), Desk()
    for word in words:
        desk.say(**word)
    desk.thompson_does_badly(since=90.0)
    restarted.comparison.restore(desk.comparison.state())
    # each reads the topic from its beginning, and before it any reward
    for other in (restarted, fresh):
        for word in words:
            other.say(**word)
    fresh.thompson_does_badly(since=90.0)
    for other in (restarted, fresh):
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


def test_a_word_by_a_clock_that_is_ahead_does_not_blind_the_figures() -> None:
    desk = Desk()
    desk.say(weights={"fixed": 3.0, "thompson": 1.0}, ts=1_000.0 + 86_400.0)
    assert desk.comparison.since == 1_000.0
    desk.thompson_does_badly(since=1_001.0)
    assert [found.policy for found in desk.keeper.guard()] == ["thompson"]
