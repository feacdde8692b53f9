"""The flags of the pending queue: which work wakes the flush loop, and what holds consumers back."""

import asyncio

import pytest

from stream_app.publishing.pending_queue import PendingQueue


def make_queue(*, flush_users: int = 3, max_pending: int = 5) -> PendingQueue:
    queue = PendingQueue(flush_users=flush_users, max_pending=max_pending)
    queue.work_available.clear()
    return queue


def flags(queue: PendingQueue) -> tuple[bool, bool, bool, bool]:
    """Work available, idle, full, capacity."""
    return (
        queue.work_available.is_set(),
        queue.idle.is_set(),
        queue.full.is_set(),
        queue.has_capacity.is_set(),
    )


def test_an_empty_queue_is_idle_and_has_capacity() -> None:
    queue = make_queue()
    assert flags(queue) == (False, True, False, True)
    assert not queue
    assert (queue.n_users, queue.n_erasures, queue.evicted) == (0, 0, 0)


def test_the_first_user_wakes_the_flush_loop_and_the_last_of_a_flush_stops_consumers() -> None:
    queue = make_queue()
    queue.mark_pending("a")
    assert flags(queue) == (True, False, False, True)
    assert queue
    queue.mark_pending("a")
    queue.mark_pending("b")
    assert flags(queue) == (True, False, False, True)
    queue.mark_pending("c")
    assert flags(queue) == (True, False, True, False)
    assert list(queue.pop_users()) == ["a", "b", "c"]
    assert (queue.full.is_set(), queue.has_capacity.is_set()) == (False, True)


def test_a_flush_takes_its_users_and_the_others_stay_pending() -> None:
    queue = make_queue()
    for user in "abcde":
        queue.mark_pending(user)
    assert list(queue.pop_users()) == ["a", "b", "c"]
    assert (queue.n_users, queue.full.is_set(), queue.has_capacity.is_set()) == (2, False, True)
    assert (queue.is_pending("c"), queue.is_pending("d")) == (False, True)
    for user in "fghijk":
        queue.mark_pending(user)
    assert queue.evicted == 3
    assert list(queue.pop_users()) == ["g", "h", "i"]
    assert queue.n_users == 2


def test_a_queue_that_stays_full_holds_consumers_back_after_a_flush() -> None:
    queue = make_queue(max_pending=9)
    for user in "abcdef":
        queue.mark_pending(user)
    queue.pop_users()
    assert (queue.full.is_set(), queue.has_capacity.is_set()) == (True, False)


def test_a_bound_below_the_flush_size_is_a_full_flush() -> None:
    queue = make_queue(flush_users=10, max_pending=2)
    queue.mark_pending("a")
    assert not queue.full.is_set()
    queue.mark_pending("b")
    assert queue.full.is_set()


def test_an_erasure_cancels_the_pending_lists_and_wakes_the_flush_loop() -> None:
    queue = make_queue()
    queue.mark_search_pending("ann", 1.0)
    queue.work_available.clear()
    queue.idle.set()
    queue.erase("ann")
    assert flags(queue) == (True, False, False, True)
    assert queue
    assert not queue.is_pending("ann")
    assert queue.pop_search("ann") is None
    assert queue.is_erasure_pending("ann")
    assert queue.n_erasures == 1


def test_an_erasure_alone_cancels_nothing() -> None:
    queue = make_queue()
    queue.mark_pending("ann")
    queue.add_erasure("ann")
    assert queue.is_pending("ann")
    assert queue.is_erasure_pending("ann")


def test_as_many_erasures_as_the_bound_hold_consumers_back() -> None:
    queue = make_queue()
    for number in range(4):
        queue.erase(f"u{number}")
    assert queue.has_capacity.is_set()
    queue.erase("last")
    assert not queue.has_capacity.is_set()
    queue.drop_erasures()
    assert (queue.n_erasures, queue.has_capacity.is_set()) == (0, True)
    assert not queue


def test_each_erasure_of_a_user_is_another() -> None:
    queue = make_queue()
    queue.erase("ann")
    first = queue.erasures_of(["ann", "bob"])
    assert list(first) == ["ann"]
    assert queue.erased_since(["ann", "bob"], first) == set()
    assert queue.erased_since(["ann", "bob"], {}) == {"ann"}
    queue.erase("ann")
    assert queue.erased_since(["ann"], first) == {"ann"}
    queue.complete_erasures(first)
    assert queue.is_erasure_pending("ann")
    queue.complete_erasures(queue.erasures_of(["ann"]))
    assert not queue.is_erasure_pending("ann")


def test_the_oldest_searches_are_dropped_beyond_the_bound() -> None:
    queue = make_queue(max_pending=2)
    for number, user in enumerate("abc"):
        queue.mark_search_pending(user, float(number))
    assert [queue.pop_search(user) for user in "abc"] == [None, 1.0, 2.0]
    assert queue.pop_search("c") is None


@pytest.mark.parametrize("kind", ["items", "query"])
def test_the_first_stale_shared_list_wakes_the_flush_loop_and_later_ones_do_not(kind: str) -> None:
    queue = make_queue()
    invalidate = queue.invalidate_query if kind == "query" else lambda name: queue.invalidate([name], ())
    invalidate("shoe")
    assert queue.work_available.is_set()
    assert queue.shared_lists
    queue.work_available.clear()
    invalidate("hat")
    assert not queue.work_available.is_set()
    # A shared list is no pending user: it waits for its cycle.
    assert queue.idle.is_set()
    assert not queue


async def test_consumers_wait_for_capacity_and_report_their_backlog_once() -> None:
    queue = make_queue()
    await queue.wait_for_capacity()
    assert queue.pop_backlog() == 0
    await queue.wait_for_capacity(7)
    assert (queue.pop_backlog(), queue.pop_backlog()) == (7, 0)
    for user in "abc":
        queue.mark_pending(user)
    waiting = asyncio.create_task(queue.wait_for_capacity(9))
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.pop_users()
    await waiting
    assert queue.pop_backlog() == 9


def test_users_do_not_hold_consumers_back_while_the_store_is_unavailable() -> None:
    queue = make_queue()
    assert queue.store_available
    queue.store_available = False
    for user in "abc":
        queue.mark_pending(user)
    assert not queue.store_available
    assert (queue.full.is_set(), queue.has_capacity.is_set()) == (True, True)
    queue.store_available = True
    assert not queue.has_capacity.is_set()


def test_a_withdrawn_query_wakes_the_flush_loop_and_none_does_not() -> None:
    queue = make_queue()
    queue.withdraw_queries([])
    assert flags(queue) == (False, True, False, True)
    assert not queue
    queue.withdraw_queries(["red shoes"])
    assert flags(queue) == (True, False, False, True)
    assert queue
    assert queue.n_withdrawn_queries == 1
    assert queue.pop_withdrawn_queries() == ["red shoes"]
    assert not queue


def test_the_oldest_withdrawn_queries_are_dropped_beyond_the_bound() -> None:
    queue = make_queue(max_pending=2)
    queue.withdraw_queries(["a", "b"])
    assert queue.n_withdrawn_queries == 2
    queue.withdraw_queries(["c"])
    assert queue.pop_withdrawn_queries() == ["b", "c"]


def test_a_flush_deletes_a_thousand_lists_of_queries() -> None:
    queue = make_queue(max_pending=5_000)
    queue.withdraw_queries(map(str, range(1_001)))
    assert len(queue.pop_withdrawn_queries()) == 1_000
    assert queue.pop_withdrawn_queries() == ["1000"]


def test_what_the_store_may_have_lost_is_pending_again() -> None:
    queue = make_queue()
    queue.acknowledged.add(1.0, users=["ann"], erasures=["bob"], queries=["red"])
    queue.repeat_acknowledged()
    assert flags(queue) == (True, False, False, True)
    assert queue.is_erasure_pending("bob")
    assert queue.pop_withdrawn_queries() == ["red"]
    assert list(queue.pop_users()) == ["bob", "ann"]
    queue.drop_erasures()
    queue.repeat_acknowledged()
    assert not queue
