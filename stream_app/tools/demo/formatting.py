"""Figures, reasons and the report in words."""

from collections.abc import Mapping

import msgspec

from stream_app.tools.demo.demo_report import DemoReport, freshness_ms
from stream_app.tools.demo.screen_state import ScreenState
from stream_app.tools.environment.list_quality import ListQuality
from stream_app.tools.reasons import sentence
from topics.records import Reason


def status_line(state: ScreenState) -> str:
    """The moment in one line, for an output that is no terminal.

    Examples
    --------
    >>> from stream_app.tools.environment.worker_metrics import WorkerMetrics
    >>> status_line(ScreenState(title="shop", phase="feeding", seconds=5, rows=250, rows_total=None, ignored=0, users=40,
    ...           sent=250, worker_metrics=WorkerMetrics(accepted=249.0, prequential_events=10.0, hits=4.0), recent_metrics=WorkerMetrics(), rate=50.0))
    '5 s · feeding · 250 rows · 50 events/s · 249 accepted, 0 duplicates, 0 dead-lettered, 0 ignored · freshness p50 - p99 - ms · hit rate@20 40.0 % · 0 lists'
    """  # noqa: E501  # the line is what it is
    worker_metrics = state.worker_metrics
    freshness = freshness_ms(state.recent_metrics)
    total = "" if state.rows_total is None else f" of {state.rows_total:,}"
    return (
        f"{state.seconds:.0f} s · {state.phase} · {state.rows:,}{total} rows · {state.rate:,.0f} events/s · "
        f"{worker_metrics.accepted:,.0f} accepted, {worker_metrics.duplicates:,.0f} duplicates, "
        f"{worker_metrics.dead_lettered:,.0f} dead-lettered, {state.ignored:,} ignored · "
        f"freshness p50 {format_milliseconds(freshness.p50)} p99 {format_milliseconds(freshness.p99)} ms · "
        f"hit rate@20 {format_percent(worker_metrics.hit_rate)} · {worker_metrics.lists_published:,.0f} lists"
    )


def format_summary(report: DemoReport) -> str:
    """The report as lines of text."""
    read_latency = report.redis_read_ms
    rows = {
        "events read": f"{report.events_read:,} = {report.accepted:,} accepted + {report.duplicates:,} "
        f"duplicates + {report.dead_lettered:,} dead-lettered + {report.ignored:,} ignored",
        "unfinished": f"{report.unfinished:,} events sent had no outcome when the run was ended",
        "users": f"{report.users:,}; {report.users_with_list:,} of {report.users_read:,} read have a list",
        "lists published": f"{report.lists_published:,}, of searches {report.search_lists_published:,}",
        "events per second": f"{report.events_per_second:,.0f} over {report.seconds:,.1f} s",
        "freshness": f"p50 {format_milliseconds(report.freshness_ms.p50)} ms, "
        f"p99 {format_milliseconds(report.freshness_ms.p99)} ms",
        "a read from Redis": "-"
        if read_latency.p50 is None
        else f"p50 {read_latency.p50:.2f} ms, p99 {read_latency.p99:.2f} ms",
        "hit rate@20, MRR@20": f"{format_percent(report.hit_rate_at_20)}, {format_decimal(report.mrr_at_20, 4)}",
        "a list": format_diversity(report.list_quality),
        "exposure": f"{format_exposure(report.list_quality)}, {format_item_groups(report.list_quality)}",
    }
    if not report.unfinished:
        del rows["unfinished"]
    return "\n".join(f"{name:20} {value}" for name, value in rows.items())


def format_diversity(quality: ListQuality) -> str:
    """How diverse a list is.

    Examples
    --------
    >>> format_diversity(ListQuality(dissimilarity=0.523, categories=4.25))
    '52 % unlike, 4.2 categories'
    """
    return f"{format_percent(quality.dissimilarity, 0)} unlike, {format_decimal(quality.categories, 1)} categories"


def format_exposure(quality: ListQuality) -> str:
    """How the places are shared out.

    Examples
    --------
    >>> format_exposure(ListQuality(coverage=0.8, gini=0.4321))
    '80 % of items, Gini 0.43'
    """
    return f"{format_percent(quality.coverage, 0)} of items, Gini {format_decimal(quality.gini, 2)}"


def format_item_groups(quality: ListQuality) -> str:
    """What the places are taken by.

    Examples
    --------
    >>> format_item_groups(ListQuality(long_tail_share=0.25))
    'long tail 25 %, new -'
    """
    return f"long tail {format_percent(quality.long_tail_share, 0)}, new {format_percent(quality.new_items_share, 0)}"


def format_milliseconds(value: float | None) -> str:
    """Milliseconds, the digits as large as they deserve; a dash for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def format_percent(value: float | None, digits: int = 1) -> str:
    """A share in percent; a dash for none."""
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def format_decimal(value: float | None, digits: int) -> str:
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
