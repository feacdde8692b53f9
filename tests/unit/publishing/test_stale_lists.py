"""When stale shared lists are refreshed, which of them, and how many."""

from math import inf

import pytest

from stream_app.client.redis_contract import MAX_QUERY_LENGTH
from stream_app.publishing import stale_lists
from stream_app.publishing.stale_lists import NOTHING_STALE, StaleBatch, StaleSharedLists

INTERVAL = 10.0


def stale(n_items: int = 1, n_queries: int = 0, n_segments: int = 0) -> StaleSharedLists:
    lists = StaleSharedLists(INTERVAL)
    lists.invalidate([f"i{at}" for at in range(n_items)], [f"s:{at}" for at in range(n_segments)])
    for at in range(n_queries):
        lists.invalidate_query(f"q{at}")
    return lists


def test_without_stale_lists_nothing_is_due() -> None:
    lists = StaleSharedLists(INTERVAL)
    assert not lists
    assert lists.next_due == inf
    assert lists.pop(1e9) is NOTHING_STALE
    assert lists.due == 0.0


def test_the_next_cycle_is_due_after_the_interval_and_not_before() -> None:
    lists = stale()
    assert lists.next_due == 0.0
    assert lists.pop(100.0) == StaleBatch(["i0"], [], ["all"])
    lists.invalidate(["i0"], ())
    assert lists.next_due == 110.0
    assert lists.pop(109.999) is NOTHING_STALE
    assert lists.is_stale("i0")
    assert lists.pop(110.0).items == ["i0"]
    assert not lists.is_stale("i0")


@pytest.mark.parametrize("kind", ["n_items", "n_queries", "n_segments"])
def test_a_cycle_takes_25_of_a_kind_and_the_next_comes_earlier_while_more_wait(kind: str) -> None:
    # Segment `all` is stale with the items.
    exactly = 24 if kind == "n_segments" else 25
    lists = stale(**{kind: exactly})
    assert max(map(len, lists.pop(100.0))) == 25
    assert lists.due == 110.0
    lists = stale(**{kind: exactly + 1})
    assert max(map(len, lists.pop(100.0))) == 25
    assert lists.due == 106.0
    assert [len(each) for each in lists.pop(106.0) if each] == [1]


def test_in_an_overload_a_cycle_waits_for_five_intervals() -> None:
    lists = stale()
    lists.pop(100.0)
    lists.invalidate(["i0"], ())
    assert lists.pop(149.999, overloaded=True) is NOTHING_STALE
    assert lists.pop(150.0, overloaded=True).items == ["i0"]


def test_lists_of_a_failed_cycle_come_first_and_at_once() -> None:
    lists = stale(n_items=2, n_queries=2, n_segments=1)
    failed = lists.pop(100.0)
    lists.invalidate(["new", "i1"], ["new:1"])
    lists.invalidate_query("new")
    lists.requeue(failed)
    assert lists.next_due == 0.0
    again = lists.pop(100.0)
    assert again.items == ["i0", "i1", "new"]
    assert again.queries == ["q0", "q1", "new"]
    assert again.segments == ["all", "s:0", "new:1"]


def test_a_failed_cycle_without_lists_changes_nothing() -> None:
    lists = stale()
    lists.pop(100.0)
    lists.requeue(NOTHING_STALE)
    assert lists.due == 110.0
    assert not lists


def test_a_query_is_stale_once_however_it_is_typed_and_up_to_its_longest() -> None:
    lists = StaleSharedLists(INTERVAL)
    for typed in (" Red  shoes", "red shoes ", "RED SHOES", "", " \t"):
        lists.invalidate_query(typed)
    longest = "q" * MAX_QUERY_LENGTH
    lists.invalidate_query(longest)
    lists.invalidate_query(longest + "q")
    assert lists.pop(100.0).queries == ["red shoes", longest]


def test_beyond_the_bound_the_oldest_items_and_queries_and_the_newest_segments_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert stale_lists._MAX_STALE == 200_000
    monkeypatch.setattr(stale_lists, "_MAX_STALE", 3)
    lists = stale(n_items=5, n_queries=5, n_segments=5)
    assert lists.n_items == 3
    batch = lists.pop(100.0)
    assert batch == StaleBatch(["i2", "i3", "i4"], ["q2", "q3", "q4"], ["all", "s:0", "s:1"])
