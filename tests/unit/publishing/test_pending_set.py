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


def test_a_user_has_the_times_of_the_newest_64_events() -> None:
    pending = PendingSet(limit=10)
    for second in range(70):
        pending.add("a", float(second))
    assert pending.pop_oldest(1) == {"a": tuple(float(second) for second in range(6, 70))}


def test_a_user_added_again_without_an_event_keeps_their_times() -> None:
    pending = PendingSet(limit=10)
    pending.add("a", 1.0)
    pending.add("a")
    assert pending.pop_oldest(1) == {"a": (1.0,)}


def test_users_evicted_when_a_failed_flush_returns_are_counted() -> None:
    pending = PendingSet(limit=2)
    for user in "ab":
        pending.add(user)
    failed = pending.pop_oldest(2)
    for user in "cd":
        pending.add(user)
    pending.requeue(failed)
    assert pending.evicted == 2
    assert list(pending.pop_oldest(5)) == ["c", "d"]


def test_a_user_who_is_discarded_is_not_pending() -> None:
    pending = PendingSet(limit=2)
    pending.add("a")
    assert "a" in pending
    pending.discard("a")
    pending.discard("nobody")
    assert "a" not in pending
    assert len(pending) == 0
