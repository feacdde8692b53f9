"""``make bench``: everything in one run, as a table and as ``build/bench.json``."""

import json
import platform
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from stream_app.errors import UserError
from stream_app.tools.bench.freshness import measure_freshness
from stream_app.tools.bench.learning_cost import measure_fold
from stream_app.tools.bench.throughput import measure_throughput

_FOLD_EVENT_RANGE: Final = (4_000, 20_000)
"""Fewest and most events that the fold is timed with."""


def bench(
    events: Annotated[int, typer.Option(help="Events each agent consumes.", min=2_000)] = 30_000,
    rounds: Annotated[int, typer.Option(help="Rounds of the three agents; medians are told.", min=1)] = 2,
    rate: Annotated[float, typer.Option(help="Events a second for the freshness.", min=1)] = 300.0,
    seconds: Annotated[float, typer.Option(help="Seconds of freshness measured.", min=2)] = 20.0,
    users: Annotated[int, typer.Option(help="Shoppers the events are spread over.", min=100)] = 5_000,
    report: Annotated[Path, typer.Option(help="Where the figures are written.")] = Path("build/bench.json"),
) -> None:
    """Measure Headrace on this machine: throughput beside bare Faust agents, freshness, reads, the fold.

    Compare ratios: absolute times epsilon_greedy_order with the machine.
    """
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
    results = {
        "machine": {"python": platform.python_version(), "cores": _cores()},
        "throughput": throughput,
        "freshness": freshness,
        "fold": fold,
    }
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(results, indent=2) + "\n")
    console.print(_table(results))
    console.print(f"written to {report}")


def _table(results: dict[str, Any]) -> Table:
    throughput, freshness, fold = results["throughput"], results["freshness"], results["fold"]
    rates, cpu = throughput["events_per_second"], throughput["cpu_us_per_event"]
    table = Table("figure", "value", "", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for letter, kind, description in (
        ("a", "bare", "bare Faust agent, decodes with msgspec"),
        ("b", "table", "the same with one table write an event"),
        ("c", "headrace", "Headrace, every event to a fresh list in Redis"),
        ("d", "full_ranking", "the same, no degraded lists"),
        ("e", "rrf", "as d, lists fused by ranks of three models"),
    ):
        table.add_row(
            f"({letter}) {description}", f"{rates[kind]:,.0f}", f"events/s  ({cpu[kind]:.0f} µs CPU an event)"
        )
    for name, ratio in throughput["ratios"].items():
        table.add_row(name, f"{ratio:.2f}", "")
    table.add_row("user lists per event", f"{throughput['lists_per_event']:.2f}", "in (c)")
    table.add_row("of these degraded", f"{throughput['degraded_share']:.2f}", "")
    for name in ("p50", "p99"):
        table.add_row(
            f"freshness {name} at {freshness['achieved_rate']:.0f} events/s",
            f"{freshness['freshness_ms'][name]:.1f}",
            "ms",
        )
    for name in ("p50", "p99"):
        table.add_row(f"client read {name}", f"{freshness['redis_read_ms'][name]:.2f}", "ms")
    table.add_row("fold, all models", f"{fold['fold_us']:.1f}", "µs an interaction")
    for name, cost in fold["by_model"].items():
        table.add_row(f"  {name}", f"{cost:.1f}", "µs")
    return table


def _cores() -> int:
    import os  # noqa: PLC0415

    return len(os.sched_getaffinity(0))


def main() -> None:
    """Run; an error for people becomes one sentence."""
    try:
        typer.run(bench)
    except UserError as error:
        print(f"headrace bench: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


if __name__ == "__main__":
    main()
