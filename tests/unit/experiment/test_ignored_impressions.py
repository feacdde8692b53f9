import numpy as np
import pytest

from stream_app.experiment.ignored_impressions import SHOWINGS, PassedOver
from topics.records import Reward, RewardKind, Source

ALIKE = np.ones(20)
ALL = 1_000


class Shopper:
    """Tells a memory what one shopper saw and chose."""

    def __init__(self, memory: PassedOver, name: str = "ann") -> None:
        self.memory = memory
        self.name = name
        self.lists = 0

    def _reward(self, kind: RewardKind, seen: list[int], item: int, *, opens: bool) -> None:
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
            opens=opens,
            seen=tuple(str(each) for each in seen),
            seen_positions=tuple(range(len(seen))),
        )
        self.memory.hear(reward, np.array(seen, np.int32), item)

    def see(self, *items: int) -> None:
        self.lists += 1
        self._reward(RewardKind.IMPRESSION, list(items), -1, opens=True)

    def react(self, item: int, kind: RewardKind = RewardKind.CLICK) -> None:
        self._reward(kind, [], item, opens=False)

    def passed_over(self, *items: int, last: int = ALL) -> list[float]:
        found = self.memory.of(self.name, np.array(items, np.int32), last, ALIKE)
        return [float(times) for times in found.passed_over]


def test_what_is_seen_on_each_list_counts_each_time_and_for_this_shopper_alone() -> None:
    memory = PassedOver()
    ann, bob = Shopper(memory), Shopper(memory, "bob")
    ann.see(1, 2)
    ann.see(2, 3)
    bob.see(3)
    assert ann.passed_over(1, 2, 3, 4) == [1.0, 2.0, 1.0, 0.0]
    assert bob.passed_over(1, 2, 3, 4) == [0.0, 0.0, 1.0, 0.0]
    assert Shopper(memory, "eve").passed_over(1, 2) == [0.0, 0.0]


@pytest.mark.parametrize("kind", [RewardKind.CLICK, RewardKind.CART, RewardKind.PURCHASE])
def test_what_is_chosen_was_not_passed_over_and_is_known_to_be_chosen(kind: RewardKind) -> None:
    ann = Shopper(PassedOver())
    ann.see(1, 2)
    ann.see(1, 2)
    ann.react(2, kind)
    assert ann.passed_over(1, 2) == [2.0, 0.0]
    assert ann.memory.of("ann", np.array([1, 2], np.int32), ALL, ALIKE).chosen.tolist() == [0.0, 1.0]
    ann.see(2)
    assert ann.passed_over(1, 2) == [2.0, 1.0]


@pytest.mark.parametrize("kind", [RewardKind.DISLIKE, RewardKind.HIDE])
def test_a_dislike_is_no_choice(kind: RewardKind) -> None:
    ann = Shopper(PassedOver())
    ann.see(1)
    ann.react(1, kind)
    assert ann.passed_over(1) == [1.0]


def test_a_place_that_is_rarely_looked_at_counts_for_little_by_what_is_known_when_it_is_asked() -> None:
    ann = Shopper(PassedOver())
    ann.see(1, 2, 3)
    items = np.array([1, 2, 3], np.int32)
    assert ann.memory.of("ann", items, ALL, np.array([1.0, 0.5])).passed_over.tolist() == [1.0, 0.5, 0.5]
    assert ann.memory.of("ann", items, ALL, np.array([1.0])).passed_over.tolist() == [1.0, 1.0, 1.0]


def test_the_last_lists_are_told_from_those_before_which_fade() -> None:
    ann = Shopper(PassedOver(fading=0.5))
    ann.see(1)
    ann.react(4)
    ann.see(2)
    ann.see(1, 3)
    assert ann.passed_over(1, 2, 3, last=1) == [1.0, 0.0, 1.0]
    assert ann.passed_over(1, 2, 3, last=2) == [1.0, 1.0, 1.0]
    assert ann.passed_over(1, 2, 3, last=0) == [0.0, 0.0, 0.0]
    items = np.array([1, 2, 3, 4], np.int32)
    found = ann.memory.of("ann", items, 1, ALIKE)
    assert found.lately.tolist() == [1.25, 0.5, 1.0, 0.0]
    assert found.chosen.tolist() == [0.0, 0.0, 0.0, 0.0]
    assert ann.memory.of("ann", items, 3, ALIKE).chosen.tolist() == [0.0, 0.0, 0.0, 1.0]


def test_it_holds_so_many_showings_and_shoppers_and_no_more() -> None:
    memory = PassedOver(max_shoppers=300)
    ann = Shopper(memory)
    ann.see(*range(SHOWINGS), 999)
    assert ann.passed_over(0, 1, 999) == [0.0, 1.0, 1.0]
    for number in range(1_000):
        shopper = Shopper(memory, f"shopper {number}")
        shopper.lists = 10 + number
        shopper.see(number)
    assert ann.passed_over(1) == [0.0]
    assert Shopper(memory, "shopper 999").passed_over(999) == [1.0]
    # nobody is taken for the one whose room they got
    assert Shopper(memory, "shopper 999").passed_over(*range(999)) == [0.0] * 999
    assert memory.memory() < 600 * (SHOWINGS * 10 + 400)


def test_shoppers_and_items_are_forgotten() -> None:
    memory = PassedOver()
    ann, bob = Shopper(memory), Shopper(memory, "bob")
    for shopper in (ann, bob):
        shopper.see(1, 2)
    memory.forget_user("ann")
    memory.forget_user("nobody")
    memory.forget_items(np.array([2], np.int32))
    assert ann.passed_over(1, 2) == [0.0, 0.0]
    assert bob.passed_over(1, 2) == [1.0, 0.0]


def test_a_state_goes_on_as_what_it_was_taken_from_and_shares_nothing_with_it() -> None:
    memory, again = PassedOver(), PassedOver()
    Shopper(again, "someone else").see(1)
    for number in range(100):
        Shopper(memory, f"shopper {number}").see(number, 7)
    memory.forget_user("shopper 3")
    state = memory.state()
    again.restore(state)
    for each in (memory, again):
        shopper = Shopper(each, "shopper 50")
        shopper.lists = 1
        shopper.see(7, 8)
        Shopper(each, "another").see(5)
    for name in ("shopper 3", "shopper 50", "another", "someone else"):
        items = np.array([5, 7, 8, 50], np.int32)
        ours, theirs = (each.of(name, items, ALL, ALIKE) for each in (memory, again))
        assert [each.tolist() for each in ours] == [each.tolist() for each in theirs]
    third = PassedOver()
    third.restore(state)
    assert Shopper(third, "shopper 50").passed_over(7, 8) == [1.0, 0.0]
    with pytest.raises(ValueError, match="fading"):
        PassedOver(fading=0.5).restore(state)
