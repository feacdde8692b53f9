"""The set of pending users."""

from stream_app.publishing.pending_set import PendingSet


def test_oldest_users_are_popped_first() -> None:
    pending = PendingSet(limit=10)
    for user in "abc":
        pending.add(user, 1.0)
    assert list(pending.pop_oldest(2)) == ["a", "b"]
    assert list(pending.pop_oldest(2)) == ["c"]


def test_user_added_again_keeps_order_and_accumulates_times() -> None:
    pending = PendingSet(limit=10)
    pending.add("a", 1.0)
    pending.add("b", 2.0)
    pending.add("a", 3.0)
    assert pending.pop_oldest(1) == {"a": (1.0, 3.0)}


def test_beyond_the_limit_the_oldest_user_is_evicted_and_counted() -> None:
    pending = PendingSet(limit=2)
    for user in "abc":
        pending.add(user)
    assert pending.evicted == 1
    assert list(pending.pop_oldest(5)) == ["b", "c"]


def test_requeued_users_precede_newer_ones() -> None:
    pending = PendingSet(limit=10)
    pending.add("a", 1.0)
    pending.add("b", 2.0)
    failed = pending.pop_oldest(2)
    pending.add("c", 3.0)
    pending.add("a", 4.0)
    pending.requeue(failed)
    assert pending.pop_oldest(5) == {"a": (1.0, 4.0), "b": (2.0,), "c": (3.0,)}


def test_user_added_without_event_has_no_times() -> None:
    pending = PendingSet(limit=10)
    pending.add("a")
    assert pending.pop_oldest(1) == {"a": ()}
