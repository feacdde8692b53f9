"""Which search is on the screen, and its two orders."""

from stream_app.client.redis_contract import SearchList
from stream_app.tools.demo.search_comparison import STAY_SECONDS, LatestSearch, PlacedResult
from topics.events import Click, Search, UserEvent
from topics.records import ListedItem, Reason

REASON = Reason("also_viewed", item_id="seen")
LAST = PlacedResult("a", 1, REASON)


def search(user_id: str, query: str, *results: str, second: int = 0) -> Search:
    return Search(
        event_id=f"{user_id} {query} {second}",
        user_id=user_id,
        ts=1_000 * second,
        query=query,
        results=list(results),
    )


def order(query: str, *items: str, second: int = 0) -> SearchList:
    return SearchList(
        query=query,
        list_id="l",
        key="k",
        generated_at=f"1970-01-01T00:00:{second:02d}.000Z",
        policy="search_rrf",
        model_version=1,
        items=tuple(ListedItem(item, 0.5, 1.0, REASON) for item in items),
    )


def test_the_newest_search_that_has_an_order_is_shown_with_both_its_orders() -> None:
    latest = LatestSearch({"ann": order("red tents", "c", "x", "a")}.get)
    click = Click(event_id="e", user_id="ann", ts=0, item_id="a")
    recent: list[UserEvent] = [
        search("ann", "Red  tents", "a", "b", "c"),
        search("bob", "stoves", "d"),
        click,
    ]
    latest.look(0.0, recent)

    shown = latest.shown
    assert shown is not None
    assert (shown.user_id, shown.query, shown.found) == ("ann", "Red  tents", ("a", "b", "c"))
    assert shown.published == (
        PlacedResult("c", 3, REASON),
        PlacedResult("x", None, REASON),
        PlacedResult("a", 1, REASON),
    )
    assert shown.first(1).published == shown.published[:1]
    assert shown.first(1).found == ("a",)


def test_an_order_of_other_words_or_of_an_earlier_search_is_no_answer() -> None:
    lists = {"ann": order("tents", "a", second=1)}
    latest = LatestSearch(lists.get)
    latest.look(0.0, [search("ann", "stoves", "a", second=1)])
    latest.look(1.0, [search("ann", "tents", "a", second=2)])
    assert latest.shown is None

    lists["ann"] = order("tents", second=3)
    latest.look(2.0, [search("ann", "tents", "a", second=2)])
    assert latest.shown is None, "an empty order is none"

    lists["ann"] = order("tents", "a", second=3)
    latest.look(3.0, [search("ann", "tents", "a", second=2)])
    assert latest.shown is not None


def test_a_search_stays_to_be_read_and_goes_for_a_newer_one() -> None:
    latest = LatestSearch({"ann": order("tents", "a"), "bob": order("stoves", "b")}.get)
    first, second = search("ann", "tents", "a"), search("bob", "stoves", "b")
    latest.look(0.0, [first])
    latest.look(STAY_SECONDS - 0.5, [first, second])
    assert latest.shown is not None
    assert latest.shown.user_id == "ann"

    latest.look(STAY_SECONDS, [first, second])
    assert latest.shown.user_id == "bob"
    latest.look(3 * STAY_SECONDS, [first, second])
    assert latest.shown.user_id == "bob", "an older one does not come back"
    latest.look(4 * STAY_SECONDS, [])
    assert latest.shown.user_id == "bob", "the last one stays where nobody searches"
