"""In which order users are evicted, and who is protected."""

from collections.abc import Callable

from state.published_list import PublishedList
from state.user_lists import LeastRecentUsers, ProtectedUsers, UserLists


def listed(at: float, window_start: float = 0.0) -> PublishedList:
    return PublishedList("l", "fixed", at, ("shoe",), window_start=window_start)


def until(*times: float) -> Callable[[int], float]:
    """Up to which time the reactions of each partition were read."""
    return lambda partition: times[partition]


def protected(*users: tuple[str, int, float]) -> ProtectedUsers:
    made = ProtectedUsers()
    for user_id, partition, at in users:
        made.put(user_id, UserLists(partition, [listed(at)]))
    return made


def test_the_newest_list_of_a_user_may_be_a_search_list() -> None:
    assert UserLists(0).newest == UserLists(0).last_published == 0.0
    lists = UserLists(0, [listed(10.0), listed(20.0)], [listed(30.0)])
    assert (lists.count, lists.newest, lists.last_published) == (3, 30.0, 30.0)
    assert UserLists(0, [listed(40.0)], [listed(30.0)]).newest == 40.0
    assert UserLists(0, [], [listed(20.0), listed(30.0)]).newest == 30.0


def test_a_list_that_was_published_again_is_as_new_as_its_last_publication() -> None:
    assert UserLists(0, [listed(10.0, window_start=50.0)]).last_published == 50.0
    assert UserLists(0, [listed(10.0, window_start=5.0)]).last_published == 10.0
    again = UserLists(0, [listed(10.0, window_start=50.0)], [listed(30.0, window_start=60.0)])
    assert (again.newest, again.last_published) == (30.0, 60.0)


def test_least_recent_users_leave_in_the_order_in_which_they_came() -> None:
    users = LeastRecentUsers()
    for user_id, n_lists in (("ann", 2), ("bob", 1), ("cem", 3)):
        users.put(user_id, UserLists(0, [listed(1.0)] * n_lists))
    assert users.count == 6
    removed_lists = users.take("bob")
    assert removed_lists is not None
    assert (removed_lists.count, users.count, users.take("bob")) == (1, 5, None)
    assert [each.count for each in users.newest_first()] == [3, 2]
    assert users.pop_oldest()[0] == "ann"
    assert users.count == 3
    assert [user_id for user_id, _ in users.items()] == ["cem"]


def test_users_are_sorted_by_their_newest_list() -> None:
    users = LeastRecentUsers()
    for user_id, at in (("ann", 30.0), ("bob", 10.0), ("cem", 20.0)):
        users.put(user_id, UserLists(0, [listed(at)]))
    users.sort()
    assert [user_id for user_id, _ in users.items()] == ["bob", "cem", "ann"]
    assert users.count == 3


def test_the_oldest_user_whose_reactions_were_read_is_evicted() -> None:
    users = protected(("ann", 0, 10.0), ("bob", 1, 20.0), ("cem", 1, 30.0), ("dan", 0, 40.0))
    evicted = users.pop_unprotected(until(5.0, 20.0))
    assert evicted is not None
    assert (evicted[0], users.count) == ("bob", 3)
    assert users.get("bob") is None
    assert users.pop_unprotected(until(5.0, 20.0)) is None
    assert users.count == 3


def test_a_list_of_exactly_the_time_that_was_read_is_not_protected() -> None:
    assert protected(("ann", 0, 10.0)).pop_unprotected(until(9.999)) is None
    assert protected(("ann", 0, 10.0)).pop_unprotected(until(10.0)) is not None


def test_users_set_aside_are_evicted_as_soon_as_their_reactions_are_read() -> None:
    users = protected(("ann", 0, 10.0), ("bob", 0, 11.0), ("cem", 1, 12.0))
    assert users.pop_unprotected(until(0.0, 0.0)) is None
    # Nothing was read since: no user is looked at again.
    assert users.pop_unprotected(until(99.0, 99.0)) is None
    users.has_progress = True
    evicted = [users.pop_unprotected(until(10.5, 0.0)), users.pop_unprotected(until(10.5, 0.0))]
    assert [each and each[0] for each in evicted] == ["ann", None]
    users.has_progress = True
    assert [users.pop_unprotected(until(99.0, 99.0))[0] for _ in range(2)] == ["bob", "cem"]  # type: ignore[index]
    assert users.count == 0
    assert users.pop_unprotected(until(99.0, 99.0)) is None


def test_a_user_who_was_set_aside_and_gets_a_list_is_the_most_recent_one() -> None:
    users = protected(("ann", 0, 10.0), ("bob", 0, 11.0))
    assert users.pop_unprotected(until(0.0)) is None
    users.put("cem", UserLists(0, [listed(12.0)]))
    found = users.touch("ann")
    assert found is users.get("ann")
    assert users.touch("nobody") is None
    assert users.count == 3
    assert [users.pop_oldest()[0] for _ in range(3)] == ["bob", "cem", "ann"]


def test_a_user_who_gets_a_list_is_the_most_recent_one() -> None:
    users = protected(("ann", 0, 10.0), ("bob", 0, 11.0))
    assert users.touch("ann") is users.get("ann")
    assert [users.pop_oldest()[0] for _ in range(2)] == ["bob", "ann"]


def test_users_can_be_taken_wherever_they_are() -> None:
    users = protected(("ann", 0, 10.0), ("bob", 1, 11.0))
    assert users.pop_unprotected(until(0.0, 0.0)) is None
    users.put("cem", UserLists(0, [listed(12.0), listed(13.0)]))
    assert sorted(user_id for user_id, _ in users.items()) == ["ann", "bob", "cem"]
    assert next(users.newest_first()).count == 2
    assert len(list(users.newest_first())) == 3
    assert [lists is not None for lists in map(users.take, ("bob", "cem", "nobody"))] == [True, True, False]
    assert users.count == 1
    assert users.pop_oldest()[0] == "ann"
    assert list(users.items()) == []
