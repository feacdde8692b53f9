"""What the demo shows while it runs: figures, and one shopper's list."""

import io
import math
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stream_app.demo.figures import Figures, PolicyFigures
from stream_app.demo.report import Report, freshness_ms
from stream_app.demo.spotlight import Spotlight
from stream_app.reasons import sentence
from topics.records import Reason

LIST_SHOWN = 12
"""Places of the list on the screen."""

SEARCH_SHOWN = 3
"""Places of the search list on the screen."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the screen shows of a moment.

    Attributes
    ----------
    title
        What is fed.
    phase
        What is being done.
    seconds
        Since the first event.
    rows, rows_total
        Rows taken; of how many, None if there is no end.
    ignored
        Rows of no use.
    users
        Distinct shoppers so far.
    sent
        Events sent.
    figures, lately
        Since the first event, and within the last seconds.
    rate
        Events with an outcome a second, within the last seconds.
    policies
        How those that order lists do, by name; empty where one alone does.
    """

    title: str
    phase: str
    seconds: float
    rows: int
    rows_total: int | None
    ignored: int
    users: int
    sent: int
    figures: Figures
    lately: Figures
    rate: float
    policies: Mapping[str, PolicyFigures] = {}


def draw(view: View, spotlight: Spotlight, titles: Mapping[str, str]) -> RenderableType:
    """The whole screen.

    Parameters
    ----------
    view
        The moment.
    spotlight
        The shopper.
    titles
        Titles of items by id, as far as there are any.
    """
    body = Table.grid(padding=(0, 1), expand=True)
    body.add_column(width=46)
    body.add_column(ratio=1)
    body.add_row(
        Panel(_figures(view), title="all events", title_align="left", border_style="cyan"),
        _shopper(spotlight, titles),
    )
    return Group(_head(view), body, *_policies(view.policies))


def save_picture(drawn: RenderableType, path: Path) -> None:
    """Write a drawn screen as an SVG picture, 118 columns wide."""
    console = Console(
        record=True, width=118, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(drawn)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The default template loads its font from the net; a plain monospace needs none.
    svg = console.export_svg(title="headrace demo", unique_id="headrace")
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


def line(view: View) -> str:
    """The moment in one line, for an output that is no terminal.

    Examples
    --------
    >>> line(View(title="shop", phase="feeding", seconds=5, rows=250, rows_total=None, ignored=0, users=40,
    ...           sent=250, figures=Figures(accepted=249.0, judged=10.0, hits=4.0), lately=Figures(), rate=50.0))
    '5 s · feeding · 250 rows · 50 events/s · 249 accepted, 0 duplicates, 0 dead-lettered, 0 ignored · freshness p50 - p99 - ms · hit rate@20 40.0 % · 0 lists'
    """  # noqa: E501  # the line is what it is
    figures = view.figures
    fresh = freshness_ms(view.lately)
    of = "" if view.rows_total is None else f" of {view.rows_total:,}"
    return (
        f"{view.seconds:.0f} s · {view.phase} · {view.rows:,}{of} rows · {view.rate:,.0f} events/s · "
        f"{figures.accepted:,.0f} accepted, {figures.duplicates:,.0f} duplicates, "
        f"{figures.dead_lettered:,.0f} dead-lettered, {view.ignored:,} ignored · "
        f"freshness p50 {_ms(fresh.p50)} p99 {_ms(fresh.p99)} ms · "
        f"hit rate@20 {_percent(figures.hit_rate)} · {figures.lists_published:,.0f} lists"
    )


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _head(view: View) -> RenderableType:
    minutes, seconds = divmod(int(view.seconds), 60)
    text = Text.assemble(
        (" Headrace ", "bold reverse cyan"),
        f"  {view.title}  ",
        (f"{minutes:02d}:{seconds:02d}  ", "bold"),
        view.phase,
    )
    if view.rows_total is None:
        text.append("   ctrl-C ends it", style="dim")
        return text
    head = Table.grid(padding=(0, 1), expand=True)
    head.add_column()
    head.add_column(ratio=1)
    head.add_column(justify="right")
    bar = ProgressBar(total=max(view.rows_total, 1), completed=view.rows)
    head.add_row(text, bar, f"{view.rows:,} of {view.rows_total:,} rows")
    return head


def _policies(policies: Mapping[str, PolicyFigures]) -> list[RenderableType]:
    """How the policies do, and a bar from end to end of each interval, on one scale: one sees them part."""
    if len(policies) < 2:
        return []
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim", padding=(0, 1))
    for heading, width in (("policy", 14), ("share", 6), ("shoppers", 9), ("clicks a list", 17)):
        table.add_column(
            heading, width=width, no_wrap=True, justify="left" if heading == "policy" else "right"
        )
    table.add_column("", ratio=1, no_wrap=True)
    table.add_column("revenue a list", width=18, justify="right", no_wrap=True)
    known = [each.clicks for each in policies.values() if math.isfinite(each.clicks[1])]
    low, high = min((each[1] for each in known), default=0.0), max((each[2] for each in known), default=1.0)
    for name, each in policies.items():
        share = Text("rests", style="red") if each.resting else Text(f"{each.share:.0%}")
        table.add_row(
            name,
            share,
            f"{each.shoppers:,.0f}",
            _interval(each.clicks, 3),
            _bar(each.clicks, max(0.0, low), high),
            _interval(each.revenue, 2),
        )
    title = "policies: clicks and revenue a list seen, with intervals that hold at any time"
    return [Panel(table, title=title, title_align="left", border_style="magenta")]


def _interval(bounds: tuple[float, float, float], digits: int) -> str:
    mean, low, high = bounds
    if math.isnan(mean):
        return "-"
    known = math.isfinite(low) and math.isfinite(high)
    return f"{mean:.{digits}f}" + (f" ±{(high - low) / 2:.{digits}f}" if known else "")


def _bar(bounds: tuple[float, float, float], low: float, high: float, width: int = 24) -> Text:
    """An interval as a line from end to end with its mean as a dot."""
    if not math.isfinite(bounds[1]) or high <= low:
        return Text("too few shoppers for an interval", style="dim")
    mean, start, end = (
        round(min(1.0, max(0.0, (value - low) / (high - low))) * (width - 1)) for value in bounds
    )
    drawn = "".join("●" if at == mean else "─" if start <= at <= end else " " for at in range(width))
    return Text(drawn, style="bold green")


def _figures(view: View) -> RenderableType:
    figures = view.figures
    lately, overall = freshness_ms(view.lately), freshness_ms(figures)
    mrr = "-" if figures.mrr is None else f"{figures.mrr:.3f}"
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(style="dim")
    table.add_column(justify="right")
    rows: tuple[tuple[str, str, str], ...] = (
        ("events/s", f"{view.rate:,.0f}", "bold green"),
        ("freshness", f"p50 {_ms(lately.p50)}  p99 {_ms(lately.p99)} ms", "bold green"),
        ("since the start", f"p50 {_ms(overall.p50)}  p99 {_ms(overall.p99)} ms", ""),
        ("hit rate@20", _percent(figures.hit_rate), "bold green"),
        ("MRR@20", mrr, ""),
        ("", "", ""),
        ("events read", f"{view.rows:,}", ""),
        ("accepted", f"{figures.accepted:,.0f}", ""),
        ("duplicates", f"{figures.duplicates:,.0f}", ""),
        ("dead-lettered", f"{figures.dead_lettered:,.0f}", "red" if figures.dead_lettered else ""),
        ("ignored", f"{view.ignored:,}", ""),
        ("shoppers", f"{view.users:,}", ""),
        ("lists published", f"{figures.lists_published:,.0f}", ""),
        ("", "", ""),
        ("on their way", f"{max(0, view.sent - figures.finished):,}", ""),
        ("waiting for a list", f"{figures.dirty_users:,.0f}", ""),
        ("models behind by", f"{figures.lag_messages:,.0f}", ""),
    )
    for name, value, style in rows:
        table.add_row(name, Text(value, style=style))
    return table


def _shopper(spotlight: Spotlight, titles: Mapping[str, str]) -> RenderableType:
    if spotlight.user_id is None or spotlight.shown is None:
        return Panel(
            "waiting for the first list …", title="one shopper", title_align="left", border_style="dim"
        )
    shown = spotlight.shown
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim", padding=(0, 1))
    table.add_column("", justify="right", width=2, no_wrap=True)
    table.add_column("", width=4, no_wrap=True)
    table.add_column("item", no_wrap=True, overflow="ellipsis", ratio=2)
    table.add_column("score", justify="right", no_wrap=True, width=7)
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=3)
    for place, item in enumerate(shown.items[:LIST_SHOWN]):
        table.add_row(
            str(place + 1),
            _arrow(spotlight.move(place)),
            Text(titles.get(item.id, item.id)),
            f"{item.score:.3g}",
            Text(why(item.why, titles), style="dim"),
        )
    events = Text(
        " ← ".join(_titled(event, titles) for event in spotlight.events), style="bold", overflow="ellipsis"
    )
    events.no_wrap = True
    return Panel(
        Group(
            events,
            Text(f"list {shown.list_id} of {shown.generated_at}", style="dim"),
            table,
            *_search(spotlight, titles),
        ),
        title=Text(f"shopper {spotlight.user_id}"),
        title_align="left",
        border_style="green",
    )


def _search(spotlight: Spotlight, titles: Mapping[str, str]) -> list[RenderableType]:
    """The order of the shopper's last search, where there is one."""
    search = spotlight.search
    if search is None or not search.items:
        return []
    table = Table(box=None, expand=True, pad_edge=False, show_header=False, padding=(0, 1))
    table.add_column("", justify="right", width=2, no_wrap=True)
    table.add_column("", no_wrap=True, overflow="ellipsis", ratio=2)
    table.add_column("", no_wrap=True, overflow="ellipsis", ratio=3)
    for place, item in enumerate(search.items[:SEARCH_SHOWN], start=1):
        table.add_row(
            str(place), Text(titles.get(item.id, item.id)), Text(why(item.why, titles), style="dim")
        )
    heading = Text(f"search for {search.query}, of {search.generated_at}", style="dim", overflow="ellipsis")
    heading.no_wrap = True
    return [Text(""), heading, table]


def why(reason: Reason, titles: Mapping[str, str]) -> str:
    """The reason of an item in words, with the title of the evidence where there is one.

    Examples
    --------
    >>> why(Reason("also_viewed", item_id="i1"), {"i1": "light tent"})
    'because you viewed light tent'
    """
    if reason.item_id is not None and reason.item_id in titles:
        reason = msgspec.structs.replace(reason, item_id=titles[reason.item_id])
    return sentence(reason)


def _titled(event: str, titles: Mapping[str, str]) -> str:
    words, _, item_id = event.rpartition(" ")
    return f"{words} {titles[item_id]}" if item_id in titles else event


def _arrow(move: int | None) -> Text:
    if move is None:
        return Text("new", style="bold yellow")
    if move > 0:
        return Text(f"↑{move}", style="green")
    return Text(f"↓{-move}", style="red") if move < 0 else Text("")


def summary(report: Report) -> str:
    """The report as lines of text."""
    read = report.redis_read_ms
    mrr = "-" if report.mrr_at_20 is None else f"{report.mrr_at_20:.4f}"
    told = {
        "events read": f"{report.events_read:,} = {report.accepted:,} accepted + {report.duplicates:,} "
        f"duplicates + {report.dead_lettered:,} dead-lettered + {report.ignored:,} ignored",
        "unfinished": f"{report.unfinished:,} events sent had no outcome when the run was ended",
        "shoppers": f"{report.users:,}; {report.users_with_list:,} of {report.users_read:,} read have a list",
        "lists published": f"{report.lists_published:,}",
        "events per second": f"{report.events_per_second:,.0f} over {report.seconds:,.1f} s",
        "freshness": f"p50 {_ms(report.freshness_ms.p50)} ms, p99 {_ms(report.freshness_ms.p99)} ms",
        "a read from Redis": "-" if read.p50 is None else f"p50 {read.p50:.2f} ms, p99 {read.p99:.2f} ms",
        "hit rate@20, MRR@20": f"{_percent(report.hit_rate_at_20)}, {mrr}",
    }
    if not report.unfinished:
        del told["unfinished"]
    return "\n".join(f"{name:20} {value}" for name, value in told.items())
