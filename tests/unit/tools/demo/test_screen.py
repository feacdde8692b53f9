"""The whole screen, in terminals of many sizes."""

import io
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from stream_app.tools.demo.featured_user import FeaturedUser
from stream_app.tools.demo.formatting import status_line
from stream_app.tools.demo.screen import MAX_SEARCH_RANKS, SCREENSHOT_SIZE, Size, draw, save_screenshot
from stream_app.tools.demo.screen_state import ScreenState
from stream_app.tools.demo.search_comparison import RankedResult, SearchComparison
from stream_app.tools.environment.list_quality import ListQuality
from stream_app.tools.environment.neural_stats import NeuralStats
from stream_app.tools.environment.policy_stats import PolicyStats
from stream_app.tools.environment.worker_metrics import ScrapedMetrics
from topics.events import Click
from topics.records import ListedItem, Reason, RecommendationList

QUALITY = ListQuality(
    dissimilarity=0.523,
    categories=4.25,
    coverage=0.81,
    gini=0.456,
    long_tail_share=0.34,
    new_items_share=0.05,
)
POLICIES = {
    "fixed": PolicyStats(0.4, False, 34.0, (0.5, 0.4, 0.6), (12.0, 5.0, 19.0)),
    "thompson": PolicyStats(0.6, True, 56.0, (0.55, 0.5, 0.6), (13.0, 9.0, 17.0)),
}
TITLES = {f"i{number}": f"light stove {number}" for number in range(40)} | {"seen": "A title"}
SEARCH = SearchComparison(
    "[b]user-9",
    "light [b]tents",
    tuple(f"i{number}" for number in range(20)),
    tuple(
        RankedResult(f"i{19 - rank}", 20 - rank, Reason("also_viewed", item_id="seen")) for rank in range(20)
    ),
)


def featured_user() -> FeaturedUser:
    items = ("[bold]x", *(f"i{number}" for number in range(19)))
    listed = RecommendationList(
        list_id="1",
        key="k",
        generated_at="2026-01-01T00:00:00.000Z",
        policy="fixed",
        model_version=1,
        items=tuple(ListedItem(item, 0.5, 1.0, Reason("also_viewed", item_id="seen")) for item in items),
    )
    found = FeaturedUser({"[red]u": listed}.get)
    found.update(0.0, [Click(event_id="e", user_id="[red]u", ts=0, item_id="i1")])
    return found


def screen_state(
    *,
    rows_total: int | None = 100_003,
    policies: Mapping[str, PolicyStats] = POLICIES,
    neural: NeuralStats | None = None,
    trainer_failure: str = "",
) -> ScreenState:
    return ScreenState(
        title="events.csv.gz",
        phase="draining in-flight events",
        seconds=61.0,
        rows=1_234,
        rows_total=rows_total,
        ignored=7,
        users=40,
        sent=1_227,
        worker_metrics=ScrapedMetrics(
            accepted=1_200.0, prequential_events=10.0, hits=4.0, reciprocal_rank=1.0
        ),
        recent_metrics=ScrapedMetrics(),
        rate=500.0,
        quality=QUALITY,
        policies=policies,
        neural=neural,
        trainer_failure=trainer_failure,
    )


def lines(
    size: Size,
    search: SearchComparison | None = SEARCH,
    featured: FeaturedUser | None = None,
    state: ScreenState | None = None,
) -> list[str]:
    """The lines that a terminal shows."""
    console = Console(
        width=size.width, height=size.height, record=True, force_terminal=True, file=io.StringIO()
    )
    console.print(draw(state or screen_state(), featured or featured_user(), search, TITLES, size))
    return console.export_text().rstrip("\n").split("\n")


@pytest.mark.parametrize("size", [Size(118, 40), Size(130, 50), Size(200, 60), Size(100, 40)], ids=str)
def test_a_large_terminal_shows_every_panel_and_ids_are_not_interpreted_as_markup(size: Size) -> None:
    text = "\n".join(lines(size))
    for expected in (
        "01:01",
        "40.0 %, MRR 0.100",
        "ILD 0.52, 4.2 categories",
        "coverage 81 %, Gini 0.46",
        "34 %, new items 5 %",
        "user [red]u",
        "viewed light stove 1",
        "[bold]x",
        "because you viewed A title",
        "search for “light [b]tents” by [b]user-9, 20 results",
        "policies: clicks",
        "12.00 ±7.00",
    ):
        assert expected in text


def test_the_search_panel_shows_both_orders_with_rank_changes_and_reasons() -> None:
    lines_of_screen = lines(SCREENSHOT_SIZE)
    start = next(at for at, line in enumerate(lines_of_screen) if "search for" in line)
    first = lines_of_screen[start + 2]
    assert first.index("light stove 0") < first.index("light stove 19") < first.index("↑19")
    assert "because you viewed A title" in first
    assert sum("↑" in line for line in lines_of_screen[start:]) == MAX_SEARCH_RANKS

    search_with_new_item = SearchComparison("u", "tents", (), (RankedResult("i3", None, Reason("popular")),))
    (row,) = [line for line in lines(SCREENSHOT_SIZE, search_with_new_item) if "popular now" in line]
    assert "new" in row
    assert "search for “tents” by u ─" in "\n".join(lines(SCREENSHOT_SIZE, search_with_new_item))
    assert "search for" not in "\n".join(lines(SCREENSHOT_SIZE, None))


SIZES = [Size(*size) for size in product((60, 70, 80, 90, 100, 112, 118, 160), (24, 30, 40, 50))]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("search", [SEARCH, None], ids=["searched", "not searched"])
def test_the_screen_never_overflows_and_keeps_the_most_important_metrics(
    size: Size, search: SearchComparison | None
) -> None:
    lines_of_screen = lines(size, search)
    assert len(lines_of_screen) < size.height, "one line stays free for the cursor"
    assert max(map(cell_len, lines_of_screen)) <= size.width
    text = "\n".join(lines_of_screen)
    for expected in (
        "Headrace",
        "events/s",
        "freshness",
        "hit rate@20",
        "ILD 0.52",
        "Gini 0.46",
        "[bold]x",
    ):
        assert expected in text
    assert "fixed" in text


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_screen_shows_the_age_of_the_model_its_share_and_a_dead_trainer(size: Size) -> None:
    stats = NeuralStats(version=12, age_seconds=107.4, list_items=2_000.0, brought_items=130.0)
    state = screen_state(neural=stats, trainer_failure="was killed by SIGKILL")
    lines_of_screen = lines(size, state=state)
    assert len(lines_of_screen) < size.height
    text = "\n".join(lines_of_screen)
    for expected in ("107 s, version 12", "6.5 % of list items", "was killed by SIGKILL", "hit rate@20"):
        assert expected in text
    assert "no model yet" in "\n".join(lines(size, state=screen_state(neural=NeuralStats())))
    assert "model" not in "\n".join(lines(size))


def test_the_status_line_states_the_model_and_the_end_of_the_trainer() -> None:
    stats = NeuralStats(version=12, age_seconds=7.4, list_items=2_000.0, brought_items=130.0)
    line = status_line(screen_state(neural=stats))
    assert line.endswith("0 lists · model 12, 7 s old, brought 6.5 % of list items")
    failed = status_line(screen_state(neural=NeuralStats(), trainer_failure="exited with status 1"))
    assert failed.endswith(" · no model yet · the trainer exited with status 1")


def test_a_single_policy_is_not_shown() -> None:
    console = Console(width=118, height=40, record=True, force_terminal=True, file=io.StringIO())
    single_policy = screen_state(policies={"fixed": POLICIES["fixed"]})
    console.print(draw(single_policy, featured_user(), SEARCH, TITLES, Size(118, 40)))
    assert "policies" not in console.export_text()


@pytest.mark.parametrize("size", [Size(80, 24), Size(118, 40)], ids=str)
def test_a_placeholder_is_shown_before_the_first_list(size: Size) -> None:
    assert any(
        "waiting for the first list" in line for line in lines(size, None, FeaturedUser(lambda _: None))
    )


def test_the_picture_has_the_whole_screen_and_loads_no_remote_font(tmp_path: Path) -> None:
    path = tmp_path / "new" / "demo.svg"
    save_screenshot(draw(screen_state(), featured_user(), SEARCH, TITLES, SCREENSHOT_SIZE), path)
    svg = path.read_text()
    assert "ILD" in svg
    assert "tents" in svg
    assert "@font-face" not in svg
