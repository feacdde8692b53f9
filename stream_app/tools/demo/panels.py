"""The parts of the demo's screen; each says how many lines it takes."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stream_app.tools.demo.demo_report import freshness_ms
from stream_app.tools.demo.featured_user import Spotlight
from stream_app.tools.demo.formatting import (
    decimal,
    exposure,
    groups,
    milliseconds,
    percent,
    why,
    within_a_list,
)
from stream_app.tools.demo.screen_state import View
from stream_app.tools.demo.search_comparison import ShownSearch
from stream_app.tools.environment.worker_metrics import PolicyFigures

BORDERS: Final = 2
"""Lines of a panel beside what is in it."""

SHOPPER_LINES: Final = BORDERS + 2
"""Lines of the shopper's panel beside the places of the list."""

SEARCH_LINES: Final = BORDERS + 1
"""Lines of the search's panel beside the places."""

_GOOD: Final = "bold green"


class _Figure(NamedTuple):
    """A row of figures; where there is no room for all, those of the least rank stay."""

    rank: int
    name: str
    value: str
    style: str = ""


def head(view: View) -> RenderableType:
    """What runs, since when, and how far it is: one line."""
    minutes, seconds = divmod(int(view.seconds), 60)
    text = Text.assemble(
        (" Headrace ", "bold reverse cyan"),
        f"  {view.title}  ",
        (f"{minutes:02d}:{seconds:02d}  ", "bold"),
        view.phase,
        no_wrap=True,
        overflow="ellipsis",
    )
    if view.rows_total is None:
        text.append("   ctrl-C ends it", style="dim")
        return text
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=1)
    rows = f"{view.rows:,} of {view.rows_total:,} rows"
    table.add_column(justify="right", no_wrap=True, width=len(rows))
    bar = ProgressBar(total=max(view.rows_total, 1), completed=view.rows)
    table.add_row(text, bar, rows)
    return table


def _figures(view: View) -> list[_Figure]:
    figures, quality = view.figures, view.quality
    lately, overall = freshness_ms(view.lately), freshness_ms(figures)
    dead = "red" if figures.dead_lettered else ""
    return [
        _Figure(0, "events/s", f"{view.rate:,.0f}", _GOOD),
        _Figure(0, "freshness", f"p50 {milliseconds(lately.p50)}  p99 {milliseconds(lately.p99)} ms", _GOOD),
        _Figure(3, "since start", f"p50 {milliseconds(overall.p50)}  p99 {milliseconds(overall.p99)} ms"),
        _Figure(0, "hit rate@20", f"{percent(figures.hit_rate)}, MRR {decimal(figures.mrr, 3)}", _GOOD),
        _Figure(0, "a list", within_a_list(quality)),
        _Figure(0, "exposure", exposure(quality)),
        _Figure(1, "places", groups(quality)),
        _Figure(2, "events read", f"{view.rows:,}"),
        _Figure(3, "accepted", f"{figures.accepted:,.0f}"),
        _Figure(4, "duplicates", f"{figures.duplicates:,.0f}"),
        _Figure(1, "dead-lettered", f"{figures.dead_lettered:,.0f}", dead),
        _Figure(5, "ignored", f"{view.ignored:,}"),
        _Figure(3, "shoppers", f"{view.users:,}"),
        _Figure(2, "lists", f"{figures.lists_published:,.0f}"),
        _Figure(2, "of searches", f"{figures.lists_of_searches:,.0f}"),
        _Figure(4, "on their way", f"{max(0, view.sent - figures.finished):,}"),
        _Figure(4, "waiting", f"{figures.dirty_users:,.0f}"),
        _Figure(4, "models behind", f"{figures.lag_messages:,.0f}"),
    ]


FIGURES: Final = 18
"""Rows of figures, if there is room."""


def figures_panel(view: View, rows: int, columns: int = 1) -> RenderableType:
    """The figures, in rows and columns as there is room: ``rows + BORDERS`` lines, or fewer."""
    every = _figures(view)
    least = sorted(range(len(every)), key=lambda at: (every[at].rank, at))[: rows * columns]
    kept = [every[at] for at in sorted(least)]
    table = Table.grid(padding=(0, 1), expand=True)
    for _ in range(columns):
        table.add_column(style="dim", no_wrap=True)
        table.add_column(justify="right", no_wrap=True, overflow="ellipsis", ratio=1)
    lines = -(-len(kept) // columns)
    for at in range(lines):
        cells: list[RenderableType] = []
        for each in kept[at::lines]:
            cells += each.name, Text(each.value, style=each.style)
        table.add_row(*cells)
    return Panel(table, title="all events", title_align="left", border_style="cyan")


def shopper_panel(
    spotlight: Spotlight, titles: Mapping[str, str], places: int, *, scores: bool
) -> RenderableType:
    """One shopper's last events and list: ``places + SHOPPER_LINES`` lines, or fewer."""
    if spotlight.user_id is None or spotlight.shown is None:
        waiting = Text("waiting for the first list …", no_wrap=True, overflow="ellipsis")
        return Panel(waiting, title="one shopper", title_align="left", border_style="dim")
    shown = spotlight.shown
    score = [("score", 7, 0)] if scores else []
    table = _table(("", 2, 0), ("", 4, 0), ("item", None, 2), *score, ("why", None, 4))
    for place, item in enumerate(shown.items[:places]):
        told = [f"{item.score:.2g}"] if scores else []
        table.add_row(
            str(place + 1),
            _arrow(spotlight.move(place)),
            Text(titles.get(item.id, item.id)),
            *told,
            Text(why(item.why, titles), style="dim"),
        )
    said = Text(no_wrap=True, overflow="ellipsis", style="bold")
    said.append(" ← ".join(_titled(event, titles) for event in spotlight.events))
    return Panel(
        Group(said, table),
        title=Text(f"shopper {spotlight.user_id}, list of {shown.generated_at[11:19]}"),
        title_align="left",
        border_style="green",
    )


def search_panel(search: ShownSearch, titles: Mapping[str, str], places: int) -> RenderableType:
    """What the shop found, beside the order for the shopper: ``places + SEARCH_LINES`` lines, or fewer."""
    table = _table(
        ("", 2, 0), ("the shop found", None, 2), ("this shopper gets", None, 2), ("", 4, 0), ("why", None, 4)
    )
    for place in range(min(places, max(len(search.found), len(search.published)))):
        cells: list[RenderableType] = [str(place + 1), _name(search.found, place, titles), "", "", ""]
        if place < len(search.published):
            each = search.published[place]
            move = None if each.found_at is None else each.found_at - place - 1
            cells[2:] = (
                Text(titles.get(each.item_id, each.item_id)),
                _arrow(move),
                Text(why(each.reason, titles), style="dim"),
            )
        table.add_row(*cells)
    told = f", {len(search.found):,} found" if search.found else ""  # not every shop sends what it found
    title = Text(f"search for “{search.query}” by {search.user_id}{told}")
    return Panel(table, title=title, title_align="left", border_style="yellow")


def policies_panel(policies: Mapping[str, PolicyFigures], width: int) -> RenderableType:
    """How the policies do, and a bar from end to end of each interval, on one scale: one sees them part.

    Takes ``len(policies) + 1 + BORDERS`` lines; in a narrow terminal columns are left out.
    """
    bars, shoppers, revenue = width >= 96, width >= 82, width >= 70
    known = [each.clicks for each in policies.values() if math.isfinite(each.clicks[1])]
    low, high = min((each[1] for each in known), default=0.0), max((each[2] for each in known), default=1.0)
    columns: list[tuple[str, int | None, int]] = [("policy", 14, 0), ("share", 6, 0)]
    columns += [("shoppers", 9, 0)] if shoppers else []
    columns += [("clicks a list", 15, 0)]
    columns += [("", None, 1)] if bars else []
    columns += [("revenue a list", 17, 0)] if revenue else []
    table = _table(*columns)
    for name, each in policies.items():
        cells: list[RenderableType] = [
            name,
            Text("rests", style="red") if each.resting else Text(f"{each.share:.0%}"),
        ]
        cells += [f"{each.shoppers:,.0f}"] if shoppers else []
        cells += [_interval(each.clicks, 3)]
        cells += [_bar(each.clicks, max(0.0, low), high)] if bars else []
        cells += [_interval(each.revenue, 2)] if revenue else []
        table.add_row(*cells)
    title = "policies: clicks and revenue a list seen, with intervals that hold at any time"
    return Panel(table, title=title, title_align="left", border_style="magenta")


def _table(*columns: tuple[str, int | None, int]) -> Table:
    """A table without lines; of each column its heading, its width, and its ratio where it takes what is left."""
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    for heading, width, ratio in columns:
        number = bool(heading) and not ratio and heading != "policy"
        table.add_column(
            heading,
            width=width,
            ratio=ratio or None,
            no_wrap=True,
            overflow="ellipsis",
            justify="right" if number else "left",
        )
    return table


def _name(items: Sequence[str], place: int, titles: Mapping[str, str]) -> Text:
    return Text(titles.get(items[place], items[place]) if place < len(items) else "", style="dim")


def _interval(bounds: tuple[float, float, float], digits: int) -> str:
    mean, low, high = bounds
    if math.isnan(mean):
        return "-"
    known = math.isfinite(low) and math.isfinite(high)
    return f"{mean:.{digits}f}" + (f" ±{(high - low) / 2:.{digits}f}" if known else "")


def _bar(bounds: tuple[float, float, float], low: float, high: float, width: int = 24) -> Text:
    """An interval as a line from end to end with its mean as a dot."""
    if not math.isfinite(bounds[1]) or high <= low:
        return Text("too few shoppers yet", style="dim")
    mean, start, end = (
        round(min(1.0, max(0.0, (value - low) / (high - low))) * (width - 1)) for value in bounds
    )
    drawn = "".join("●" if at == mean else "─" if start <= at <= end else " " for at in range(width))
    return Text(drawn, style="bold green")


def _titled(event: str, titles: Mapping[str, str]) -> str:
    words, _, item_id = event.rpartition(" ")
    return f"{words} {titles[item_id]}" if item_id in titles else event


def _arrow(move: int | None) -> Text:
    if move is None:
        return Text("new", style="bold yellow")
    if move > 0:
        return Text(f"↑{move}", style="green")
    return Text(f"↓{-move}", style="red") if move < 0 else Text("")
