"""The store of published lists."""

import pytest

from state.list_store import PublishedListStore
from state.published_list import PublishedList, pack_propensities
from tests.support.published_lists import caught_up_store, make_list, names, reward
from topics.records import RewardKind


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
