"""Text of values, reasons, the status line and the summary."""

from collections.abc import Mapping

import msgspec

from stream_app.tools.demo.demo_report import DemoReport, NeuralReport, freshness_ms, neural_report
from stream_app.tools.demo.screen_state import ScreenState
from stream_app.tools.environment.list_quality import ListQuality
from stream_app.tools.reasons import sentence
from topics.records import Reason


def status_line(state: ScreenState) -> str:
    """The state in one line, for an output that is not a terminal.

    Examples
    --------
    >>> from stream_app.tools.environment.worker_metrics import ScrapedMetrics
    >>> state = ScreenState(
    ...     title="shop", phase="feeding", seconds=5, rows=250, rows_total=None, ignored=0, users=40, sent=250,
    ...     worker_metrics=ScrapedMetrics(accepted=249.0, prequential_events=10.0, hits=4.0),
    ...     recent_metrics=ScrapedMetrics(), rate=50.0,
    ... )
    >>> for part in status_line(state).split(" · "):
    ...     print(part)
    5 s
    feeding
    250 rows
    50 events/s
    249 accepted, 0 duplicates, 0 dead-lettered, 0 ignored
    freshness p50 - p99 - ms
    hit rate@20 40.0 %
    0 lists
    """
    worker_metrics = state.worker_metrics
    freshness = freshness_ms(state.recent_metrics)
    total = "" if state.rows_total is None else f" of {state.rows_total:,}"
    return (
        f"{state.seconds:.0f} s · {state.phase} · {state.rows:,}{total} rows · {state.rate:,.0f} events/s · "
        f"{worker_metrics.accepted:,.0f} accepted, {worker_metrics.duplicates:,.0f} duplicates, "
        f"{worker_metrics.dead_lettered:,.0f} dead-lettered, {state.ignored:,} ignored · "
        f"freshness p50 {format_milliseconds(freshness.p50)} p99 {format_milliseconds(freshness.p99)} ms · "
        f"hit rate@20 {format_percent(worker_metrics.hit_rate)} · {worker_metrics.lists_published:,.0f} lists"
        + _neural_part(state)
    )


def _neural_part(state: ScreenState) -> str:
    if state.neural is None:
        return ""
    failure = f" · the trainer {state.trainer_failure}" if state.trainer_failure else ""
    return f" · {format_model(neural_report(state.neural, ''))}{failure}"


def format_summary(report: DemoReport) -> str:
    """The report as lines of text."""
    read_latency = report.redis_read_ms
    rows = {
        "events read": f"{report.events_read:,} = {report.accepted:,} accepted + {report.duplicates:,} "
        f"duplicates + {report.dead_lettered:,} dead-lettered + {report.ignored:,} ignored",
        "unfinished": f"{report.unfinished:,} events sent had no outcome at the end of the run",
        "users": f"{report.users:,}; {report.users_with_list:,} of {report.users_read:,} read have a list",
        "lists published": f"{report.lists_published:,}, search lists {report.search_lists_published:,}",
        "events per second": f"{report.events_per_second:,.0f} over {report.seconds:,.1f} s",
        "freshness": f"p50 {format_milliseconds(report.freshness_ms.p50)} ms, "
        f"p99 {format_milliseconds(report.freshness_ms.p99)} ms",
        "Redis read": "-"
        if read_latency.p50 is None
        else f"p50 {read_latency.p50:.2f} ms, p99 {read_latency.p99:.2f} ms",
        "hit rate@20, MRR@20": f"{format_percent(report.hit_rate_at_20)}, {format_decimal(report.mrr_at_20, 4)}",
        "diversity": format_diversity(report.list_quality),
        "exposure": f"{format_exposure(report.list_quality)}, long tail {format_item_groups(report.list_quality)}",
    }
    if report.neural is not None:
        rows["two-tower model"] = format_model(report.neural)
        if report.neural.trainer_failure:
            rows["trainer"] = f"{report.neural.trainer_failure}; lists went on with the last model"
    if not report.unfinished:
        del rows["unfinished"]
    return "\n".join(f"{name:20} {value}" for name, value in rows.items())


def format_diversity(quality: ListQuality) -> str:
    """Intra-list diversity (ILD) and categories per list.

    Examples
    --------
    >>> format_diversity(ListQuality(dissimilarity=0.523, categories=4.25))
    'ILD 0.52, 4.2 categories'
    """
    return (
        f"ILD {format_decimal(quality.dissimilarity, 2)}, {format_decimal(quality.categories, 1)} categories"
    )


def format_exposure(quality: ListQuality) -> str:
    """Catalog coverage and the Gini coefficient of exposure.

    Examples
    --------
    >>> format_exposure(ListQuality(coverage=0.8, gini=0.4321))
    'coverage 80 %, Gini 0.43'
    """
    return f"coverage {format_percent(quality.coverage, 0)}, Gini {format_decimal(quality.gini, 2)}"


def format_item_groups(quality: ListQuality) -> str:
    """Share of list entries from the long tail, and of new items.

    Examples
    --------
    >>> format_item_groups(ListQuality(long_tail_share=0.25))
    '25 %, new items -'
    """
    return f"{format_percent(quality.long_tail_share, 0)}, new items {format_percent(quality.new_items_share, 0)}"


def format_model(model: NeuralReport) -> str:
    """Version and age of the two-tower model, and its share of the lists.

    Examples
    --------
    >>> format_model(NeuralReport(version=3, age_seconds=7.2, brought_share=0.065))
    'model 3, 7 s old, brought 6.5 % of list items'
    >>> format_model(NeuralReport(version=0, age_seconds=None, brought_share=None))
    'no model yet'
    """
    if model.age_seconds is None:
        return "no model yet"
    share = format_percent(model.brought_share)
    return f"model {model.version}, {model.age_seconds:.0f} s old, brought {share} of list items"


def format_milliseconds(value: float | None) -> str:
    """Milliseconds, with one decimal below 100; a dash for None."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def format_percent(value: float | None, digits: int = 1) -> str:
    """A share in percent; a dash for None."""
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def format_decimal(value: float | None, digits: int) -> str:
    """A number; a dash for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def why(reason: Reason, titles: Mapping[str, str]) -> str:
    """The reason of an item, with the title of the evidence item where it has one.

    Examples
    --------
    >>> why(Reason("also_viewed", item_id="i1"), {"i1": "light tent"})
    'because you viewed light tent'
    """
    if reason.item_id is not None and reason.item_id in titles:
        reason = msgspec.structs.replace(reason, item_id=titles[reason.item_id])
    return sentence(reason)
