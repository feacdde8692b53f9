"""Reports as tables for the terminal."""

from collections.abc import Iterable

from rich.table import Table

from stream_app.tools.evaluation import rerank
from stream_app.tools.evaluation.bootstrap import ConfidenceInterval
from stream_app.tools.evaluation.event_logs import METRICS, ListMetricIntervals
from stream_app.tools.evaluation.report import EventsReport, RerankReport, SessionsReport
from stream_app.tools.evaluation.sessions import FUSED, Mode
from stream_app.tools.evaluation.tuning import TuningResult


def sessions_table(report: SessionsReport) -> Table:
    """Metrics of each model and the fused ranker, frozen and prequential."""
    table = Table(box=None, pad_edge=False)
    table.add_column("mode", no_wrap=True)
    table.add_column("model", no_wrap=True)
    names = [f"{metric}@{k}" for metric in ("HR", "MRR") for k in report.cutoffs]
    for name in (*names, "coverage", "popularity", "ms", "p50", "p99"):
        table.add_column(name, justify="right", no_wrap=True)
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
    table = Table(box=None, pad_edge=False)
    for name in ("lists", "model"):
        table.add_column(name, no_wrap=True)
    for metric in METRICS:
        name = metric if metric in {"mrr", "accuracy"} else f"{metric}@{report.k}"
        table.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    for split, split_metrics in report.results.splits.items():
        title = f"{split} ({split_metrics.lists:,})"
        for name, results in split_metrics.systems.items():
            table.add_row(title, name, *_cells(results), style="bold" if name == FUSED else None)
            title = ""
        table.add_row("", "difference", *_cells(split_metrics.difference, sign="+"))
        table.add_section()
    return table


def _cells(results: ListMetricIntervals, sign: str = "") -> list[str]:
    return _format_intervals((getattr(results, metric) for metric in METRICS), sign)


def _format_intervals(intervals: Iterable[ConfidenceInterval], sign: str = "") -> list[str]:
    return [
        f"{interval.mean:{sign}.4f} ±{max(interval.high - interval.mean, interval.mean - interval.low):.4f}"
        for interval in intervals
    ]


def exposure_table(report: EventsReport) -> Table:
    """Exposure of the items in the lists of each system."""
    table = Table(box=None, pad_edge=False)
    table.add_column(f"exposure@{report.k}", no_wrap=True)
    for name in ("coverage", "gini", "new items", "long tail"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, metrics in report.results.exposure.items():
        cells = (
            f"{value:.4f}" for value in (metrics.coverage, metrics.gini, metrics.new_items, metrics.long_tail)
        )
        table.add_row(name, *cells, style="bold" if name == FUSED else None)
    return table


def rerank_table(report: RerankReport) -> Table:
    """Metrics by split: the systems, then learned minus last interaction; each with half its 95 % interval."""
    table = Table(box=None, pad_edge=False)
    for name in ("lists", "order"):
        table.add_column(name, no_wrap=True)
    for name in ("MRR", "HR@1", "HR@3"):
        table.add_column(name, justify="right", no_wrap=True)
    for split, split_metrics in report.results.splits.items():
        title = f"{split} ({split_metrics.lists:,})"
        for system, results in split_metrics.systems.items():
            cells = _format_intervals((results.mrr, results.hr1, results.hr3))
            table.add_row(
                title, system, *cells, style="bold" if system == rerank.RerankSystem.LEARNED else None
            )
            title = ""
        table.add_row(
            "",
            "gain",
            *_format_intervals(
                (split_metrics.difference.mrr, split_metrics.difference.hr1, split_metrics.difference.hr3),
                sign="+",
            ),
        )
        table.add_section()
    return table


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
