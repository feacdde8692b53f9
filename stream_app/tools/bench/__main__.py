"""``make bench``: throughput, freshness and learning cost, as a table and in ``build/bench.json``."""

import os
import platform
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from stream_app.encoders.optional_packages import check_packages
from stream_app.tools.bench.freshness import measure_freshness
from stream_app.tools.bench.learning_cost import measure_fold
from stream_app.tools.bench.load import measure_load
from stream_app.tools.bench.results import (
    BenchReport,
    FreshnessResults,
    LoadResults,
    Machine,
)
from stream_app.tools.bench.throughput import measure_throughput
from stream_app.tools.console import run_script
from stream_app.tools.report_file import write_report

_FOLD_EVENT_RANGE: Final = (4_000, 20_000)
"""Minimum and maximum number of events for the timing of the fold."""


def bench(
    events: Annotated[int, typer.Option(help="Events each agent consumes.", min=2_000)] = 30_000,
    rounds: Annotated[int, typer.Option(help="Rounds of all agents; the report has medians.", min=1)] = 2,
    rate: Annotated[float, typer.Option(help="Events per second for freshness.", min=1)] = 300.0,
    seconds: Annotated[
        float, typer.Option(help="Duration of the freshness measurement in seconds.", min=2)
    ] = 20.0,
    users: Annotated[int, typer.Option(help="Users of the events.", min=100)] = 5_000,
    trainer: Annotated[
        bool,
        typer.Option(
            "--trainer",
            help="Measure freshness a second time, with the two-tower model and beside its trainer; needs "
            "headrace\\[neural].",
        ),
    ] = False,
    load: Annotated[
        bool,
        typer.Option(
            "--load",
            help="Measure one and two workers under load, too: catching up with a backlog, freshness at 50, 80, 100 "
            "and 200 % of the capacity.",
        ),
    ] = False,
    report: Annotated[Path, typer.Option(help="File of the results.")] = Path("build/bench.json"),
) -> None:
    """Measure Headrace on this machine: throughput compared with bare Faust agents, freshness, reads, the fold.

    Compare ratios: absolute times vary with the machine.
    """
    if trainer:
        check_packages(("jax", "optax"), "neural", "make bench ARGS=--trainer")
    console = Console()
    with console.status("starting") as status:

        def update_status(description: str) -> None:
            status.update(description)
            if not console.is_terminal:
                console.print(description)

        update_status("fold: interactions into the models")
        fold = measure_fold(min(max(events, _FOLD_EVENT_RANGE[0]), _FOLD_EVENT_RANGE[1]), users)
        throughput = measure_throughput(events, rounds, users, update_status)
        freshness = measure_freshness(rate, seconds, users, update_status)
        with_trainer = (
            measure_freshness(rate, seconds, users, update_status, trainer=True) if trainer else None
        )
        loads = [
            measure_load(workers, events, seconds, users, update_status)
            for workers in ((1, 2) if load else ())
        ]
    results = BenchReport(
        machine=Machine(python=platform.python_version(), cores=len(os.sched_getaffinity(0))),
        throughput=throughput,
        freshness=freshness,
        fold=fold,
        freshness_with_trainer=with_trainer,
        load=loads,
    )
    report.parent.mkdir(parents=True, exist_ok=True)
    write_report(results, report)
    console.print(results_table(results))
    console.print(f"written to {report}")


def results_table(results: BenchReport) -> Table:
    """A table with one line per result."""
    throughput, fold = results.throughput, results.fold
    rates, cpu = throughput.events_per_second, throughput.cpu_us_per_event
    table = Table("measure", "value", "", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for letter, kind, description in (
        ("a", "bare", "bare Faust agent, decodes with msgspec"),
        ("b", "table", "the same with one table write per event"),
        ("c", "headrace", "Headrace, from every event to a list in Redis"),
        ("d", "full_ranking", "the same, no degraded lists"),
        ("e", "rrf", "as d, lists of three models fused by ranks"),
        ("f", "neural", "as d, with a two-tower model of 64 factors"),
    ):
        table.add_row(
            f"({letter}) {description}",
            f"{rates[kind]:,.0f}",
            f"events/s  ({cpu[kind]:.0f} µs CPU per event)",
        )
    for name, ratio in throughput.ratios.items():
        table.add_row(name, f"{ratio:.2f}", "")
    table.add_row("added by (f) to (d)", f"{throughput.neural_us_per_list:.0f}", "µs CPU per list")
    table.add_row("user lists per event", f"{throughput.lists_per_event:.2f}", "in (c)")
    table.add_row("of these degraded", f"{throughput.degraded_share:.2f}", "")
    for stage, microseconds in throughput.stage_us_per_event["full_ranking"].items():
        degraded = throughput.stage_us_per_event["headrace"][stage]
        table.add_row(f"  {stage}", f"{microseconds:.0f}", f"µs per event in (d), {degraded:.0f} in (c)")
    for suffix, freshness in (
        ("", results.freshness),
        (", beside a trainer", results.freshness_with_trainer),
    ):
        if freshness is not None:
            _add_freshness(table, freshness, suffix)
    for each in results.load:
        _add_load(table, each)
    table.add_row("fold, all models", f"{fold.fold_us:.1f}", "µs per interaction")
    for name, cost in fold.by_model.items():
        table.add_row(f"  {name}", f"{cost:.1f}", "µs")
    return table


def _add_load(table: Table, results: LoadResults) -> None:
    workers = f"{results.workers} worker{'s' * (results.workers > 1)}"
    cpu = f"events/s  ({results.cpu_us_per_event:.0f} µs CPU per event)"
    table.add_row(f"{workers}: catching up", f"{results.catch_up_rate:,.0f}", cpu)
    for step in results.steps:
        table.add_row(
            f"  freshness p50 at {step.share:.0%}, {step.rate:,.0f} events/s",
            f"{step.freshness_ms.p50:.1f}",
            f"ms, p99 {step.freshness_ms.p99:.1f} ms; {step.backlog:,} events behind, "
            f"caught up in {step.catch_up_seconds:.1f} s",
        )


def _add_freshness(table: Table, freshness: FreshnessResults, suffix: str) -> None:
    for name, value in (("p50", freshness.freshness_ms.p50), ("p99", freshness.freshness_ms.p99)):
        rate = f"at {freshness.achieved_rate:.0f} events/s"
        table.add_row(f"freshness {name} {rate}{suffix}", f"{value:.1f}", "ms")
    for name, value in (("p50", freshness.redis_read_ms.p50), ("p99", freshness.redis_read_ms.p99)):
        table.add_row(f"client read {name}{suffix}", f"{value:.2f}", "ms")


if __name__ == "__main__":
    run_script(bench, "headrace bench")
