"""How many users are re-ranked after an overload, and when."""

from math import inf

import pytest

from stream_app.publishing.degraded_ranking import DegradedRanking, FlushMode


def scheduled(n_users: int, at: float = 100.0) -> DegradedRanking:
    made = DegradedRanking(flush_users=4)
    for number in range(n_users):
        made.schedule(f"u{number}", at)
    return made


def test_sixteen_users_are_reranked_per_flush_the_longest_waiting_first() -> None:
    ranking = scheduled(20)
    due = ranking.due_users(200.0)
    assert due == [f"u{number}" for number in range(16)]
    for user in due:
        ranking.pop(user)
    assert ranking.due_users(200.0) == [f"u{number}" for number in range(16, 20)]
    assert len(ranking) == 4


@pytest.mark.parametrize(("now", "n_due"), [(100.999, 0), (101.0, 1)])
def test_a_user_waits_for_a_second(now: float, n_due: int) -> None:
    ranking = scheduled(1)
    assert ranking.next_due == 101.0
    assert len(ranking.due_users(now)) == n_due
    ranking.pop("u0")
    assert ranking.next_due == inf


def test_only_the_users_who_waited_long_enough_are_due() -> None:
    ranking = scheduled(2)
    ranking.schedule("late", 100.5)
    assert ranking.due_users(101.2) == ["u0", "u1"]
    assert ranking.next_due == 101.0


def test_a_search_list_is_reranked_if_it_was_degraded() -> None:
    ranking = scheduled(1)
    assert not ranking.pop("u0")
    assert not ranking.pop("nobody")
    ranking.schedule("ann", 1.0, search=True)
    assert ranking.pop("ann")
    ranking.schedule_search("bob", 1.0)
    assert ranking.pop("bob")
    # What is scheduled already stays as it is.
    ranking.schedule("cem", 1.0)
    ranking.schedule_search("cem", 9.0)
    assert ranking.next_due == 2.0
    assert not ranking.pop("cem")


def test_beyond_the_bound_the_longest_waiting_are_dropped_and_counted() -> None:
    ranking = DegradedRanking(flush_users=4, max_pending=2)
    for number in range(5):
        ranking.schedule(f"u{number}", float(number))
    assert (len(ranking), ranking.evicted) == (2, 3)
    assert ranking.due_users(99.0) == ["u3", "u4"]


@pytest.mark.parametrize(
    ("full", "backlog", "overloaded"),
    [(False, 3, False), (False, 4, True), (True, 0, True), (False, 0, False)],
)
def test_a_flush_is_overloaded_with_as_many_events_or_users_as_it_takes(
    full: bool, backlog: int, overloaded: bool
) -> None:
    ranking = scheduled(0)
    assert ranking.start_flush(full=full, backlog=backlog) == FlushMode(
        overloaded, lasting=False, degraded=False
    )
    second = ranking.start_flush(full=True, backlog=0)
    assert second == FlushMode(overloaded=True, lasting=overloaded, degraded=overloaded)
    none = FlushMode(overloaded=False, lasting=False, degraded=False)
    assert ranking.start_flush(full=False, backlog=0) == none
    off = DegradedRanking(enabled=False, flush_users=4)
    for lasting in (False, True, True):
        found = off.start_flush(full=True, backlog=9)
        assert found == FlushMode(overloaded=True, lasting=lasting, degraded=False)
