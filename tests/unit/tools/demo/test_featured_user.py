"""The featured user and the rank changes of their list."""

from stream_app.tools.demo.featured_user import IDLE_SECONDS, MAX_FEATURED_SECONDS, FeaturedUser
from tests.support.in_memory_recommender import make_list
from topics.events import Click, UserEvent
from topics.records import RecommendationList


def listing(list_id: str, *items: str) -> RecommendationList:
    return make_list(items, list_id=list_id)


def click(user_id: str, number: int) -> UserEvent:
    return Click(event_id=f"e{number}", user_id=user_id, ts=0, item_id=f"i{number}")


def test_the_most_recently_active_user_with_a_list_is_featured() -> None:
    lists = {"a": listing("1", "x"), "b": listing("2", "y")}
    featured_user = FeaturedUser(lists.get)
    featured_user.update(0.0, [click("a", 1), click("b", 2), click("c", 3)])

    assert featured_user.user_id == "b"
    assert featured_user.events == ["viewed i2"]


def test_a_user_stays_featured_while_active_up_to_a_maximum_time() -> None:
    lists = {"a": listing("1", "x"), "b": listing("2", "y")}
    featured_user = FeaturedUser(lists.get)
    featured_user.update(0.0, [click("a", 1)])
    featured_user.update(5.0, [click("a", 2), click("b", 3)])
    featured_user.update(5.0 + IDLE_SECONDS, [click("a", 2), click("b", 4)])
    assert featured_user.user_id == "a"
    assert featured_user.events == ["viewed i2", "viewed i1"]

    featured_user.update(5.1 + IDLE_SECONDS, [click("b", 5)])
    assert featured_user.user_id == "b"

    featured_at = 5.1 + IDLE_SECONDS
    for second in range(1, 40):
        featured_user.update(featured_at + second, [click("a", 100 + second), click("b", 200 + second)])
        if featured_user.user_id == "a":
            break
    assert second == MAX_FEATURED_SECONDS + 1


def test_ranks_are_compared_with_the_previous_list() -> None:
    lists = {"a": listing("1", "x", "y", "z")}
    featured_user = FeaturedUser(lists.get)
    featured_user.update(0.0, [click("a", 1)])
    assert [featured_user.rank_change(rank) for rank in range(3)] == [0, 0, 0], (
        "the first list has no previous list"
    )

    lists["a"] = listing("2", "z", "x", "new")
    featured_user.update(1.0, [click("a", 2)])
    assert [featured_user.rank_change(rank) for rank in range(3)] == [2, -1, None]

    featured_user.update(2.0, [click("a", 3)])
    assert [featured_user.rank_change(rank) for rank in range(3)] == [2, -1, None], (
        "rank changes stay until the list changes"
    )
