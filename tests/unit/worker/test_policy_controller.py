import logging
import math
from typing import Any

import msgspec
import pytest
from msgspec import structs

from stream_app.experiment.assignment import Assignment
from stream_app.experiment.comparison import ListMetric, PolicyComparison
from stream_app.experiment.live_policies import LivePolicies
from stream_app.kafka.event_logs import EVENT_LOGS_KEY, EventLog, EventLogs
from stream_app.metrics import Metrics
from stream_app.models.model_set import ModelSet
from stream_app.worker.policy_controller import PolicyController
from topics.catalog import CONTROL
from topics.records import Reward, RewardKind, Source

USER_IDS = [f"user {n}" for n in range(400)]


class ControllerHarness:
    """A policy controller with its policies and metrics, without Kafka."""

    def __init__(self, margin: float = 0.1, **weights: float) -> None:
        weights = weights or {"fixed": 0.5, "thompson": 0.5}
        self.live = LivePolicies(ModelSet(["popularity"]), Assignment(weights))
        self.comparison = PolicyComparison()
        self.metrics = Metrics()
        self.sent: list[tuple[bytes, bytes]] = []
        self.controller = PolicyController(
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

    def deliver_guardrail_records(self, by: "ControllerHarness | None" = None, at: float = 1_000.0) -> None:
        """Apply the records that the guardrail sent, here or on another worker."""
        for key, value in self.sent:
            (by or self).controller.apply_record(key, value, at, 0)

    def assign(self, at: float = 0.0, **fields: object) -> None:
        record = {"weights": {"fixed": 1.0, "thompson": 1.0}, **fields}
        self.controller.apply_record(b"assignment", msgspec.json.encode(record), at, 0)

    def user_share(self, policy: str) -> float:
        return [self.live.assignment.policy_of(user_id) for user_id in USER_IDS].count(policy) / len(USER_IDS)

    def record_poor_thompson_rewards(self, since: float = 0.0) -> None:
        self.record_poor_rewards("thompson", since)

    def record_poor_rewards(self, bad: str, since: float = 0.0, n_users: int = 300) -> None:
        for n in range(n_users):
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
                impression = structs.replace(
                    reward, kind=RewardKind.IMPRESSION, value=0.0, first_exposure=True
                )
                self.comparison.on_reward(impression)
                if clicks:
                    self.comparison.on_reward(reward)

    def gauge(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def test_an_assignment_on_the_control_topic_applies_immediately() -> None:
    harness = ControllerHarness()
    harness.assign(weights={"fixed": 3.0, "thompson": 1.0})
    harness.controller.report()
    assert harness.user_share("fixed") == pytest.approx(0.75, abs=0.06)
    assert harness.gauge("headrace_policy_share_ratio", policy="fixed") == 0.75


def test_a_paused_policy_gets_no_users_until_it_is_resumed() -> None:
    harness = ControllerHarness()
    harness.assign(paused=["thompson"])
    harness.controller.report()
    assert harness.user_share("thompson") == 0.0
    assert harness.gauge("headrace_policy_paused", policy="thompson") == 1.0
    harness.assign(paused=[])
    assert harness.user_share("thompson") > 0.4


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b'{"weights": 3}', b'{"weights": {"fixed": -1}}', b'{"weights": {"fixed": 0}}', b"{}"],
)
def test_an_invalid_control_record_is_ignored(value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    harness = ControllerHarness()
    with caplog.at_level(logging.WARNING):
        harness.controller.apply_record(b"assignment", value, 0.0, 7)
    assert "ignoring invalid record control[0]@7" in caplog.text
    assert harness.user_share("thompson") == pytest.approx(0.5, abs=0.08)


def test_a_policy_not_run_here_gets_no_users_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    harness = ControllerHarness()
    with caplog.at_level(logging.WARNING):
        harness.assign(weights={"fixed": 1.0, "linucb": 9.0})
    assert harness.user_share("fixed") == 1.0
    assert "linucb" in caplog.text


def test_the_guardrail_pauses_a_harmful_policy_and_logs_it(caplog: pytest.LogCaptureFixture) -> None:
    harness = ControllerHarness()
    assert harness.controller.apply_guardrail() == []
    harness.record_poor_thompson_rewards()
    with caplog.at_level(logging.WARNING):
        [found] = harness.controller.apply_guardrail()
    assert found.policy == "thompson"
    # Neither before nor after its record is read, the pause is sent again.
    assert harness.controller.apply_guardrail() == []
    harness.deliver_guardrail_records()
    harness.controller.report()
    assert harness.user_share("thompson") == 0.0
    assert harness.gauge("headrace_policy_paused", policy="thompson") == 1.0
    assert "policy thompson paused" in caplog.text
    assert [key for key, _ in harness.sent] == [b"guardrail:thompson"]
    assert harness.controller.apply_guardrail() == []


def test_the_guardrail_ignores_a_policy_an_operator_resumed() -> None:
    harness = ControllerHarness()
    harness.record_poor_thompson_rewards()
    harness.assign(guardrail_exempt=["thompson"])
    assert harness.controller.apply_guardrail() == []
    assert harness.user_share("thompson") > 0.4


def test_operator_assignments_and_guardrail_pauses_do_not_undo_each_other() -> None:
    harness = ControllerHarness()
    harness.record_poor_thompson_rewards()
    assert harness.controller.apply_guardrail()
    harness.deliver_guardrail_records()
    harness.assign(weights={"fixed": 1.0, "thompson": 9.0})
    assert harness.user_share("thompson") == 0.0
    other = ControllerHarness()
    other.assign(weights={"fixed": 1.0, "thompson": 9.0})
    harness.deliver_guardrail_records(by=other)
    assert other.user_share("thompson") == 0.0
    other.assign(weights={"fixed": 1.0, "thompson": 9.0}, guardrail_exempt=["thompson"])
    assert other.user_share("thompson") == pytest.approx(0.9, abs=0.05)


def test_an_assignment_of_unknown_policies_falls_back_to_the_settings() -> None:
    harness, fresh = ControllerHarness(), ControllerHarness()
    harness.assign(weights={"fixed": 1.0, "thompson": 0.0})
    for each in (harness, fresh):
        each.assign(weights={"linucb": 1.0})
        assert each.user_share("thompson") == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(
    "record",
    [{"weights": {"fixed": 9.0, "thompson": 1.0}}, {"paused": ["thompson"]}],
    ids=["other weights", "a pause"],
)
def test_after_an_assignment_change_the_guardrail_uses_later_lists_only(record: dict[str, object]) -> None:
    harness = ControllerHarness()
    harness.assign(at=0.0)
    harness.record_poor_thompson_rewards()
    harness.controller.report()
    assert harness.gauge("headrace_policy_users", policy="thompson") == 300
    harness.assign(at=500.0, **record)
    assert harness.controller.apply_guardrail() == []
    harness.controller.report()
    for policy in ("fixed", "thompson"):
        assert harness.gauge("headrace_policy_users", policy=policy) is None
        labels = {"policy": policy, "metric": "clicks", "bound": "mean"}
        assert harness.gauge("headrace_policy_metric_per_list", **labels) is None
    # The policy performs badly again, on lists from before and after the change.
    harness.assign(at=500.0, **{**record, "paused": []})
    harness.record_poor_thompson_rewards(since=100.0)
    assert harness.controller.apply_guardrail() == []
    harness.record_poor_thompson_rewards(since=500.0)
    assert [each.policy for each in harness.controller.apply_guardrail()] == ["thompson"]


def test_a_guardrail_pause_resets_the_comparison() -> None:
    harness = ControllerHarness()
    harness.record_poor_thompson_rewards()
    assert harness.controller.apply_guardrail()
    harness.deliver_guardrail_records(at=1_001.0)
    assert (harness.comparison.since, harness.comparison.policies) == (1_001.0, {})


def test_an_assignment_with_the_same_split_keeps_the_comparison() -> None:
    harness = ControllerHarness()
    harness.assign(at=100.0)
    harness.record_poor_thompson_rewards(since=100.0)
    harness.assign(at=500.0, effective_time=100.0, note="so be it")
    assert harness.comparison.since == 100.0
    assert harness.comparison.policies["fixed"].users == 300


@pytest.mark.parametrize("clock", [1.0, 1e9], ids=["behind", "ahead"])
def test_an_assignment_takes_effect_at_the_broker_timestamp_for_any_senders_clock(
    clock: float, caplog: pytest.LogCaptureFixture
) -> None:
    harness = ControllerHarness()
    harness.assign(at=100.0, ts=90.0)
    harness.record_poor_thompson_rewards(since=100.0)
    with caplog.at_level(logging.INFO):
        harness.assign(at=500.0, ts=clock, weights={"fixed": 3.0, "thompson": 1.0})
    assert (harness.comparison.since, harness.comparison.policies) == (500.0, {})
    assert "policy assignment changed; metrics count from 1970-01-01T00:08:20.000Z" in caplog.text


def test_simultaneous_guardrail_pauses_of_two_workers_both_apply() -> None:
    policies = {"fixed": 1.0, "thompson": 1.0, "linucb": 1.0}
    harness, other, third = (
        ControllerHarness(**policies),
        ControllerHarness(**policies),
        ControllerHarness(**policies),
    )
    for worker, policy in ((harness, "thompson"), (other, "linucb")):
        worker.record_poor_rewards(policy)
        assert [found.policy for found in worker.controller.apply_guardrail()] == [policy]
    for worker in (harness, other):
        worker.deliver_guardrail_records(by=third)
    assert third.user_share("fixed") == 1.0
    # An operator's exemption still takes precedence over the guardrail.
    third.assign(weights=policies, guardrail_exempt=["linucb"])
    assert (third.user_share("thompson"), third.user_share("linucb") > 0.4) == (0.0, True)


def test_an_assignment_without_weights_keeps_the_settings_weights() -> None:
    harness = ControllerHarness(fixed=3.0, thompson=1.0)
    harness.assign(weights={}, paused=["thompson"])
    assert harness.user_share("fixed") == 1.0
    harness.assign(weights={}, guardrail_exempt=["thompson"])
    assert harness.user_share("fixed") == pytest.approx(0.75, abs=0.06)


def test_the_control_gets_all_users_when_every_weighted_policy_is_paused() -> None:
    harness = ControllerHarness()
    harness.assign(paused=["fixed", "thompson"])
    assert harness.user_share("fixed") == 1.0


def test_a_restarted_worker_and_a_fresh_one_reach_the_same_comparison() -> None:
    records: list[dict[str, Any]] = [
        {"at": 50.0, "paused": ["thompson"]},
        {"at": 100.0},
        {"at": 120.0, "effective_time": 100.0, "note": "so be it"},
    ]
    harness, restarted, fresh, after_compaction = (
        ControllerHarness(),
        ControllerHarness(),
        ControllerHarness(),
        ControllerHarness(),
    )
    for record in records:
        harness.assign(**record)
    harness.record_poor_thompson_rewards(since=90.0)
    restarted.comparison.restore(harness.comparison.state())
    # Each reads the topic from its beginning, before any reward.
    for other, kept in ((restarted, records), (fresh, records), (after_compaction, records[-1:])):
        for record in kept:
            other.assign(**record)
    for other in (fresh, after_compaction):
        other.record_poor_thompson_rewards(since=90.0)
    for other in (restarted, fresh, after_compaction):
        assert other.comparison.since == 100.0
        for policy, held in harness.comparison.policies.items():
            assert other.comparison.policies[policy].users == held.users == 290
            assert other.comparison.policies[policy].interval(ListMetric.VALUE) == held.interval(
                ListMetric.VALUE
            )


def test_a_margin_of_one_disables_the_guardrail() -> None:
    harness = ControllerHarness(margin=1.0)
    harness.record_poor_thompson_rewards()
    assert harness.controller.apply_guardrail() == []


def test_metrics_are_exported_with_their_confidence_bounds() -> None:
    harness = ControllerHarness()
    harness.record_poor_thompson_rewards()
    harness.controller.report()
    name = "headrace_policy_metric_per_list"
    low, mean, high = (
        harness.gauge(name, policy="fixed", metric="clicks", bound=bound) for bound in ("low", "mean", "high")
    )
    assert mean == 0.5
    assert low is not None
    assert high is not None
    assert 0.3 < low < 0.5 < high < 0.7


def test_a_bound_that_few_users_leave_open_is_exported_as_unknown() -> None:
    harness = ControllerHarness()
    harness.record_poor_rewards("thompson", n_users=1)
    harness.controller.report()
    values = [
        sample.value
        for family in harness.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "headrace_policy_metric_per_list" and sample.labels["bound"] != "mean"
    ]
    assert values
    assert all(math.isnan(value) for value in values)
    assert not any(
        math.isinf(sample.value) for family in harness.metrics.registry.collect() for sample in family.samples
    )


def test_the_record_of_the_topics_of_events_is_no_assignment(caplog: pytest.LogCaptureFixture) -> None:
    harness = ControllerHarness(fixed=1.0)
    found: list[EventLogs] = []
    harness.controller.on_event_logs = found.append
    value = msgspec.json.encode({"events.click": {"topic_id": "x", "base": 7}})
    harness.controller.apply_record(EVENT_LOGS_KEY, value, 0.0, 0)
    assert found == [{"events.click": EventLog("x", 7)}]
    assert not caplog.text
