"""Which users a comparison counts."""

import math

import pytest

from stream_app.experiment.comparison import ListMetric, PolicyComparison
from topics.records import Reward, RewardKind, Source


class Log:
    """Rewards of users, one after the other."""

    def __init__(self, max_users: int = 100) -> None:
        self.comparison = PolicyComparison(max_users)
        self._offset = 0

    def add(self, user: str, kind: RewardKind, *, first_exposure: bool = False, **fields: float) -> None:
        self._offset += 1
        reward = Reward(
            source=Source.CLICK,
            partition=0,
            offset=self._offset,
            line=0,
            ts=float(self._offset),
            user_id=user,
            list_id="l",
            policy="fixed",
            kind=kind,
            first_exposure=first_exposure,
            **fields,  # type: ignore[arg-type]
        )
        self.comparison.on_reward(reward)

    def display(self, user: str) -> None:
        self.add(user, RewardKind.IMPRESSION, first_exposure=True)

    @property
    def n_users(self) -> int:
        return self.comparison.policies["fixed"].users


def test_a_user_counts_with_the_first_displayed_list_and_once() -> None:
    log = Log()
    log.add("ann", RewardKind.CLICK)
    log.add("ann", RewardKind.PURCHASE, revenue=5.0)
    assert log.n_users == 0
    before = log.comparison.policies["fixed"]
    assert [before.mean(metric) for metric in ListMetric] == [0.0] * 4
    assert [before.deviation(metric) for metric in ListMetric] == [0.0] * 4
    log.display("ann")
    log.display("ann")
    log.add("ann", RewardKind.CLICK)
    assert log.n_users == 1
    log.display("bob")
    assert log.n_users == 2
    metrics = log.comparison.policies["fixed"]
    assert (metrics.lists, metrics.lists_with_impression) == (3.0, 3)
    assert metrics.sums.tolist() == [2.0, 1.0, 5.0, 0.0]


def test_a_list_that_is_known_to_be_seen_by_a_reaction_has_no_impression() -> None:
    log = Log()
    log.add("ann", RewardKind.CLICK, first_exposure=True)
    metrics = log.comparison.policies["fixed"]
    assert (metrics.users, metrics.lists, metrics.lists_with_impression) == (1, 1.0, 0)
    assert metrics.mean(ListMetric.CLICKS) == 1.0


def test_the_user_without_a_reward_for_the_longest_time_is_evicted_and_counts_as_new() -> None:
    log = Log(max_users=2)
    for user in ("ann", "bob", "ann", "cem"):
        log.display(user)
    assert log.n_users == 3
    log.display("ann")
    log.display("cem")
    assert log.n_users == 3
    log.display("bob")
    assert log.n_users == 4
    assert log.comparison.policies["fixed"].lists == 7.0


def test_a_forgotten_user_counts_as_new_and_the_metrics_stay() -> None:
    log = Log()
    log.display("ann")
    log.comparison.forget_user("ann")
    log.comparison.forget_user("nobody")
    assert log.n_users == 1
    log.display("ann")
    assert (log.n_users, log.comparison.policies["fixed"].lists) == (2, 2.0)


def test_memory_grows_with_the_users() -> None:
    log = Log()
    assert log.comparison.memory() == 0
    for number in range(3):
        log.display(f"u{number}")
    assert log.comparison.memory() == 1_200


def test_without_a_reaction_the_deviation_is_that_of_one_more_user_with_one_reaction_of_size_1() -> None:
    log = Log()
    for number in range(50):
        log.display(f"u{number}")
        log.display(f"u{number}")
    metrics = log.comparison.policies["fixed"]
    for metric in ListMetric:
        assert metrics.deviation(metric) == pytest.approx(math.sqrt(1.0 / 50) / 2.0)


def test_a_state_without_the_sums_of_a_user_is_refused() -> None:
    log = Log()
    for user in ("ann", "bob"):
        log.display(user)
    state = dict(log.comparison.state())
    state["sums"] = state["sums"][:1]
    with pytest.raises(ValueError, match="zip"):
        PolicyComparison(100).restore(state)
