"""The memory of published lists."""

import random
from typing import Any

import pytest

from state.list_store import ListMemory
from state.published_list import PublishedList, packed
from state.retention import KEPT, ROOM, Retention
from topics.records import Reward, RewardKind, Source


def made(
    list_id: str, at: float = 100.0, items: tuple[str, ...] = ("a", "b", "c"), **fields: Any
) -> PublishedList:
    return PublishedList(list_id, "fixed", at, items, **fields)


def reward(list_id: str, kind: RewardKind, position: int, *seen: int, ts: float = 110.0) -> Reward:
    return Reward(
        source=Source.CLICK,
        partition=0,
        offset=0,
        line=0,
        ts=ts,
        user_id="ann",
        list_id=list_id,
        policy="fixed",
        kind=kind,
        position=position,
        seen_positions=seen,
    )


def remembering(per_user: int) -> ListMemory:
    """A memory of a worker that has caught up with what shoppers do."""
    memory = ListMemory(retention=Retention(per_user))
    memory.take_event(0, 1e9)
    return memory


def names(memory: ListMemory, user: str = "ann") -> list[str]:
    return [each.list_id for each in memory.of(user)]


def test_a_list_is_found_by_its_name_among_its_shoppers_alone() -> None:
    memory = ListMemory()
    memory.add("ann", 0, made("l1"))
    memory.add("bob", 0, made("l2"))
    found = memory.find("ann", "l1")
    assert found is not None
    assert found.items == ("a", "b", "c")
    assert memory.find("ann", "l2") is None
    assert memory.find("cem", "l1") is None


def test_the_last_list_is_that_of_the_time_and_none_of_a_search() -> None:
    memory = ListMemory()
    memory.add("ann", 0, made("l1", 100.0))
    memory.add("ann", 0, made("l2", 200.0))
    memory.add("ann", 0, made("s", 250.0, search=True))
    found = [memory.last("ann", ts) for ts in (99.0, 100.0, 199.0, 300.0)]
    assert [each and each.list_id for each in found] == [None, "l1", "l1", "l2"]


def test_places_carry_their_propensity_and_features() -> None:
    rows = bytes(range(12))
    listed = made("l", propensities=packed([0.5, 0.25, 0.125]), features=rows)
    assert [listed.propensity(place) for place in range(3)] == [0.5, 0.25, 0.125]
    assert [listed.row(place) for place in range(3)] == [rows[:4], rows[4:8], rows[8:]]
    bare = made("l", propensities=packed([1.0, 1.0, 1.0]))
    assert (bare.propensities, bare.propensity(2), bare.row(2)) == (b"", 1.0, b"")


def test_beyond_the_bound_of_a_shopper_the_oldest_without_a_reaction_goes() -> None:
    memory = remembering(3)
    for number in range(3):
        memory.add("ann", 0, made(f"l{number}", 100.0 + number))
    memory.take(reward("l0", RewardKind.CLICK, 1, 0, 1))
    memory.add("ann", 0, made("l3", 103.0))
    assert names(memory) == ["l0", "l1", "l2", "l3"]
    memory.add("ann", 0, made("l4", 104.0))
    assert names(memory) == ["l0", "l2", "l3", "l4"]
    assert len(memory) == 4


def test_of_lists_without_a_reaction_the_one_that_was_up_for_the_shortest_time_goes() -> None:
    memory = remembering(4)
    for number, at in enumerate((100.0, 130.0, 130.1, 190.0, 190.1, 190.2)):
        memory.add("ann", 0, made(f"l{number}", at))
    # those of a burst that had another after them within a blink
    assert names(memory) == ["l0", "l2", "l4", "l5"]


def test_a_list_stays_while_what_was_done_with_it_may_wait_to_be_taken() -> None:
    memory = ListMemory(retention=Retention(2))
    memory.take_event(0, 100.0)
    memory.take_event(7, 10_000.0)
    # behind a backlog a list a second, and nothing of what its shopper does with them is taken yet
    for number in range(6):
        memory.add("ann", 0, made(f"l{number}", 100.0 + number))
    assert names(memory) == [f"l{number}" for number in range(6)]
    # the worker has caught up with what was done until l4 came, and for as long as a page is open
    memory.take_event(0, 104.0 + 30.0)
    memory.take_event(0, 90.0)
    memory.add("ann", 0, made("l6", 140.0))
    assert names(memory) == ["l4", "l5", "l6"]


def test_lists_with_a_reaction_stay_as_long_as_another_may_follow() -> None:
    memory = ListMemory(retention=Retention(2, window=3_600.0))
    memory.take_event(0, 1e9)
    for number in range(6):
        at = 1_000.0 * number
        memory.add("ann", 0, made(f"r{number}", at))
        memory.take(reward(f"r{number}", RewardKind.CLICK, 1, 0, 1, ts=at + 5.0))
        memory.add("ann", 0, made(f"l{number}", at + 10.0))
    assert names(memory) == ["r2", "r3", "r4", "r5", "l5"]


def test_all_that_wait_have_a_bound_of_which_neither_kind_takes_all() -> None:
    memory = ListMemory(retention=Retention(3))
    for number in range(50):
        memory.add("ann", 0, made(f"r{number}", 100.0 + number))
        memory.take(reward(f"r{number}", RewardKind.CLICK, 1, 0, 1))
    assert len(memory) == ROOM * 3
    # what is dropped is the oldest, and not what came just now
    assert names(memory) == [f"r{number}" for number in range(38, 50)]
    # each was up for longer than the one before
    for number in range(50):
        memory.add("ann", 0, made(f"l{number}", 200.0 + number + number**2 / 1_000))
    kept = names(memory)
    assert [sum(name.startswith(kind) for name in kept) for kind in "rl"] == [6, 6]
    assert kept[-KEPT:] == ["l48", "l49"]


def test_the_lists_of_searches_take_no_room_from_the_others() -> None:
    memory = remembering(2)
    for number in range(5):
        memory.add("ann", 0, made(f"l{number}"))
        memory.add("ann", 0, made(f"s{number}", search=True))
    assert names(memory) == ["l3", "l4"]
    assert [memory.find("ann", f"s{number}") is not None for number in range(5)] == [False] * 3 + [True] * 2
    assert len(memory) == 4
    memory.forget("ann")
    assert len(memory) == 0


def test_a_search_list_that_was_clicked_waits_for_its_purchase() -> None:
    memory = remembering(8)
    memory.add("ann", 0, made("s0", search=True))
    memory.take(reward("s0", RewardKind.CLICK, 1, 0, 1))
    for number in range(1, 6):
        memory.add("ann", 0, made(f"s{number}", 100.0 + number, search=True))
    assert [memory.find("ann", f"s{number}") is not None for number in range(6)] == [
        True, False, False, False, True, True,
    ]  # fmt: skip


def test_to_have_been_shown_is_no_reaction() -> None:
    memory = remembering(3)
    for number in range(3):
        memory.add("ann", 0, made(f"l{number}", 100.0 + number))
    memory.take(reward("l0", RewardKind.IMPRESSION, -1, 0, 1, 2))
    memory.add("ann", 0, made("l3", 103.0))
    assert names(memory) == ["l1", "l2", "l3"]


def test_beyond_the_bound_of_all_whoever_got_a_list_longest_ago_is_forgotten() -> None:
    memory = ListMemory(limit=3)
    for number, user in enumerate(("ann", "bob", "ann", "cem")):
        memory.add(user, 0, made(f"l{number}"))
    assert (names(memory), names(memory, "bob"), names(memory, "cem")) == (["l0", "l2"], [], ["l3"])
    assert len(memory) == 3


def test_beyond_the_bound_of_all_what_was_clicked_waits_for_its_purchase() -> None:
    memory = ListMemory(limit=10)
    rows = bytes(range(6))
    memory.add("ann", 0, made("clicked", propensities=packed([0.5, 0.25, 0.125]), features=rows))
    memory.add("ann", 0, made("searched", search=True))
    memory.add("ann", 0, made("looked at", 120.0))
    memory.take(reward("clicked", RewardKind.CLICK, 1, 0, 1))
    memory.take(reward("searched", RewardKind.CART, 2, 0, 1, 2))
    memory.take(reward("looked at", RewardKind.IMPRESSION, -1, 0, 1, 2))
    for number in range(30):
        memory.add(f"u{number}", 0, made(f"l{number}", 130.0 + number))
    assert len(memory) == 10 + 2
    [left] = memory.of("ann")
    assert (left.list_id, left.items, left.propensity(1), left.row(1)) == (
        "clicked",
        ("", "b", ""),
        0.25,
        rows[2:4],
    )
    assert (left.at, left.was_given(RewardKind.CLICK), left.reacted_to(1)) == (100.0, 0b10, True)
    found = memory.find("ann", "searched")
    assert found is not None
    assert (found.items, found.search) == (("", "", "c", ""), True)
    # what of it was published and not held any more says nothing of what they chose
    assert memory.last("ann", 110.0) is None
    # who comes back has both
    memory.add("ann", 0, made("back", 200.0))
    assert names(memory) == ["clicked", "back"]
    assert memory.last("ann", 300.0) is memory.find("ann", "back")
    memory.forget("ann")
    assert names(memory) == []
    # three of hers had taken the place of others
    assert len(memory) == 7


def test_what_waits_for_a_purchase_has_a_bound_too() -> None:
    memory = ListMemory(limit=10)
    for number in range(100):
        memory.add(f"u{number}", number % 2, made(f"l{number}", 100.0 + number))
        memory.find(f"u{number}", f"l{number}").mark(RewardKind.CLICK, 0, (0,), 200.0)  # type: ignore[union-attr]
    assert len(memory) == 20
    assert [number for number in range(100) if memory.of(f"u{number}")] == list(range(80, 100))
    memory.keep({0})
    assert len(memory) == 10


def test_the_bounds_hold_whatever_happens() -> None:
    rng = random.Random(5)
    memory = ListMemory(50, Retention(4))
    for number in range(3_000):
        user = f"u{rng.randrange(30)}"
        match rng.randrange(12):
            case 0:
                memory.forget(user)
            case 1:
                memory.keep({rng.randrange(4), rng.randrange(4), rng.randrange(4)})
            case 2:
                memory.take_event(rng.randrange(4), rng.uniform(0.0, 200.0))
            case 3 if memory.of(user):
                memory.of(user)[-1].mark(RewardKind.CLICK, 1, (0, 1), 110.0)
            case 4 if memory.of(user):
                memory.withdraw(user, memory.of(user)[-1])
            case _:
                memory.add(user, rng.randrange(4), made(f"l{number if rng.random() < 0.9 else number - 1}"))
        counts = [len(memory.of(f"u{at}")) for at in range(30)]
        assert sum(counts) == len(memory) <= 2 * 50
        assert max(counts) <= ROOM * 4


def test_an_empty_list_is_not_remembered() -> None:
    memory = ListMemory()
    memory.add("ann", 0, made("l", items=()))
    assert len(memory) == 0


def test_the_same_list_again_keeps_its_fate_and_begins_its_windows_anew() -> None:
    memory = ListMemory()
    memory.add("ann", 0, made("l", 100.0))
    memory.take(reward("l", RewardKind.CLICK, 1, 0, 1))
    memory.add("ann", 0, made("l", 500.0))
    [known] = memory.of("ann")
    assert (known.at, known.since, known.seen) == (100.0, 500.0, 0b011)
    assert known.was_given(RewardKind.CLICK) == 0b010


def test_another_list_under_the_same_name_takes_its_place() -> None:
    memory = ListMemory()
    memory.add("ann", 0, made("l"))
    memory.take(reward("l", RewardKind.CLICK, 1, 0, 1))
    memory.add("ann", 0, made("l", items=("x",)))
    [known] = memory.of("ann")
    assert (known.items, known.seen, known.given) == (("x",), 0, None)


def test_a_list_that_nobody_saw_is_withdrawn_and_one_published_before_is_not() -> None:
    memory = ListMemory()
    first = made("l1")
    memory.add("ann", 0, first)
    lost = made("l2", 200.0)
    memory.add("ann", 0, lost)
    memory.withdraw("ann", lost)
    again = made("l1", 300.0)
    memory.add("ann", 0, again)
    memory.withdraw("ann", again)
    memory.withdraw("nobody", lost)
    assert names(memory) == ["l1"]
    assert len(memory) == 1


@pytest.mark.parametrize("search", [False, True])
def test_a_shopper_whose_only_list_is_withdrawn_takes_no_memory(search: bool) -> None:
    import tracemalloc

    memory = ListMemory()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    # as while Redis is away
    for number in range(2_000):
        listed = made("l", search=search)
        memory.add(f"u{number}", 0, listed)
        memory.withdraw(f"u{number}", listed)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert held < 50_000
    assert len(memory) == 0


def test_a_shopper_keeps_the_search_when_the_only_other_list_is_withdrawn() -> None:
    memory = ListMemory()
    memory.add("ann", 0, made("s", search=True))
    lost = made("l")
    memory.add("ann", 0, lost)
    memory.withdraw("ann", lost)
    assert memory.find("ann", "s") is not None
    assert len(memory) == 1


def test_the_shoppers_of_other_partitions_are_forgotten() -> None:
    memory = ListMemory()
    for partition, user in enumerate(("ann", "bob", "cem")):
        memory.add(user, partition, made("l"))
    memory.keep({0, 2})
    assert [len(memory.of(user)) for user in ("ann", "bob", "cem")] == [1, 0, 1]
    assert len(memory) == 2


def test_a_reward_of_a_list_that_is_not_remembered_says_nothing() -> None:
    memory = ListMemory()
    memory.take(reward("l", RewardKind.CLICK, 1, 0, 1))
    assert len(memory) == 0


@pytest.mark.parametrize("features", [b"", bytes(3 * 80)])
def test_memory_is_told_to_within_a_few_percent(features: bytes) -> None:
    import tracemalloc

    ids = tuple(f"item-{at}" for at in range(20))
    memory = remembering(4)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(4_000):
        items = tuple(iter(ids))
        rows = bytes(bytearray(features))
        listed = PublishedList(f"list-{number:011}", "fixed", 100.0 + number, items, features=rows)
        memory.add(f"u{number % 1000}", 0, listed)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert memory.memory() == pytest.approx(held, rel=0.15)


def test_a_list_of_whoever_was_set_aside_keeps_its_fate_when_it_is_published_again() -> None:
    memory = ListMemory(limit=2)
    memory.add("ann", 0, made("l", 100.0))
    memory.take(reward("l", RewardKind.CLICK, 1, 0, 1))
    for number in range(3):
        memory.add(f"u{number}", 0, made(f"o{number}", 110.0 + number))
    assert memory.of("ann")[0].is_remnant
    memory.add("ann", 0, made("l", 140.0))
    [again] = memory.of("ann")
    assert (again.items, again.at, again.since) == (("a", "b", "c"), 100.0, 140.0)
    assert again.was_given(RewardKind.CLICK) == 0b10
    assert len(memory) == 2


def test_a_list_that_comes_back_after_another_is_no_second_one() -> None:
    memory = ListMemory()
    memory.add("ann", 0, made("a", 100.0))
    memory.add("ann", 0, made("b", 110.0, ("c", "a", "b")))
    memory.take(reward("a", RewardKind.CLICK, 0, 0))
    memory.add("ann", 0, made("a", 120.0))
    assert names(memory) == ["a", "b"]
    assert (memory.of("ann")[0].since, memory.of("ann")[0].was_given(RewardKind.CLICK)) == (120.0, 1)


def test_of_remnants_the_newest_stay_whoever_they_came_with() -> None:
    memory = ListMemory(limit=20)

    def left(user: str, at: float) -> tuple[str, int, PublishedList]:
        listed = made(f"of {user}", at)
        listed.mark(RewardKind.CLICK, 0, (0,), at)
        return user, 0, listed.remnant()

    memory.add_earlier(left(f"early {number}", 100.0 + number) for number in range(20))
    memory.add_earlier(left(f"late {number}", 200.0 + number) for number in range(15))
    assert len(memory) == 20
    assert all(memory.of(f"late {number}") for number in range(15))
    assert [number for number in range(20) if memory.of(f"early {number}")] == list(range(15, 20))
