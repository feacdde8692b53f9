"""Which published lists are retained: per user, and beyond the limit of the store."""

import random

from state.list_store import MAX_BACKLOG_FACTOR, PublishedListStore
from state.published_list import PublishedList, pack_propensities
from state.retention import MAX_RETAINED_FACTOR, MIN_RETAINED, Retention
from tests.support.published_lists import caught_up_store, make_list, names, reward
from topics.records import RewardKind


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
    list_store = caught_up_store(limit=3)
    for number, user in enumerate(("ann", "bob", "ann", "cem")):
        list_store.add(user, 0, make_list(f"l{number}"))
    assert (names(list_store), names(list_store, "bob"), names(list_store, "cem")) == (
        ["l0", "l2"],
        [],
        ["l3"],
    )
    assert len(list_store) == 3


def test_beyond_the_total_limit_clicked_lists_are_truncated() -> None:
    list_store = caught_up_store(limit=10)
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
    list_store = caught_up_store(limit=10)
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
        assert sum(counts) == len(list_store) <= (MAX_BACKLOG_FACTOR + 1) * 50
        assert max(counts) <= MAX_RETAINED_FACTOR * 4
    for partition in range(4):
        list_store.advance_watermark(partition, 1e9)
    list_store.add("last", 0, make_list("last"))
    assert len(list_store) <= 2 * 50


def test_a_truncated_list_keeps_its_outcomes_when_republished() -> None:
    list_store = caught_up_store(limit=2)
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


def test_lists_whose_clicks_are_read_last_are_retained_beyond_the_limit() -> None:
    # Partition 0 has a backlog: all of its lists are newer than the last event that was read.
    list_store = PublishedListStore(limit=100)
    list_store.advance_watermark(0, 1_000.0)
    for number in range(40):
        list_store.add(f"buyer{number}", 0, make_list(f"b{number}", 1_001.0))
    for number in range(2_000):
        at = 1_002.0 + 40 * number
        list_store.advance_watermark(1, at - 0.5)
        list_store.add(f"other{number}", 1, make_list(f"o{number}", at))
    assert all(list_store.find(f"buyer{number}", f"b{number}") for number in range(40))
    # The others' partition has none; its oldest lists were evicted.
    assert len(list_store) == 100
    for number in range(40):
        list_store.apply_outcome(reward(f"b{number}", RewardKind.CLICK, 1, 0, 1, user=f"buyer{number}"))
    # The backlog is read: the buyers' lists are the oldest.
    for partition in range(2):
        list_store.advance_watermark(partition, 1e6)
    for number in range(100):
        list_store.add(f"new{number}", 1, make_list(f"n{number}", 1e6 - 100.0))
    for number in range(40):
        [listed] = list_store.lists_of(f"buyer{number}")
        assert listed.items == ("", "b", "")
    assert len(list_store) == 140


def test_lists_with_unread_reactions_are_bounded() -> None:
    list_store = PublishedListStore(limit=10)
    for number in range(1_000):
        list_store.add(f"u{number}", number % 3, make_list(f"l{number}", 100.0 + number))
    assert [number for number in range(1_000) if list_store.lists_of(f"u{number}")] == list(range(960, 1_000))
    assert len(list_store) == MAX_BACKLOG_FACTOR * 10


def test_a_user_with_unread_reactions_can_be_published_erased_and_moved() -> None:
    list_store = PublishedListStore(limit=2)
    for number, user_id in enumerate(("ann", "bob", "cem", "dan", "eve")):
        list_store.add(user_id, number % 2, make_list(f"l{number}", 100.0 + number))
    list_store.add("ann", 0, make_list("again", 200.0))
    assert names(list_store) == ["l0", "again"]
    lost = make_list("lost", 201.0)
    list_store.add("bob", 1, lost)
    list_store.discard("bob", lost)
    assert names(list_store, "bob") == ["l1"]
    list_store.forget("cem")
    assert len(list_store) == 5
    list_store.retain_partitions({0})
    assert (names(list_store), names(list_store, "eve"), names(list_store, "dan")) == (
        ["l0", "again"],
        ["l4"],
        [],
    )
    list_store.advance_watermark(0, 1_000.0)
    list_store.add("fay", 0, make_list("l5", 1_000.0))
    assert (names(list_store), names(list_store, "eve"), names(list_store, "fay")) == ([], [], ["l5"])


def test_a_user_whose_list_was_published_again_counts_as_recent() -> None:
    list_store = PublishedListStore(limit=1)
    list_store.advance_watermark(0, 150.0)
    list_store.add("ann", 0, make_list("l0", 100.0))
    list_store.add("ann", 0, make_list("l0", 160.0))
    list_store.add("bob", 0, make_list("l1", 161.0))
    assert (names(list_store), names(list_store, "bob")) == (["l0"], ["l1"])


def test_lists_with_reactions_are_evicted_only_when_they_are_more_than_half() -> None:
    n_lists = MAX_RETAINED_FACTOR * MIN_RETAINED + 2
    lists = [make_list(f"l{at}", 100.0 + 10 * at) for at in range(n_lists)]
    for each in lists[: n_lists // 2]:
        each.apply_outcome(RewardKind.CLICK, 0, (0,), each.at)
    # The reactions to all of them may be in the backlog.
    retention = Retention(MIN_RETAINED)
    assert retention.select_eviction(lists, watermark=0.0) == n_lists // 2
    lists[n_lists // 2].apply_outcome(RewardKind.CLICK, 0, (0,), 110.0)
    assert retention.select_eviction(lists, watermark=0.0) == 0
