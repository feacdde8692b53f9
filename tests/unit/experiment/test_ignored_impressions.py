import numpy as np
import pytest

from stream_app.experiment.ignored_impressions import MAX_IMPRESSIONS, IgnoredImpressions
from topics.records import Reward, RewardKind, Source

UNIFORM_EXAMINATION = np.ones(20)
ALL_LISTS = 1_000


class MemoryUser:
    """A user whose impressions and choices are recorded."""

    def __init__(self, memory: IgnoredImpressions, name: str = "ann") -> None:
        self.memory = memory
        self.name = name
        self.lists = 0

    def _reward(self, kind: RewardKind, seen: list[int], item: int, *, first_exposure: bool) -> None:
        reward = Reward(
            source=Source.CLICK,
            partition=0,
            offset=self.lists,
            line=0,
            ts=60.0 * self.lists,
            user_id=self.name,
            list_id=f"l{self.lists}",
            policy="fixed",
            kind=kind,
            first_exposure=first_exposure,
            seen=tuple(str(each) for each in seen),
            seen_positions=tuple(range(len(seen))),
        )
        self.memory.on_reward(reward, np.array(seen, np.int32), item)

    def see(self, *items: int) -> None:
        self.lists += 1
        self._reward(RewardKind.IMPRESSION, list(items), -1, first_exposure=True)

    def react(self, item: int, kind: RewardKind = RewardKind.CLICK) -> None:
        self._reward(kind, [], item, first_exposure=False)

    def ignored_impressions(self, *items: int, n_recent: int = ALL_LISTS) -> list[float]:
        history = self.memory.lookup(self.name, np.array(items, np.int32), n_recent, UNIFORM_EXAMINATION)
        return [float(count) for count in history.ignored_impressions]


def test_impressions_are_counted_per_list_and_user() -> None:
    memory = IgnoredImpressions()
    ann, bob = MemoryUser(memory), MemoryUser(memory, "bob")
    ann.see(1, 2)
    ann.see(2, 3)
    bob.see(3)
    assert ann.ignored_impressions(1, 2, 3, 4) == [1.0, 2.0, 1.0, 0.0]
    assert bob.ignored_impressions(1, 2, 3, 4) == [0.0, 0.0, 1.0, 0.0]
    assert MemoryUser(memory, "eve").ignored_impressions(1, 2) == [0.0, 0.0]


@pytest.mark.parametrize("kind", [RewardKind.CLICK, RewardKind.CART, RewardKind.PURCHASE])
def test_chosen_item_is_no_longer_ignored(kind: RewardKind) -> None:
    ann = MemoryUser(IgnoredImpressions())
    ann.see(1, 2)
    ann.see(1, 2)
    ann.react(2, kind)
    assert ann.ignored_impressions(1, 2) == [2.0, 0.0]
    assert ann.memory.lookup(
        "ann", np.array([1, 2], np.int32), ALL_LISTS, UNIFORM_EXAMINATION
    ).chosen.tolist() == [0.0, 1.0]
    ann.see(2)
    assert ann.ignored_impressions(1, 2) == [2.0, 1.0]


@pytest.mark.parametrize("kind", [RewardKind.DISLIKE, RewardKind.HIDE])
def test_a_dislike_is_not_a_choice(kind: RewardKind) -> None:
    ann = MemoryUser(IgnoredImpressions())
    ann.see(1)
    ann.react(1, kind)
    assert ann.ignored_impressions(1) == [1.0]


def test_impressions_are_weighted_by_current_examination_probabilities() -> None:
    ann = MemoryUser(IgnoredImpressions())
    ann.see(1, 2, 3)
    items = np.array([1, 2, 3], np.int32)
    assert ann.memory.lookup("ann", items, ALL_LISTS, np.array([1.0, 0.5])).ignored_impressions.tolist() == [
        1.0,
        0.5,
        0.5,
    ]
    assert ann.memory.lookup("ann", items, ALL_LISTS, np.array([1.0])).ignored_impressions.tolist() == [
        1.0,
        1.0,
        1.0,
    ]


def test_recent_lists_are_separated_from_earlier_ones_which_decay() -> None:
    ann = MemoryUser(IgnoredImpressions(decay=0.5))
    ann.see(1)
    ann.react(4)
    ann.see(2)
    ann.see(1, 3)
    assert ann.ignored_impressions(1, 2, 3, n_recent=1) == [1.0, 0.0, 1.0]
    assert ann.ignored_impressions(1, 2, 3, n_recent=2) == [1.0, 1.0, 1.0]
    assert ann.ignored_impressions(1, 2, 3, n_recent=0) == [0.0, 0.0, 0.0]
    items = np.array([1, 2, 3, 4], np.int32)
    history = ann.memory.lookup("ann", items, 1, UNIFORM_EXAMINATION)
    assert history.decayed.tolist() == [1.25, 0.5, 1.0, 0.0]
    assert history.chosen.tolist() == [0.0, 0.0, 0.0, 0.0]
    assert ann.memory.lookup("ann", items, 3, UNIFORM_EXAMINATION).chosen.tolist() == [0.0, 0.0, 0.0, 1.0]


def test_impressions_and_users_are_bounded() -> None:
    memory = IgnoredImpressions(max_users=300)
    ann = MemoryUser(memory)
    ann.see(*range(MAX_IMPRESSIONS), 999)
    assert ann.ignored_impressions(0, 1, 999) == [0.0, 1.0, 1.0]
    for number in range(1_000):
        user = MemoryUser(memory, f"user {number}")
        user.lists = 10 + number
        user.see(number)
    assert ann.ignored_impressions(1) == [0.0]
    assert MemoryUser(memory, "user 999").ignored_impressions(999) == [1.0]
    # a user does not get the history of the evicted user of the same row
    assert MemoryUser(memory, "user 999").ignored_impressions(*range(999)) == [0.0] * 999
    assert memory.memory() < 600 * (MAX_IMPRESSIONS * 10 + 400)


def test_users_and_items_can_be_forgotten() -> None:
    memory = IgnoredImpressions()
    ann, bob = MemoryUser(memory), MemoryUser(memory, "bob")
    for user in (ann, bob):
        user.see(1, 2)
    memory.forget_user("ann")
    memory.forget_user("nobody")
    memory.forget_items(np.array([2], np.int32))
    assert ann.ignored_impressions(1, 2) == [0.0, 0.0]
    assert bob.ignored_impressions(1, 2) == [1.0, 0.0]


def test_restored_state_is_equal_and_independent() -> None:
    memory, again = IgnoredImpressions(), IgnoredImpressions()
    MemoryUser(again, "someone else").see(1)
    for number in range(100):
        MemoryUser(memory, f"user {number}").see(number, 7)
    memory.forget_user("user 3")
    state = memory.state()
    again.restore(state)
    for each in (memory, again):
        user = MemoryUser(each, "user 50")
        user.lists = 1
        user.see(7, 8)
        MemoryUser(each, "another").see(5)
    for name in ("user 3", "user 50", "another", "someone else"):
        items = np.array([5, 7, 8, 50], np.int32)
        ours, theirs = (each.lookup(name, items, ALL_LISTS, UNIFORM_EXAMINATION) for each in (memory, again))
        assert [each.tolist() for each in ours] == [each.tolist() for each in theirs]
    third = IgnoredImpressions()
    third.restore(state)
    assert MemoryUser(third, "user 50").ignored_impressions(7, 8) == [1.0, 0.0]
    with pytest.raises(ValueError, match="decay"):
        IgnoredImpressions(decay=0.5).restore(state)
