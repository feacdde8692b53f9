"""The tracked search and its two orders."""

from stream_app.client.redis_contract import SearchList
from stream_app.tools.demo.search_comparison import MIN_DISPLAY_SECONDS, LatestSearchTracker, RankedResult
from topics.events import Click, Search, UserEvent
from topics.records import ListedItem, Reason

REASON = Reason("also_viewed", item_id="seen")
LAST = RankedResult("a", 1, REASON)


def search(user_id: str, query: str, *results: str, second: int = 0) -> Search:
    return Search(
        event_id=f"{user_id} {query} {second}",
        user_id=user_id,
        ts=1_000 * second,
        query=query,
        results=list(results),
    )


def search_list(query: str, *items: str, second: int = 0) -> SearchList:
    return SearchList(
        query=query,
        list_id="l",
        key="k",
        generated_at=f"1970-01-01T00:00:{second:02d}.000Z",
        policy="search_rrf",
        model_version=1,
        items=tuple(ListedItem(item, 0.5, 1.0, REASON) for item in items),
    )


def test_the_newest_search_with_a_published_list_is_tracked_with_both_orders() -> None:
    tracker = LatestSearchTracker({"ann": search_list("red tents", "c", "x", "a")}.get)
    click = Click(event_id="e", user_id="ann", ts=0, item_id="a")
    recent: list[UserEvent] = [
        search("ann", "Red  tents", "a", "b", "c"),
        search("bob", "stoves", "d"),
        click,
    ]
    tracker.update(0.0, recent)

    displayed = tracker.displayed
    assert displayed is not None
    assert (displayed.user_id, displayed.query, displayed.results) == ("ann", "Red  tents", ("a", "b", "c"))
    assert displayed.published == (
        RankedResult("c", 3, REASON),
        RankedResult("x", None, REASON),
        RankedResult("a", 1, REASON),
    )
    assert displayed.first(1).published == displayed.published[:1]
    assert displayed.first(1).results == ("a",)


def test_a_list_of_another_query_or_an_earlier_search_is_not_used() -> None:
    lists = {"ann": search_list("tents", "a", second=1)}
    tracker = LatestSearchTracker(lists.get)
    tracker.update(0.0, [search("ann", "stoves", "a", second=1)])
    tracker.update(1.0, [search("ann", "tents", "a", second=2)])
    assert tracker.displayed is None

    lists["ann"] = search_list("tents", second=3)
    tracker.update(2.0, [search("ann", "tents", "a", second=2)])
    assert tracker.displayed is None, "an empty list is not displayed"

    lists["ann"] = search_list("tents", "a", second=3)
    tracker.update(3.0, [search("ann", "tents", "a", second=2)])
    assert tracker.displayed is not None


def test_a_search_is_kept_for_the_minimum_time_and_then_replaced_by_a_newer_one() -> None:
    tracker = LatestSearchTracker({"ann": search_list("tents", "a"), "bob": search_list("stoves", "b")}.get)
    first, second = search("ann", "tents", "a"), search("bob", "stoves", "b")
    tracker.update(0.0, [first])
    tracker.update(MIN_DISPLAY_SECONDS - 0.5, [first, second])
    assert tracker.displayed is not None
    assert tracker.displayed.user_id == "ann"

    tracker.update(MIN_DISPLAY_SECONDS, [first, second])
    assert tracker.displayed.user_id == "bob"
    tracker.update(3 * MIN_DISPLAY_SECONDS, [first, second])
    assert tracker.displayed.user_id == "bob", "an older search does not return"
    tracker.update(4 * MIN_DISPLAY_SECONDS, [])
    assert tracker.displayed.user_id == "bob", "without a new search the last one stays"
