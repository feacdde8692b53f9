"""The set of shoppers whose list waits."""

from stream_app.publishing.pending_set import DirtySet


def test_the_longest_waiting_are_taken_first() -> None:
    dirty = DirtySet(limit=10)
    for user in "abc":
        dirty.add(user, 1.0)
    assert list(dirty.take(2)) == ["a", "b"]
    assert list(dirty.take(2)) == ["c"]


def test_a_shopper_marked_again_keeps_the_place_and_gathers_the_times() -> None:
    dirty = DirtySet(limit=10)
    dirty.add("a", 1.0)
    dirty.add("b", 2.0)
    dirty.add("a", 3.0)
    assert dirty.take(1) == {"a": (1.0, 3.0)}


def test_beyond_the_limit_the_longest_waiting_is_dropped_and_counted() -> None:
    dirty = DirtySet(limit=2)
    for user in "abc":
        dirty.add(user)
    assert dirty.evicted == 1
    assert list(dirty.take(5)) == ["b", "c"]


def test_what_failed_goes_back_ahead_of_what_came_since() -> None:
    dirty = DirtySet(limit=10)
    dirty.add("a", 1.0)
    dirty.add("b", 2.0)
    taken = dirty.take(2)
    dirty.add("c", 3.0)
    dirty.add("a", 4.0)
    dirty.put_back(taken)
    assert dirty.take(5) == {"a": (1.0, 4.0), "b": (2.0,), "c": (3.0,)}


def test_a_shopper_without_an_event_behind_it_brings_no_time() -> None:
    dirty = DirtySet(limit=10)
    dirty.add("a")
    assert dirty.take(1) == {"a": ()}
