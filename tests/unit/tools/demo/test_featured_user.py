"""Which shopper is in the light, and how their list moves."""

from stream_app.tools.demo.featured_user import IDLE_SECONDS, STAY_SECONDS, Spotlight
from topics.events import Click, UserEvent
from topics.records import ListedItem, Reason, RecommendationList


def listing(list_id: str, *items: str) -> RecommendationList:
    return RecommendationList(
        list_id=list_id,
        key="k",
        generated_at="2026-01-01T00:00:00.000Z",
        policy="fixed",
        model_version=1,
        items=tuple(ListedItem(item, 0.5, 1.0, Reason("also_viewed", item_id="seen")) for item in items),
    )


def click(user_id: str, number: int) -> UserEvent:
    return Click(event_id=f"e{number}", user_id=user_id, ts=0, item_id=f"i{number}")


def test_the_most_recently_active_shopper_with_a_list_is_shown() -> None:
    lists = {"a": listing("1", "x"), "b": listing("2", "y")}
    spotlight = Spotlight(lists.get)
    spotlight.look(0.0, [click("a", 1), click("b", 2), click("c", 3)])

    assert spotlight.user_id == "b"
    assert spotlight.events == ["looked at i2"]


def test_they_stay_while_they_are_active_and_leave_when_idle_or_after_a_while() -> None:
    lists = {"a": listing("1", "x"), "b": listing("2", "y")}
    spotlight = Spotlight(lists.get)
    spotlight.look(0.0, [click("a", 1)])
    spotlight.look(5.0, [click("a", 2), click("b", 3)])
    spotlight.look(5.0 + IDLE_SECONDS, [click("a", 2), click("b", 4)])
    assert spotlight.user_id == "a"
    assert spotlight.events == ["looked at i2", "looked at i1"]

    spotlight.look(5.1 + IDLE_SECONDS, [click("b", 5)])
    assert spotlight.user_id == "b"

    chosen = 5.1 + IDLE_SECONDS
    for second in range(1, 40):
        spotlight.look(chosen + second, [click("a", 100 + second), click("b", 200 + second)])
        if spotlight.user_id == "a":
            break
    assert second == STAY_SECONDS + 1


def test_places_are_compared_with_the_list_before() -> None:
    lists = {"a": listing("1", "x", "y", "z")}
    spotlight = Spotlight(lists.get)
    spotlight.look(0.0, [click("a", 1)])
    assert [spotlight.move(place) for place in range(3)] == [0, 0, 0], "the first list has nothing before it"

    lists["a"] = listing("2", "z", "x", "new")
    spotlight.look(1.0, [click("a", 2)])
    assert [spotlight.move(place) for place in range(3)] == [2, -1, None]

    spotlight.look(2.0, [click("a", 3)])
    assert [spotlight.move(place) for place in range(3)] == [2, -1, None], "moves stay until the list changes"
