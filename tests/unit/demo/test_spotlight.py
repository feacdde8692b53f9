"""One shopper's list on the screen."""

from msgspec import structs
from rich.console import Console

from stream_app.demo.figures import Figures
from stream_app.demo.screen import SEARCH_SHOWN, View, draw, why
from stream_app.demo.spotlight import IDLE_SECONDS, STAY_SECONDS, Spotlight
from stream_app.publish.contract import SearchList
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


def drawn(spotlight: Spotlight, titles: dict[str, str]) -> str:
    view = View(
        title="events.csv.gz",
        phase="feeding",
        seconds=61.0,
        rows=1_234,
        rows_total=100_003,
        ignored=7,
        users=40,
        sent=1_227,
        figures=Figures(accepted=1_200.0, judged=10.0, hits=4.0, reciprocal_rank=1.0),
        lately=Figures(),
        rate=500.0,
    )
    console = Console(width=120, record=True, force_terminal=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(draw(view, spotlight, titles))
    text = console.export_text()
    console.file.close()
    return text


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


def test_a_reason_names_the_evidence_by_its_title() -> None:
    assert why(Reason("also_viewed", item_id="i1"), {"i1": "light tent"}) == "because you viewed light tent"
    assert why(Reason("popular", segment="country:FR"), {}) == "popular in country FR"


def test_the_screen_shows_figures_and_the_list_and_takes_ids_as_they_are() -> None:
    spotlight = Spotlight({"[red]u": listing("1", "[bold]x", "seen")}.get)
    spotlight.look(0.0, [click("[red]u", 1)])
    text = drawn(spotlight, {"seen": "A title"})

    for expected in ("01:01", "1,234 of 100,003", "40.0 %", "0.100", "shopper [red]u", "[bold]x", "A title"):
        assert expected in text


def searching(query: str, *items: str) -> SearchList:
    return SearchList(query=query, **structs.asdict(listing("s", *items)))


def test_the_order_of_the_last_search_is_shown_beside_the_list() -> None:
    searches = {"a": searching("light [b]tents", *(f"i{number}" for number in range(9)))}
    spotlight = Spotlight({"a": listing("1", "x")}.get, searches.get)
    spotlight.look(0.0, [click("a", 1)])
    assert spotlight.search == searches["a"]
    text = drawn(spotlight, {"i0": "first tent"})
    for expected in ("search for light [b]tents", "first tent", f"i{SEARCH_SHOWN - 1}"):
        assert expected in text
    assert f"i{SEARCH_SHOWN}" not in text

    del searches["a"]
    spotlight.look(1.0, [click("a", 2)])
    assert "search for" not in drawn(spotlight, {})
