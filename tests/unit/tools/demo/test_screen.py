"""The whole screen, in terminals of any size."""

import io
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from stream_app.tools.demo.featured_user import Spotlight
from stream_app.tools.demo.screen import PICTURE, SEARCH_SHOWN, Size, draw, save_picture
from stream_app.tools.demo.screen_state import View
from stream_app.tools.demo.search_comparison import PlacedResult, ShownSearch
from stream_app.tools.environment.list_quality import ListQuality
from stream_app.tools.environment.worker_metrics import Figures, PolicyFigures
from topics.events import Click
from topics.records import ListedItem, Reason, RecommendationList

QUALITY = ListQuality(
    unlikeness=0.523, categories=4.25, coverage=0.81, gini=0.456, long_tail_share=0.34, new_items_share=0.05
)
POLICIES = {
    "fixed": PolicyFigures(0.4, False, 34.0, (0.5, 0.4, 0.6), (12.0, 5.0, 19.0)),
    "thompson": PolicyFigures(0.6, True, 56.0, (0.55, 0.5, 0.6), (13.0, 9.0, 17.0)),
}
TITLES = {f"i{number}": f"light stove {number}" for number in range(40)} | {"seen": "A title"}
SEARCH = ShownSearch(
    "[b]shopper-9",
    "light [b]tents",
    tuple(f"i{number}" for number in range(20)),
    tuple(
        PlacedResult(f"i{19 - place}", 20 - place, Reason("also_viewed", item_id="seen"))
        for place in range(20)
    ),
)


def spotlight() -> Spotlight:
    items = ("[bold]x", *(f"i{number}" for number in range(19)))
    listed = RecommendationList(
        list_id="1",
        key="k",
        generated_at="2026-01-01T00:00:00.000Z",
        policy="fixed",
        model_version=1,
        items=tuple(ListedItem(item, 0.5, 1.0, Reason("also_viewed", item_id="seen")) for item in items),
    )
    found = Spotlight({"[red]u": listed}.get)
    found.look(0.0, [Click(event_id="e", user_id="[red]u", ts=0, item_id="i1")])
    return found


def view(*, rows_total: int | None = 100_003, policies: Mapping[str, PolicyFigures] = POLICIES) -> View:
    return View(
        title="events.csv.gz",
        phase="finishing what is on its way",
        seconds=61.0,
        rows=1_234,
        rows_total=rows_total,
        ignored=7,
        users=40,
        sent=1_227,
        figures=Figures(accepted=1_200.0, judged=10.0, hits=4.0, reciprocal_rank=1.0),
        lately=Figures(),
        rate=500.0,
        quality=QUALITY,
        policies=policies,
    )


def lines(size: Size, search: ShownSearch | None = SEARCH, light: Spotlight | None = None) -> list[str]:
    """What a terminal of a size shows."""
    console = Console(
        width=size.width, height=size.height, record=True, force_terminal=True, file=io.StringIO()
    )
    console.print(draw(view(), light or spotlight(), search, TITLES, size))
    return console.export_text().rstrip("\n").split("\n")


@pytest.mark.parametrize("size", [Size(118, 40), Size(130, 50), Size(200, 60), Size(100, 40)], ids=str)
def test_everything_is_shown_where_there_is_room_and_ids_are_taken_as_they_are(size: Size) -> None:
    text = "\n".join(lines(size))
    for expected in (
        "01:01",
        "40.0 %, MRR 0.100",
        "52 % unlike, 4.2 categories",
        "81 % of items, Gini 0.46",
        "long tail 34 %, new 5 %",
        "shopper [red]u",
        "looked at light stove 1",
        "[bold]x",
        "because you viewed A title",
        "search for “light [b]tents” by [b]shopper-9, 20 found",
        "policies: clicks",
        "12.00 ±7.00",
    ):
        assert expected in text


def test_a_search_shows_the_shops_order_beside_the_shoppers_with_moves_and_reasons() -> None:
    shown = lines(PICTURE)
    start = next(at for at, line in enumerate(shown) if "search for" in line)
    first = shown[start + 2]
    assert first.index("light stove 0") < first.index("light stove 19") < first.index("↑19")
    assert "because you viewed A title" in first
    assert sum("↑" in line for line in shown[start:]) == SEARCH_SHOWN

    brought = ShownSearch("u", "tents", (), (PlacedResult("i3", None, Reason("popular")),))
    (row,) = [line for line in lines(PICTURE, brought) if "popular now" in line]
    assert "new" in row
    assert "search for “tents” by u ─" in "\n".join(lines(PICTURE, brought))
    assert "search for" not in "\n".join(lines(PICTURE, None))


SIZES = [Size(*size) for size in product((60, 70, 80, 90, 100, 112, 118, 160), (24, 30, 40, 50))]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("search", [SEARCH, None], ids=["searched", "not searched"])
def test_the_screen_never_overflows_and_keeps_what_matters_most(
    size: Size, search: ShownSearch | None
) -> None:
    shown = lines(size, search)
    assert len(shown) < size.height, "one line is left for the cursor"
    assert max(map(cell_len, shown)) <= size.width
    text = "\n".join(shown)
    for expected in (
        "Headrace",
        "events/s",
        "freshness",
        "hit rate@20",
        "52 % unlike",
        "Gini 0.46",
        "[bold]x",
    ):
        assert expected in text
    assert "fixed" in text


def test_one_policy_alone_is_not_shown_since_there_is_nothing_to_compare_it_with() -> None:
    console = Console(width=118, height=40, record=True, force_terminal=True, file=io.StringIO())
    alone = view(policies={"fixed": POLICIES["fixed"]})
    console.print(draw(alone, spotlight(), SEARCH, TITLES, Size(118, 40)))
    assert "policies" not in console.export_text()


@pytest.mark.parametrize("size", [Size(80, 24), Size(118, 40)], ids=str)
def test_before_the_first_list_one_waits(size: Size) -> None:
    assert any("waiting for the first list" in line for line in lines(size, None, Spotlight(lambda _: None)))


def test_the_picture_is_of_the_whole_screen_and_loads_nothing_from_the_net(tmp_path: Path) -> None:
    path = tmp_path / "new" / "demo.svg"
    save_picture(draw(view(), spotlight(), SEARCH, TITLES, PICTURE), path)
    svg = path.read_text()
    assert "unlike" in svg
    assert "tents" in svg
    assert "@font-face" not in svg
