"""The panels of the demo's screen, each with a known number of lines."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stream_app.tools.demo.demo_report import freshness_ms
from stream_app.tools.demo.featured_user import FeaturedUser
from stream_app.tools.demo.formatting import (
    format_decimal,
    format_diversity,
    format_exposure,
    format_item_groups,
    format_milliseconds,
    format_percent,
    why,
)
from stream_app.tools.demo.screen_state import ScreenState
from stream_app.tools.demo.search_comparison import SearchComparison
from stream_app.tools.environment.neural_stats import NeuralStats
from stream_app.tools.environment.policy_stats import PolicyStats

BORDER_LINES: Final = 2
"""Lines that a panel's border adds to its content."""

USER_PANEL_LINES: Final = BORDER_LINES + 2
"""Lines of the user panel that are not list items."""

SEARCH_PANEL_LINES: Final = BORDER_LINES + 1
"""Lines of the search panel that are not results."""

_HIGHLIGHT: Final = "bold green"


class _MetricRow(NamedTuple):
    """A row of the metrics panel; rows with a low priority number are shown first."""

    priority: int
    name: str
    value: str
    style: str = ""


def header(state: ScreenState) -> RenderableType:
    """One line: event source, elapsed time, phase and progress."""
    minutes, seconds = divmod(int(state.seconds), 60)
    text = Text.assemble(
        (" Headrace ", "bold reverse cyan"),
        f"  {state.title}  ",
        (f"{minutes:02d}:{seconds:02d}  ", "bold"),
        state.phase,
        no_wrap=True,
        overflow="ellipsis",
    )
    if state.rows_total is None:
        text.append("   Ctrl-C to stop", style="dim")
        return text
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=1)
    rows = f"{state.rows:,} of {state.rows_total:,} rows"
    table.add_column(justify="right", no_wrap=True, width=len(rows))
    bar = ProgressBar(total=max(state.rows_total, 1), completed=state.rows)
    table.add_row(text, bar, rows)
    return table


def _metric_rows(state: ScreenState) -> list[_MetricRow]:
    worker_metrics, quality = state.worker_metrics, state.quality
    recent_metrics, overall = freshness_ms(state.recent_metrics), freshness_ms(worker_metrics)
    dead_letter_style = "red" if worker_metrics.dead_lettered else ""
    return [
        _MetricRow(0, "events/s", f"{state.rate:,.0f}", _HIGHLIGHT),
        _MetricRow(
            0,
            "freshness",
            f"p50 {format_milliseconds(recent_metrics.p50)}  p99 {format_milliseconds(recent_metrics.p99)} ms",
            _HIGHLIGHT,
        ),
        _MetricRow(
            3,
            "since start",
            f"p50 {format_milliseconds(overall.p50)}  p99 {format_milliseconds(overall.p99)} ms",
        ),
        _MetricRow(
            0,
            "hit rate@20",
            f"{format_percent(worker_metrics.hit_rate)}, MRR {format_decimal(worker_metrics.mrr, 3)}",
            _HIGHLIGHT,
        ),
        *_neural_rows(state.neural, state.trainer_failure),
        _MetricRow(0, "diversity", format_diversity(quality)),
        _MetricRow(0, "exposure", format_exposure(quality)),
        _MetricRow(1, "long tail", format_item_groups(quality)),
        _MetricRow(2, "events read", f"{state.rows:,}"),
        _MetricRow(3, "accepted", f"{worker_metrics.accepted:,.0f}"),
        _MetricRow(4, "duplicates", f"{worker_metrics.duplicates:,.0f}"),
        _MetricRow(1, "dead-lettered", f"{worker_metrics.dead_lettered:,.0f}", dead_letter_style),
        _MetricRow(5, "ignored", f"{state.ignored:,}"),
        _MetricRow(3, "users", f"{state.users:,}"),
        _MetricRow(2, "lists", f"{worker_metrics.lists_published:,.0f}"),
        _MetricRow(2, "search lists", f"{worker_metrics.search_lists:,.0f}"),
        _MetricRow(4, "in flight", f"{max(0, state.sent - worker_metrics.n_finished):,}"),
        _MetricRow(4, "pending users", f"{worker_metrics.pending_users:,.0f}"),
        _MetricRow(4, "replica lag", f"{worker_metrics.replica_lag:,.0f}"),
    ]


def _neural_rows(stats: NeuralStats | None, trainer_failure: str) -> list[_MetricRow]:
    if stats is None:
        return []
    age = (
        "no model yet"
        if stats.age_seconds is None
        else f"{stats.age_seconds:.0f} s, version {stats.version:.0f}"
    )
    rows = [
        _MetricRow(0, "model age", age),
        _MetricRow(0, "model's share", f"{format_percent(stats.brought_share)} of list items"),
    ]
    return [*rows, _MetricRow(0, "trainer", trainer_failure, "bold red")] if trainer_failure else rows


MAX_METRIC_ROWS: Final = 18
"""Most rows of the metrics panel."""


def metrics_panel(state: ScreenState, rows: int, columns: int = 1) -> RenderableType:
    """Metrics in `rows` rows and `columns` columns: at most ``rows + BORDER_LINES`` lines."""
    all_rows = _metric_rows(state)
    selected = sorted(range(len(all_rows)), key=lambda at: (all_rows[at].priority, at))[: rows * columns]
    displayed_rows = [all_rows[at] for at in sorted(selected)]
    table = Table.grid(padding=(0, 1), expand=True)
    for _ in range(columns):
        table.add_column(style="dim", no_wrap=True)
        table.add_column(justify="right", no_wrap=True, overflow="ellipsis", ratio=1)
    lines = -(-len(displayed_rows) // columns)
    for at in range(lines):
        cells: list[RenderableType] = []
        for each in displayed_rows[at::lines]:
            cells += each.name, Text(each.value, style=each.style)
        table.add_row(*cells)
    return Panel(table, title="all events", title_align="left", border_style="cyan")


def user_panel(
    featured_user: FeaturedUser, titles: Mapping[str, str], n_ranks: int, *, scores: bool
) -> RenderableType:
    """Latest events and list of the featured user: at most ``n_ranks + USER_PANEL_LINES`` lines."""
    if featured_user.user_id is None or featured_user.displayed is None:
        placeholder = Text("waiting for the first list …", no_wrap=True, overflow="ellipsis")
        return Panel(placeholder, title="featured user", title_align="left", border_style="dim")
    displayed = featured_user.displayed
    score = [("score", 7, 0)] if scores else []
    table = _table(("", 2, 0), ("", 4, 0), ("item", None, 2), *score, ("why", None, 4))
    for rank, item in enumerate(displayed.items[:n_ranks]):
        extra = [f"{item.score:.2g}"] if scores else []
        table.add_row(
            str(rank + 1),
            _format_rank_change(featured_user.rank_change(rank)),
            Text(titles.get(item.id, item.id)),
            *extra,
            Text(why(item.why, titles), style="dim"),
        )
    events_line = Text(no_wrap=True, overflow="ellipsis", style="bold")
    events_line.append(" ← ".join(_with_title(event, titles) for event in featured_user.events))
    return Panel(
        Group(events_line, table),
        title=Text(f"user {featured_user.user_id}, list of {displayed.generated_at[11:19]}"),
        title_align="left",
        border_style="green",
    )


def search_panel(search: SearchComparison, titles: Mapping[str, str], n_ranks: int) -> RenderableType:
    """The shop's and the personal order of a search: at most ``n_ranks + SEARCH_PANEL_LINES`` lines."""
    table = _table(
        ("", 2, 0), ("order of the shop", None, 2), ("personal order", None, 2), ("", 4, 0), ("why", None, 4)
    )
    for rank in range(min(n_ranks, max(len(search.results), len(search.published)))):
        cells: list[RenderableType] = [str(rank + 1), _item_title(search.results, rank, titles), "", "", ""]
        if rank < len(search.published):
            each = search.published[rank]
            rank_change = None if each.original_rank is None else each.original_rank - rank - 1
            cells[2:] = (
                Text(titles.get(each.item_id, each.item_id)),
                _format_rank_change(rank_change),
                Text(why(each.reason, titles), style="dim"),
            )
        table.add_row(*cells)
    # Results are optional in the event.
    extra = f", {len(search.results):,} results" if search.results else ""
    title = Text(f"search for “{search.query}” by {search.user_id}{extra}")
    return Panel(table, title=title, title_align="left", border_style="yellow")


def policies_panel(policies: Mapping[str, PolicyStats], width: int) -> RenderableType:
    """Results by policy, with each confidence interval as a bar on a common scale.

    Takes ``len(policies) + 1 + BORDER_LINES`` lines; a narrow terminal omits columns.
    """
    bars, users, revenue = width >= 96, width >= 82, width >= 70
    finite = [each.clicks for each in policies.values() if math.isfinite(each.clicks[1])]
    low, high = min((each[1] for each in finite), default=0.0), max((each[2] for each in finite), default=1.0)
    columns: list[tuple[str, int | None, int]] = [("policy", 14, 0), ("share", 6, 0)]
    columns += [("users", 9, 0)] if users else []
    columns += [("clicks/list", 15, 0)]
    columns += [("", None, 1)] if bars else []
    columns += [("revenue/list", 17, 0)] if revenue else []
    table = _table(*columns)
    for name, each in policies.items():
        cells: list[RenderableType] = [
            name,
            Text("paused", style="red") if each.paused else Text(f"{each.share:.0%}"),
        ]
        cells += [f"{each.users:,.0f}"] if users else []
        cells += [_format_interval(each.clicks, 3)]
        cells += [_interval_bar(each.clicks, max(0.0, low), high)] if bars else []
        cells += [_format_interval(each.revenue, 2)] if revenue else []
        table.add_row(*cells)
    title = "policies: clicks and revenue per displayed list, anytime-valid intervals"
    return Panel(table, title=title, title_align="left", border_style="magenta")


def _table(*columns: tuple[str, int | None, int]) -> Table:
    """A table without lines; each column has a heading, a width, and a ratio if it shares the remaining width."""
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


def _item_title(items: Sequence[str], rank: int, titles: Mapping[str, str]) -> Text:
    return Text(titles.get(items[rank], items[rank]) if rank < len(items) else "", style="dim")


def _format_interval(bounds: tuple[float, float, float], digits: int) -> str:
    mean, low, high = bounds
    if math.isnan(mean):
        return "-"
    finite = math.isfinite(low) and math.isfinite(high)
    return f"{mean:.{digits}f}" + (f" ±{(high - low) / 2:.{digits}f}" if finite else "")


def _interval_bar(bounds: tuple[float, float, float], low: float, high: float, width: int = 24) -> Text:
    """An interval as a line, its mean as a dot."""
    if not math.isfinite(bounds[1]) or high <= low:
        return Text("too few users yet", style="dim")
    mean, start, end = (
        round(min(1.0, max(0.0, (value - low) / (high - low))) * (width - 1)) for value in bounds
    )
    glyphs = "".join("●" if at == mean else "─" if start <= at <= end else " " for at in range(width))
    return Text(glyphs, style="bold green")


def _with_title(event: str, titles: Mapping[str, str]) -> str:
    words, _, item_id = event.rpartition(" ")
    return f"{words} {titles[item_id]}" if item_id in titles else event


def _format_rank_change(rank_change: int | None) -> Text:
    if rank_change is None:
        return Text("new", style="bold yellow")
    if rank_change > 0:
        return Text(f"↑{rank_change}", style="green")
    return Text(f"↓{-rank_change}", style="red") if rank_change < 0 else Text("")
