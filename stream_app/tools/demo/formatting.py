"""Figures, reasons and the report in words."""

from collections.abc import Mapping

import msgspec

from stream_app.tools.demo.demo_report import Report, freshness_ms
from stream_app.tools.demo.screen_state import View
from stream_app.tools.environment.list_quality import ListQuality
from stream_app.tools.reasons import sentence
from topics.records import Reason


def line(view: View) -> str:
    """The moment in one line, for an output that is no terminal.

    Examples
    --------
    >>> from stream_app.tools.environment.worker_metrics import Figures
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
        f"freshness p50 {milliseconds(fresh.p50)} p99 {milliseconds(fresh.p99)} ms · "
        f"hit rate@20 {percent(figures.hit_rate)} · {figures.lists_published:,.0f} lists"
    )


def summary(report: Report) -> str:
    """The report as lines of text."""
    read = report.redis_read_ms
    told = {
        "events read": f"{report.events_read:,} = {report.accepted:,} accepted + {report.duplicates:,} "
        f"duplicates + {report.dead_lettered:,} dead-lettered + {report.ignored:,} ignored",
        "unfinished": f"{report.unfinished:,} events sent had no outcome when the run was ended",
        "shoppers": f"{report.users:,}; {report.users_with_list:,} of {report.users_read:,} read have a list",
        "lists published": f"{report.lists_published:,}, of searches {report.search_lists_published:,}",
        "events per second": f"{report.events_per_second:,.0f} over {report.seconds:,.1f} s",
        "freshness": f"p50 {milliseconds(report.freshness_ms.p50)} ms, "
        f"p99 {milliseconds(report.freshness_ms.p99)} ms",
        "a read from Redis": "-" if read.p50 is None else f"p50 {read.p50:.2f} ms, p99 {read.p99:.2f} ms",
        "hit rate@20, MRR@20": f"{percent(report.hit_rate_at_20)}, {decimal(report.mrr_at_20, 4)}",
        "a list": within_a_list(report.list_quality),
        "exposure": f"{exposure(report.list_quality)}, {groups(report.list_quality)}",
    }
    if not report.unfinished:
        del told["unfinished"]
    return "\n".join(f"{name:20} {value}" for name, value in told.items())


def within_a_list(quality: ListQuality) -> str:
    """How diverse a list is.

    Examples
    --------
    >>> within_a_list(ListQuality(unlikeness=0.523, categories=4.25))
    '52 % unlike, 4.2 categories'
    """
    return f"{percent(quality.unlikeness, 0)} unlike, {decimal(quality.categories, 1)} categories"


def exposure(quality: ListQuality) -> str:
    """How the places are shared out.

    Examples
    --------
    >>> exposure(ListQuality(coverage=0.8, gini=0.4321))
    '80 % of items, Gini 0.43'
    """
    return f"{percent(quality.coverage, 0)} of items, Gini {decimal(quality.gini, 2)}"


def groups(quality: ListQuality) -> str:
    """What the places are taken by.

    Examples
    --------
    >>> groups(ListQuality(long_tail_share=0.25))
    'long tail 25 %, new -'
    """
    return f"long tail {percent(quality.long_tail_share, 0)}, new {percent(quality.new_items_share, 0)}"


def milliseconds(value: float | None) -> str:
    """Milliseconds, the digits as large as they deserve; a dash for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share in percent; a dash for none."""
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def decimal(value: float | None, digits: int) -> str:
    """A number; a dash for none."""
    return "-" if value is None else f"{value:.{digits}f}"


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
