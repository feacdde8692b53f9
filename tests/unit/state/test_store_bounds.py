"""The bounds of the store of published lists in numbers."""

from state.list_store import MAX_BACKLOG_FACTOR, PublishedListStore
from state.published_list import PublishedList


def test_lists_of_a_backlog_are_at_most_four_times_the_limit() -> None:
    store = PublishedListStore(limit=3)
    # No event was read: the reactions to each list may still come.
    for number in range(20):
        store.add(f"u{number}", 0, PublishedList("l", "fixed", 100.0 + number, ("a",)))
    assert len(store) == 12 == MAX_BACKLOG_FACTOR * 3
    assert not store.lists_of("u7")
    assert store.lists_of("u8")
    # With progress, the limit holds again.
    store.advance_watermark(0, 1_000.0)
    store.add("last", 0, PublishedList("l", "fixed", 200.0, ("a",)))
    assert len(store) == 3


def test_a_watermark_never_goes_back() -> None:
    store = PublishedListStore(limit=1)
    store.advance_watermark(0, 1_000.0)
    store.advance_watermark(0, 1.0)
    for number in range(3):
        store.add(f"u{number}", 0, PublishedList("l", "fixed", 100.0 + number, ("a",)))
    assert len(store) == 1


def test_memory_of_an_empty_store_is_none_and_grows_with_items_and_features() -> None:
    store = PublishedListStore()
    assert store.memory_bytes() == 0
    store.add("ann", 0, PublishedList("l", "fixed", 1.0, ("a",)))
    small = store.memory_bytes()
    store.forget("ann")
    assert store.memory_bytes() == 0
    store.add("ann", 0, PublishedList("l", "fixed", 1.0, ("a", "b", "c"), b"\0" * 24, b"\0" * 60))
    assert store.memory_bytes() == small + 2 * 8 + 24 + 60


def test_memory_is_estimated_from_the_newest_hundred_users() -> None:
    def estimate(n_users: int, rows: dict[int, int]) -> int:
        store = PublishedListStore()
        for number in range(n_users):
            features = bytes(rows.get(number, 0))
            store.add(f"u{number}", 0, PublishedList("l", "fixed", float(number + 1), ("a",), b"", features))
        return store.memory_bytes()

    plain = estimate(101, {})
    assert estimate(101, {0: 1_000_000}) == plain
    assert estimate(101, {1: 1_000_000}) == plain + 101 * 10_000
