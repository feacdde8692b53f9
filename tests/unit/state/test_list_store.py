"""The store of published lists."""

import random
from typing import Any

import pytest

from state.list_store import PublishedListStore
from state.published_list import PublishedList, pack_propensities
from state.retention import MAX_RETAINED_FACTOR, MIN_RETAINED, Retention
from topics.records import Reward, RewardKind, Source


def make_list(
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


def caught_up_store(per_user: int) -> PublishedListStore:
    """A store whose worker has processed all events."""
    list_store = PublishedListStore(retention=Retention(per_user))
    list_store.advance_watermark(0, 1e9)
    return list_store


def names(list_store: PublishedListStore, user: str = "ann") -> list[str]:
    return [each.list_id for each in list_store.lists_of(user)]


def test_a_list_is_found_by_its_id_among_its_users_lists() -> None:
    list_store = PublishedListStore()
    list_store.add("ann", 0, make_list("l1"))
    list_store.add("bob", 0, make_list("l2"))
    found = list_store.find("ann", "l1")
    assert found is not None
    assert found.items == ("a", "b", "c")
    assert list_store.find("ann", "l2") is None
    assert list_store.find("cem", "l1") is None


def test_the_last_list_before_a_time_excludes_search_lists() -> None:
    list_store = PublishedListStore()
    list_store.add("ann", 0, make_list("l1", 100.0))
    list_store.add("ann", 0, make_list("l2", 200.0))
    list_store.add("ann", 0, make_list("s", 250.0, search=True))
    found = [list_store.last_before("ann", ts) for ts in (99.0, 100.0, 199.0, 300.0)]
    assert [each and each.list_id for each in found] == [None, "l1", "l1", "l2"]


def test_ranks_carry_their_propensity_and_features() -> None:
    rows = bytes(range(12))
    listed = make_list("l", propensities=pack_propensities([0.5, 0.25, 0.125]), features=rows)
    assert [listed.propensity(rank) for rank in range(3)] == [0.5, 0.25, 0.125]
    assert [listed.feature_row(rank) for rank in range(3)] == [rows[:4], rows[4:8], rows[8:]]
    bare = make_list("l", propensities=pack_propensities([1.0, 1.0, 1.0]))
    assert (bare.propensities, bare.propensity(2), bare.feature_row(2)) == (b"", 1.0, b"")


def test_beyond_the_user_limit_the_oldest_list_without_a_reaction_is_evicted() -> None:
    list_store = caught_up_store(3)
    for number in range(3):
        list_store.add("ann", 0, make_list(f"l{number}", 100.0 + number))
    list_store.apply_outcome(reward("l0", RewardKind.CLICK, 1, 0, 1))
    list_store.add("ann", 0, make_list("l3", 103.0))
    assert names(list_store) == ["l0", "l1", "l2", "l3"]
    list_store.add("ann", 0, make_list("l4", 104.0))
    assert names(list_store) == ["l0", "l2", "l3", "l4"]
    assert len(list_store) == 4


def test_among_lists_without_a_reaction_the_shortest_displayed_is_evicted() -> None:
    list_store = caught_up_store(4)
    for number, at in enumerate((100.0, 130.0, 130.1, 190.0, 190.1, 190.2)):
        list_store.add("ann", 0, make_list(f"l{number}", at))
    # Of a burst, the lists that were replaced at once are evicted.
    assert names(list_store) == ["l0", "l2", "l4", "l5"]


def test_a_list_is_retained_while_its_reactions_may_be_in_the_backlog() -> None:
    list_store = PublishedListStore(retention=Retention(2))
    list_store.advance_watermark(0, 100.0)
    list_store.advance_watermark(7, 10_000.0)
    # With a backlog: a list per second, and no reaction to them is processed yet.
    for number in range(6):
        list_store.add("ann", 0, make_list(f"l{number}", 100.0 + number))
    assert names(list_store) == [f"l{number}" for number in range(6)]
    # Events up to l4, and for the reaction delay after it, are processed.
    list_store.advance_watermark(0, 104.0 + 30.0)
    list_store.advance_watermark(0, 90.0)
    list_store.add("ann", 0, make_list("l6", 140.0))
    assert names(list_store) == ["l4", "l5", "l6"]


def test_lists_with_a_reaction_are_retained_for_the_window() -> None:
    list_store = PublishedListStore(retention=Retention(2, window=3_600.0))
    list_store.advance_watermark(0, 1e9)
    for number in range(6):
        at = 1_000.0 * number
        list_store.add("ann", 0, make_list(f"r{number}", at))
        list_store.apply_outcome(reward(f"r{number}", RewardKind.CLICK, 1, 0, 1, ts=at + 5.0))
        list_store.add("ann", 0, make_list(f"l{number}", at + 10.0))
    assert names(list_store) == ["r2", "r3", "r4", "r5", "l5"]


def test_retained_lists_are_bounded_and_shared_by_both_kinds() -> None:
    list_store = PublishedListStore(retention=Retention(3))
    for number in range(50):
        list_store.add("ann", 0, make_list(f"r{number}", 100.0 + number))
        list_store.apply_outcome(reward(f"r{number}", RewardKind.CLICK, 1, 0, 1))
    assert len(list_store) == MAX_RETAINED_FACTOR * 3
    # The oldest are evicted, not the newest.
    assert names(list_store) == [f"r{number}" for number in range(38, 50)]
    # Each list was displayed longer than the one before.
    for number in range(50):
        list_store.add("ann", 0, make_list(f"l{number}", 200.0 + number + number**2 / 1_000))
    kept = names(list_store)
    assert [sum(name.startswith(kind) for name in kept) for kind in "rl"] == [6, 6]
    assert kept[-MIN_RETAINED:] == ["l48", "l49"]


def test_search_lists_do_not_evict_other_lists() -> None:
    list_store = caught_up_store(2)
    for number in range(5):
        list_store.add("ann", 0, make_list(f"l{number}"))
        list_store.add("ann", 0, make_list(f"s{number}", search=True))
    assert names(list_store) == ["l3", "l4"]
    assert [list_store.find("ann", f"s{number}") is not None for number in range(5)] == [False] * 3 + [
        True
    ] * 2
    assert len(list_store) == 4
    list_store.forget("ann")
    assert len(list_store) == 0


def test_a_clicked_search_list_is_retained() -> None:
    list_store = caught_up_store(8)
    list_store.add("ann", 0, make_list("s0", search=True))
    list_store.apply_outcome(reward("s0", RewardKind.CLICK, 1, 0, 1))
    for number in range(1, 6):
        list_store.add("ann", 0, make_list(f"s{number}", 100.0 + number, search=True))
    assert [list_store.find("ann", f"s{number}") is not None for number in range(6)] == [
        True, False, False, False, True, True,
    ]  # fmt: skip


def test_an_impression_is_not_a_reaction() -> None:
    list_store = caught_up_store(3)
    for number in range(3):
        list_store.add("ann", 0, make_list(f"l{number}", 100.0 + number))
    list_store.apply_outcome(reward("l0", RewardKind.IMPRESSION, -1, 0, 1, 2))
    list_store.add("ann", 0, make_list("l3", 103.0))
    assert names(list_store) == ["l1", "l2", "l3"]


def test_beyond_the_total_limit_the_least_recently_published_user_is_evicted() -> None:
    list_store = PublishedListStore(limit=3)
    for number, user in enumerate(("ann", "bob", "ann", "cem")):
        list_store.add(user, 0, make_list(f"l{number}"))
    assert (names(list_store), names(list_store, "bob"), names(list_store, "cem")) == (
        ["l0", "l2"],
        [],
        ["l3"],
    )
    assert len(list_store) == 3


def test_beyond_the_total_limit_clicked_lists_are_truncated() -> None:
    list_store = PublishedListStore(limit=10)
    rows = bytes(range(6))
    list_store.add(
        "ann", 0, make_list("clicked", propensities=pack_propensities([0.5, 0.25, 0.125]), features=rows)
    )
    list_store.add("ann", 0, make_list("searched", search=True))
    list_store.add("ann", 0, make_list("looked at", 120.0))
    list_store.apply_outcome(reward("clicked", RewardKind.CLICK, 1, 0, 1))
    list_store.apply_outcome(reward("searched", RewardKind.CART, 2, 0, 1, 2))
    list_store.apply_outcome(reward("looked at", RewardKind.IMPRESSION, -1, 0, 1, 2))
    for number in range(30):
        list_store.add(f"u{number}", 0, make_list(f"l{number}", 130.0 + number))
    assert len(list_store) == 10 + 2
    [make_truncated] = list_store.lists_of("ann")
    assert (
        make_truncated.list_id,
        make_truncated.items,
        make_truncated.propensity(1),
        make_truncated.feature_row(1),
    ) == (
        "clicked",
        ("", "b", ""),
        0.25,
        rows[2:4],
    )
    assert (
        make_truncated.at,
        make_truncated.rewarded_mask(RewardKind.CLICK),
        make_truncated.has_positive_reaction(1),
    ) == (100.0, 0b10, True)
    found = list_store.find("ann", "searched")
    assert found is not None
    assert (found.items, found.search) == (("", "", "c", ""), True)
    # A truncated list cannot be evaluated.
    assert list_store.last_before("ann", 110.0) is None
    # A returning user has both lists.
    list_store.add("ann", 0, make_list("back", 200.0))
    assert names(list_store) == ["clicked", "back"]
    assert list_store.last_before("ann", 300.0) is list_store.find("ann", "back")
    list_store.forget("ann")
    assert names(list_store) == []
    # Her lists had evicted three others.
    assert len(list_store) == 7


def test_truncated_lists_are_bounded() -> None:
    list_store = PublishedListStore(limit=10)
    for number in range(100):
        list_store.add(f"u{number}", number % 2, make_list(f"l{number}", 100.0 + number))
        list_store.find(f"u{number}", f"l{number}").apply_outcome(RewardKind.CLICK, 0, (0,), 200.0)  # type: ignore[union-attr]
    assert len(list_store) == 20
    assert [number for number in range(100) if list_store.lists_of(f"u{number}")] == list(range(80, 100))
    list_store.retain_partitions({0})
    assert len(list_store) == 10


def test_the_limits_hold_under_random_operations() -> None:
    rng = random.Random(5)
    list_store = PublishedListStore(50, Retention(4))
    for number in range(3_000):
        user = f"u{rng.randrange(30)}"
        match rng.randrange(12):
            case 0:
                list_store.forget(user)
            case 1:
                list_store.retain_partitions({rng.randrange(4), rng.randrange(4), rng.randrange(4)})
            case 2:
                list_store.advance_watermark(rng.randrange(4), rng.uniform(0.0, 200.0))
            case 3 if list_store.lists_of(user):
                list_store.lists_of(user)[-1].apply_outcome(RewardKind.CLICK, 1, (0, 1), 110.0)
            case 4 if list_store.lists_of(user):
                list_store.discard(user, list_store.lists_of(user)[-1])
            case _:
                list_store.add(
                    user, rng.randrange(4), make_list(f"l{number if rng.random() < 0.9 else number - 1}")
                )
        counts = [len(list_store.lists_of(f"u{at}")) for at in range(30)]
        assert sum(counts) == len(list_store) <= 2 * 50
        assert max(counts) <= MAX_RETAINED_FACTOR * 4


def test_an_empty_list_is_not_stored() -> None:
    list_store = PublishedListStore()
    list_store.add("ann", 0, make_list("l", items=()))
    assert len(list_store) == 0


def test_a_republished_list_keeps_its_outcomes_and_restarts_its_windows() -> None:
    list_store = PublishedListStore()
    list_store.add("ann", 0, make_list("l", 100.0))
    list_store.apply_outcome(reward("l", RewardKind.CLICK, 1, 0, 1))
    list_store.add("ann", 0, make_list("l", 500.0))
    [stored] = list_store.lists_of("ann")
    assert (stored.at, stored.window_start, stored.seen) == (100.0, 500.0, 0b011)
    assert stored.rewarded_mask(RewardKind.CLICK) == 0b010


def test_another_list_with_the_same_id_replaces_the_first() -> None:
    list_store = PublishedListStore()
    list_store.add("ann", 0, make_list("l"))
    list_store.apply_outcome(reward("l", RewardKind.CLICK, 1, 0, 1))
    list_store.add("ann", 0, make_list("l", items=("x",)))
    [stored] = list_store.lists_of("ann")
    assert (stored.items, stored.seen, stored.rewarded) == (("x",), 0, None)


def test_an_unpublished_list_is_discarded_and_a_republished_one_is_kept() -> None:
    list_store = PublishedListStore()
    first = make_list("l1")
    list_store.add("ann", 0, first)
    lost = make_list("l2", 200.0)
    list_store.add("ann", 0, lost)
    list_store.discard("ann", lost)
    again = make_list("l1", 300.0)
    list_store.add("ann", 0, again)
    list_store.discard("ann", again)
    list_store.discard("nobody", lost)
    assert names(list_store) == ["l1"]
    assert len(list_store) == 1


@pytest.mark.parametrize("search", [False, True])
def test_a_user_whose_only_list_is_discarded_uses_no_memory(search: bool) -> None:
    import tracemalloc

    list_store = PublishedListStore()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    # No event is processed, as while Redis is unavailable.
    for number in range(2_000):
        listed = make_list("l", search=search)
        list_store.add(f"u{number}", 0, listed)
        list_store.discard(f"u{number}", listed)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert held < 50_000
    assert len(list_store) == 0


def test_a_user_keeps_the_search_list_when_the_other_list_is_discarded() -> None:
    list_store = PublishedListStore()
    list_store.add("ann", 0, make_list("s", search=True))
    lost = make_list("l")
    list_store.add("ann", 0, lost)
    list_store.discard("ann", lost)
    assert list_store.find("ann", "s") is not None
    assert len(list_store) == 1


def test_users_of_other_partitions_are_dropped() -> None:
    list_store = PublishedListStore()
    for partition, user in enumerate(("ann", "bob", "cem")):
        list_store.add(user, partition, make_list("l"))
    list_store.retain_partitions({0, 2})
    assert [len(list_store.lists_of(user)) for user in ("ann", "bob", "cem")] == [1, 0, 1]
    assert len(list_store) == 2


def test_a_reward_of_an_unknown_list_is_ignored() -> None:
    list_store = PublishedListStore()
    list_store.apply_outcome(reward("l", RewardKind.CLICK, 1, 0, 1))
    assert len(list_store) == 0


@pytest.mark.parametrize("features", [b"", bytes(3 * 80)])
def test_memory_is_estimated_within_a_few_percent(features: bytes) -> None:
    import tracemalloc

    ids = tuple(f"item-{at}" for at in range(20))
    list_store = caught_up_store(4)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(4_000):
        items = tuple(iter(ids))
        rows = bytes(bytearray(features))
        listed = PublishedList(f"list-{number:011}", "fixed", 100.0 + number, items, features=rows)
        list_store.add(f"u{number % 1000}", 0, listed)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert list_store.memory_bytes() == pytest.approx(held, rel=0.15)


def test_a_truncated_list_keeps_its_outcomes_when_republished() -> None:
    list_store = PublishedListStore(limit=2)
    list_store.add("ann", 0, make_list("l", 100.0))
    list_store.apply_outcome(reward("l", RewardKind.CLICK, 1, 0, 1))
    for number in range(3):
        list_store.add(f"u{number}", 0, make_list(f"o{number}", 110.0 + number))
    assert list_store.lists_of("ann")[0].is_truncated
    list_store.add("ann", 0, make_list("l", 140.0))
    [again] = list_store.lists_of("ann")
    assert (again.items, again.at, again.window_start) == (("a", "b", "c"), 100.0, 140.0)
    assert again.rewarded_mask(RewardKind.CLICK) == 0b10
    assert len(list_store) == 2


def test_a_list_republished_after_another_is_not_stored_twice() -> None:
    list_store = PublishedListStore()
    list_store.add("ann", 0, make_list("a", 100.0))
    list_store.add("ann", 0, make_list("b", 110.0, ("c", "a", "b")))
    list_store.apply_outcome(reward("a", RewardKind.CLICK, 0, 0))
    list_store.add("ann", 0, make_list("a", 120.0))
    assert names(list_store) == ["a", "b"]
    assert (
        list_store.lists_of("ann")[0].window_start,
        list_store.lists_of("ann")[0].rewarded_mask(RewardKind.CLICK),
    ) == (
        120.0,
        1,
    )


def test_the_newest_truncated_lists_are_retained() -> None:
    list_store = PublishedListStore(limit=20)

    def make_truncated(user: str, at: float) -> tuple[str, int, PublishedList]:
        listed = make_list(f"of {user}", at)
        listed.apply_outcome(RewardKind.CLICK, 0, (0,), at)
        return user, 0, listed.truncate()

    list_store.add_truncated(make_truncated(f"early {number}", 100.0 + number) for number in range(20))
    list_store.add_truncated(make_truncated(f"late {number}", 200.0 + number) for number in range(15))
    assert len(list_store) == 20
    assert all(list_store.lists_of(f"late {number}") for number in range(15))
    assert [number for number in range(20) if list_store.lists_of(f"early {number}")] == list(range(15, 20))
