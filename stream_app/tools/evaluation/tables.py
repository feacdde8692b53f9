"""Reports as tables for the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import astuple
from rich.table import Table

from stream_app.tools.evaluation import event_logs, rerank
from stream_app.tools.evaluation.bootstrap import ConfidenceInterval
from stream_app.tools.evaluation.report import (
    ColdReport,
    EventsReport,
    RerankReport,
    SessionsReport,
    SourcesReport,
)
from stream_app.tools.evaluation.sessions import FUSED, Mode
from stream_app.tools.evaluation.split_metrics import SplitMetrics
from stream_app.tools.evaluation.tuning import TuningResult


def make_table(texts: Iterable[str], numbers: Iterable[str]) -> Table:
    """An empty table without lines and without wrapped cells; the columns of numbers are aligned right."""
    table = Table(box=None, pad_edge=False)
    for name in texts:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def sessions_table(report: SessionsReport) -> Table:
    """Metrics of each model and the fused ranker, frozen and prequential."""
    names = [f"{metric}@{k}" for metric in ("HR", "MRR") for k in report.cutoffs]
    table = make_table(("mode", "model"), (*names, "coverage", "popularity", "ms", "p50", "p99"))
    for mode, results in ((Mode.FROZEN, report.frozen), (Mode.PREQUENTIAL, report.prequential)):
        for name, metrics in results.systems.items():
            cells = [
                *(f"{by_cutoff[k]:.4f}" for by_cutoff in (metrics.hr, metrics.mrr) for k in report.cutoffs),
                f"{metrics.coverage:.3f}",
                f"{metrics.mean_popularity:.4f}",
                *(f"{value:.3f}" for value in (metrics.ms.mean, metrics.ms.p50, metrics.ms.p99)),
            ]
            table.add_row(str(mode), name, *cells, style="bold" if name == FUSED else None)
        table.add_section()
    return table


def events_table(report: EventsReport) -> Table:
    """Metrics by split: the systems, then fused minus popularity; each with half its 95 % interval."""
    names = [name if name in {"mrr", "accuracy"} else f"{name}@{report.k}" for name in event_logs.METRICS]
    table = make_table(("lists", "model"), (name.replace("_", " ") for name in names))
    _add_splits(table, report.results.splits, event_logs.METRICS, bold=FUSED, difference="difference")
    return table


def exposure_table(report: EventsReport) -> Table:
    """Exposure of the items in the lists of each system."""
    table = make_table((f"exposure@{report.k}",), ("coverage", "gini", "new items", "long tail"))
    for name, metrics in report.results.exposure.items():
        cells = (f"{value:.4f}" for value in astuple(metrics))
        table.add_row(name, *cells, style="bold" if name == FUSED else None)
    return table


def rerank_table(report: RerankReport) -> Table:
    """Metrics by split: the systems, then learned minus last interaction; each with half its 95 % interval."""
    table = make_table(("lists", "order"), ("MRR", "HR@1", "HR@3"))
    learned = rerank.RerankSystem.LEARNED
    _add_splits(table, report.results.splits, rerank.METRICS, bold=learned, difference="gain")
    return table


def sources_table(report: SourcesReport) -> Table:
    """The fusion of all sources, then the differences without each source and with sources paused; costs in µs."""
    results = report.results
    table = make_table(
        ("lists",), (f"hit rate@{report.k}", "mrr", "list", "learn", "candidates", "measured gain", "state")
    )
    both = ("hit_rate", "mrr")
    of_all = (results.hit_rate, results.mrr)
    cells = [f"{each.mean:.4f} ±{(each.high - each.low) / 2:.4f}" for each in of_all]
    table.add_row(f"all sources ({results.lists:,})", *cells, f"{results.list_us:.0f} µs", style="bold")
    for name, value in results.without.items():
        cost, gain = results.costs[name], results.gains.get(name)
        table.add_row(
            f"without {name}",
            *_format_intervals(value, both, sign="+"),
            *(f"{us:.0f} µs" for us in (value.list_us, cost.learn_us, cost.candidates_us)),
            *(
                ("", "always used")
                if gain is None
                else (f"{gain.mean:+.4f}", "used" if gain.active else "paused")
            ),
        )
    switched = results.switched
    table.add_row("switched", *_format_intervals(switched, both, sign="+"), f"{switched.list_us:.0f} µs")
    return table


def cold_table(report: ColdReport) -> Table:
    """Hit rates of each arm by shop: items without interactions, the ratio to the baseline, others, new users."""
    table = make_table(
        ("shop", "lists"), (f"no interactions, HR@{report.k}", "of the baseline", "other items", "new users")
    )
    for shop, results in report.shops.items():
        title = shop
        for name, metrics in results.arms.items():
            cells = [
                f"{each.mean:.{digits}f} ({each.low:.{digits}f} to {each.high:.{digits}f})" if each else ""
                for each, digits in (
                    (metrics.cold, 3),
                    (metrics.ratio, 2),
                    (metrics.others, 3),
                    (metrics.new_users, 3),
                )
            ]
            table.add_row(title, name, *cells, style="bold" if name.startswith(FUSED) else None)
            title = ""
        table.add_section()
    return table


def _add_splits(
    table: Table,
    splits: Mapping[Any, SplitMetrics[Any]],
    metrics: Sequence[str],
    *,
    bold: str,
    difference: str,
) -> None:
    for split, split_metrics in splits.items():
        title = f"{split} ({split_metrics.lists:,})"
        for name, results in split_metrics.systems.items():
            style = "bold" if name == bold else None
            table.add_row(title, name, *_format_intervals(results, metrics), style=style)
            title = ""
        table.add_row("", difference, *_format_intervals(split_metrics.difference, metrics, sign="+"))
        table.add_section()


def _format_intervals(results: msgspec.Struct, metrics: Sequence[str], sign: str = "") -> list[str]:
    intervals: list[ConfidenceInterval] = [getattr(results, metric) for metric in metrics]
    return [
        f"{interval.mean:{sign}.4f} ±{max(interval.high - interval.mean, interval.mean - interval.low):.4f}"
        for interval in intervals
    ]


def tuning_table(result: TuningResult) -> Table:
    """The best hyperparameters and the defaults, side by side."""
    defaults, best = result.defaults, result.best
    table = Table("", "default", "best", box=None, pad_edge=False)
    for name in defaults.parameters:
        table.add_row(name, _format_value(defaults.parameters[name]), _format_value(best.parameters[name]))
    table.add_section()
    for metric in ("hr", "mrr"):
        cells = [getattr(trial, metric) for trial in (defaults, best)]
        table.add_row(
            metric.upper(),
            *(f"{cell.mean:.4f} ({cell.low:.4f} to {cell.high:.4f})" for cell in cells),
            style="bold",
        )
    table.add_row("ms", *(f"{trial.ms:.3f}" for trial in (defaults, best)))
    return table


def _format_value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
