"""Plots of reports; matplotlib is imported only when one is drawn."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from stream_app.errors import UserError
from stream_app.tools.evaluation.bootstrap import ConfidenceInterval
from stream_app.tools.evaluation.report import EventsReport, RerankReport, SessionsReport
from stream_app.tools.evaluation.sessions import FUSED, MAX_PREFIX_LENGTH, Mode
from stream_app.tools.report_file import check_writable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@contextmanager
def figure_file(path: Path, width: float, height: float, *, option: str = "--plot") -> Iterator["Figure"]:
    """An empty figure that is written to `path` on exit, as PNG, SVG or PDF by its name.

    Raises
    ------
    UserError
        If matplotlib is not installed, or the file cannot be written.
    """
    require_matplotlib(option)
    from matplotlib import rc_context  # noqa: PLC0415  # an extra, and slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    # Without pyplot: no display is needed, and matplotlib keeps no global state. Two dollar signs in the name of a
    # category are no formula.
    with rc_context({"text.parse_math": False}):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        try:
            figure.savefig(path, dpi=120)
        except (OSError, ValueError) as error:
            raise UserError(f"{option} {path} cannot be written: {error}.") from None


def require_matplotlib(option: str = "--plot") -> None:
    """Check that matplotlib is installed; raise a `UserError` otherwise."""
    if find_spec("matplotlib") is None:
        raise UserError(
            f"{option} needs matplotlib, which is not installed: pip install 'headrace[evaluate]'."
        )


def check_plot(path: Path | None, option: str = "--plot") -> None:
    """Check before a long run that ``--plot``, if given, can be drawn and written.

    Raises
    ------
    UserError
        If matplotlib is not installed or the file cannot be written.
    """
    if path is not None:
        require_matplotlib(option)
        check_writable(path, option)


def plot_sessions(report: SessionsReport, path: Path) -> None:
    """Hit rate and MRR by model, and of the fused ranker by prefix length; frozen and prequential."""
    max_cutoff = report.cutoffs[-1]
    modes = {Mode.FROZEN: report.frozen, Mode.PREQUENTIAL: report.prequential}
    names = list(report.frozen.systems)
    with figure_file(path, 12, 7) as figure:
        axes = figure.subplots(2, 2)
        for column, metric in enumerate(("hr", "mrr")):
            bars, lines = axes[0, column], axes[1, column]
            for shift, (mode, results) in zip((-0.2, 0.2), modes.items(), strict=True):
                intervals = [getattr(results.systems[name], f"{metric}_interval") for name in names]
                _bars(bars, intervals, shift=shift, height=0.38, label=mode)
                by_prefix = results.systems[FUSED].by_prefix
                lines.plot(
                    [prefix.clicks for prefix in by_prefix],
                    [getattr(prefix, metric) for prefix in by_prefix],
                    marker="o",
                    label=f"{FUSED}, {mode}",
                )
            _label_bars(bars, names, f"{metric.upper()}@{max_cutoff}")
            bars.legend()
            lines.set_title(f"{metric.upper()}@{max_cutoff} by clicks in the context")
            lines.set_xlabel(f"clicks ({MAX_PREFIX_LENGTH}: or more)")
            lines.set_ylim(bottom=0)
            lines.legend()
        figure.suptitle(f"{report.predictions:,} predictions in {report.test_sessions:,} sessions")


def plot_events(report: EventsReport, path: Path) -> None:
    """Hit rate and MRR by split and system."""
    splits = report.results.splits
    systems = list(next(iter(splits.values())).systems)
    height = 0.8 / len(systems)
    labels = [f"{split}\n({split_metrics.lists:,} lists)" for split, split_metrics in splits.items()]
    with figure_file(path, 12, 1 + len(splits) * max(0.7, 0.25 * len(systems))) as figure:
        for axes, (metric, title) in zip(
            figure.subplots(1, 2), (("hit_rate", "hit rate"), ("mrr", "MRR")), strict=True
        ):
            for number, name in enumerate(systems):
                intervals = [
                    getattr(split_metrics.systems[name], metric) for split_metrics in splits.values()
                ]
                _bars(axes, intervals, shift=(number + 0.5) * height - 0.4, height=0.95 * height, label=name)
            _label_bars(axes, labels, f"{title} at {report.k}")
        figure.legend(
            *axes.get_legend_handles_labels(), loc="outside lower center", ncols=min(6, len(systems))
        )


def plot_rerank(report: RerankReport, path: Path) -> None:
    """MRR by split and system, and by part of the log."""
    splits, mrr_by_part = report.results.splits, report.results.mrr_by_part
    height = 0.8 / len(mrr_by_part)
    labels = [f"{split}\n({split_metrics.lists:,} lists)" for split, split_metrics in splits.items()]
    with figure_file(path, 12, 1 + len(splits)) as figure:
        bars, lines = figure.subplots(1, 2)
        for number, (system, means) in enumerate(mrr_by_part.items()):
            intervals = [split_metrics.systems[system].mrr for split_metrics in splits.values()]
            _bars(bars, intervals, shift=(number + 0.5) * height - 0.4, height=0.95 * height, label=system)
            lines.plot(range(1, len(means) + 1), means, marker="o")
        _label_bars(bars, labels, "MRR")
        lines.set_title("MRR along the log")
        lines.set_xlabel("part of the log (equal numbers of choices)")
        figure.legend(*bars.get_legend_handles_labels(), loc="outside lower center", ncols=len(mrr_by_part))


def _label_bars(axes: "Axes", labels: Sequence[str], title: str) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_title(f"{title}, with 95 % intervals")


def _bars(
    axes: "Axes", intervals: Sequence[ConfidenceInterval], *, shift: float, height: float, label: str
) -> None:
    means = [interval.mean for interval in intervals]
    # bootstrap quantiles of a skewed metric may exclude its mean by rounding
    errors = [
        [max(0.0, interval.mean - interval.low) for interval in intervals],
        [max(0.0, interval.high - interval.mean) for interval in intervals],
    ]
    axes.barh([bar + shift for bar in range(len(intervals))], means, height=height, xerr=errors, label=label)
