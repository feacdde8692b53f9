"""``make bench-neural``: cost of the two-tower model in the trainer and in a worker."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
import numpy as np
import typer
from rich.table import Table

from state.checkpoint_store import CheckpointStore
from state.snapshots.files import FolderFiles
from stream_app.encoders.optional_packages import import_package
from stream_app.models.checkpoint import Manifest, decode_checkpoint, encode_checkpoint
from stream_app.models.item_index import ItemIndex
from stream_app.models.kernels import two_tower as kernels
from stream_app.models.kernels.jit import plain
from stream_app.models.observation import Context
from stream_app.models.served_weights import PreparedWeights, ServedWeights, prepare_weights, serve_weights
from stream_app.models.two_tower import TwoTower
from stream_app.models.two_tower_network import gap_buckets
from stream_app.ranking.fusion.feature_blocks import write_two_tower
from stream_app.ranking.kernels.feature_table import TwoTowerFeature
from stream_app.tools.bench.random_model import random_weights
from stream_app.tools.bench.trainer_lag import TrainerLag, benchmark_interactions, measure_lag
from stream_app.tools.console import print_table, run_script
from stream_app.tools.report_file import check_writable, write_report

T = TypeVar("T")

_TRAINING: Final = "stream_app.training.two_tower_training"
_HISTORY: Final = 20
_N_FEATURES_OF: Final = 200
_N_NEAREST: Final = 100
_NEW_ITEMS: Final = 50
"""Items that enter the index between the copy of its hashes and the swap."""


class TrainingCost(msgspec.Struct, frozen=True):
    """What the trainer's steps cost on one core, the reading of the log left out.

    Attributes
    ----------
    interactions_per_second
        New interactions, each step's replayed ones included in the time.
    step_ms
        Median of the steps.
    """

    steps: int
    interactions_per_second: float
    step_ms: float


class CheckpointCost(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of the way of a checkpoint from the trainer into a worker, and microseconds of serving it.

    Attributes
    ----------
    load_seconds
        Read from the store, verify and decode.
    first_group_seconds, group_seconds
        Group the vectors without and with the last groups, and hash the ids.
    swap_ms
        In the event loop, with items that have come since.
    longest_stall_ms
        Of the event loop, from the load to the swap.
    forward_us
        The user vectors after 20 interactions.
    features_us
        The model's features of 200 candidates.
    nearest_us
        The 100 items nearest to the user, without the forward pass.
    """

    items: int
    megabytes: float
    encode_seconds: float
    write_seconds: float
    load_seconds: float
    first_group_seconds: float
    group_seconds: float
    swap_ms: float
    longest_stall_ms: float
    forward_us: float
    features_us: float
    nearest_us: float


class NeuralReport(msgspec.Struct, frozen=True):
    """Everything that ``make bench-neural`` measures; None for what was left out."""

    training: TrainingCost
    lag: TrainerLag | None
    checkpoints: list[CheckpointCost]


def measure_training(steps: int) -> TrainingCost:
    """Add the benchmark's interactions and take a step after each 128, as the trainer does."""
    package = import_package(_TRAINING, "neural", "make bench-neural")
    training = package.TwoTowerTraining()
    per_step, warm_up = training.config.new_interactions, max(2, steps // 4)
    stream = iter(benchmark_interactions((warm_up + steps) * 4 * per_step, time.time))
    times: list[float] = []
    started, first = time.perf_counter(), 0
    for number in range(warm_up + steps):
        if number == warm_up:
            started, first = time.perf_counter(), training.n_interactions
        target = training.n_interactions + per_step
        while training.n_interactions < target:
            interaction = next(stream)
            for line in interaction.lines:
                training.add(interaction.user_id, line.item_id, interaction.kind, interaction.ts)
        before = time.perf_counter()
        training.step()
        times.append(time.perf_counter() - before)
    elapsed = time.perf_counter() - started
    return TrainingCost(
        steps, (training.n_interactions - first) / elapsed, statistics.median(times[warm_up:]) * 1e3
    )


def measure_checkpoint(items: int, repeats: int) -> CheckpointCost:
    """Take random weights of the usual shape from the trainer's memory to the lists of a worker."""
    ids = [f"item-{number:08d}" for number in range(items)]
    trained = random_weights(ids)
    encode_seconds, data = _timed(
        lambda: encode_checkpoint(trained, Manifest(version=1, created_at=time.time()))
    )
    with tempfile.TemporaryDirectory(prefix="headrace-bench-neural-") as folder:
        store = CheckpointStore(FolderFiles(Path(folder)))
        write_seconds, announcement = _timed(lambda: store.write(1, data, created_at=time.time()))

        def load() -> tuple[float, float, PreparedWeights]:
            load_seconds, (decoded, _) = _timed(lambda: decode_checkpoint(store.read(announcement)))
            # as the worker's thread: other threads run after every few milliseconds
            group_seconds, prepared = _timed(
                lambda: prepare_weights(decoded, "1", model.centroids, lambda: time.sleep(0.005))
            )
            return load_seconds, group_seconds, prepared

        index = ItemIndex(items)
        for item_id in ids:
            index.index(item_id, 0.0)
        model = TwoTower(index)
        first, _, _, _ = asyncio.run(_adopt(model, index, load))
        later, served, swap_seconds, stall = asyncio.run(_adopt(model, index, load))
    forward_us, features_us, nearest_us = _serving_cost(model, served, repeats)
    return CheckpointCost(
        items=items,
        megabytes=len(data) / 1e6,
        encode_seconds=encode_seconds,
        write_seconds=write_seconds,
        load_seconds=later[0],
        first_group_seconds=first[1],
        group_seconds=later[1],
        swap_ms=swap_seconds * 1e3,
        longest_stall_ms=stall * 1e3,
        forward_us=forward_us,
        features_us=features_us,
        nearest_us=nearest_us,
    )


async def _adopt(
    model: TwoTower, index: ItemIndex, load: Callable[[], tuple[float, float, PreparedWeights]]
) -> tuple[tuple[float, float], ServedWeights, float, float]:
    """Load in a thread and swap in the loop; return seconds of load and grouping, weights, swap and longest stall."""
    stalls, done = [0.0], asyncio.Event()

    async def beat() -> None:
        while not done.is_set():
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            stalls.append(time.perf_counter() - before - 0.001)

    beats = asyncio.create_task(beat())
    load_seconds, group_seconds, prepared = await asyncio.to_thread(load)
    hashes = model.index_hashes()
    served = await asyncio.to_thread(serve_weights, prepared, hashes)
    n = index.size
    for number in range(_NEW_ITEMS):
        index.index(f"new-{n}-{number}", 1.0 + number)
    swap_seconds, _ = _timed(lambda: model.swap(served))
    done.set()
    await beats
    return (load_seconds, group_seconds), served, swap_seconds, max(stalls)


def _serving_cost(model: TwoTower, served: ServedWeights, repeats: int) -> tuple[float, float, float]:
    """Medians in microseconds: forward pass, features of 200 candidates, the 100 nearest items."""
    rng = np.random.default_rng(7)
    known = np.flatnonzero(served.rows.items >= 0)
    forward, features, nearest = [], [], []
    out = np.zeros((_N_FEATURES_OF, len(TwoTowerFeature)), np.float32)
    times, heads = np.arange(_HISTORY, dtype=np.float64), np.zeros(_HISTORY, np.int32)
    for _ in range(repeats + 1):  # the first call compiles the kernels
        rows = rng.choice(known, _HISTORY).astype(np.int32)
        items = served.rows.items[rows]
        context = Context("ann", items, times, 0, (), float(times[-1]), heads=heads)
        candidates = served.rows.items[rng.choice(known, _N_FEATURES_OF)]
        gaps = gap_buckets(times, served.shape.n_gaps)
        seconds, _ = _timed(
            lambda rows=rows, gaps=gaps: kernels.encode(  # type: ignore[misc]
                served.clusters.vectors,
                rows,
                heads,
                gaps,
                heads[:0],
                plain(served.weights),
                plain(served.scratch),
                served.users,
            )
        )
        forward.append(seconds)
        seconds, _ = _timed(lambda context=context: model.candidates(context, _N_NEAREST))  # type: ignore[misc]
        nearest.append(seconds)
        seconds, _ = _timed(
            lambda context=context, candidates=candidates: write_two_tower(  # type: ignore[misc]
                model, context, candidates, 0, out
            )
        )
        features.append(seconds)
    once, of_candidates, both = (statistics.median(each[1:]) * 1e6 for each in (forward, features, nearest))
    return once, of_candidates, max(0.0, both - once)


def _timed(run: Callable[[], T]) -> tuple[float, T]:
    started = time.perf_counter()
    result = run()
    return time.perf_counter() - started, result


def print_report(report: NeuralReport) -> None:
    """The report as tables."""
    table = Table("", "", title="trainer, one core")
    table.add_row("interactions per second", f"{report.training.interactions_per_second:,.0f}")
    table.add_row("one step", f"{report.training.step_ms:.1f} ms")
    if report.lag is not None:
        table.add_row(
            f"behind the log at {report.lag.achieved_rate:,.0f} interactions/s",
            f"median {report.lag.median_seconds:.2f} s, at most {report.lag.largest_seconds:.2f} s",
        )
    print_table(table)
    table = Table("checkpoint of", *(f"{each.items:,} items" for each in report.checkpoints))
    for name, unit, field in _ROWS:
        table.add_row(name, *(f"{getattr(each, field):,.2f} {unit}" for each in report.checkpoints))
    print_table(table)


_ROWS: Final = (
    ("size", "MB", "megabytes"),
    ("encode", "s", "encode_seconds"),
    ("write to a folder", "s", "write_seconds"),
    ("read, verify and decode", "s", "load_seconds"),
    ("group, the first time", "s", "first_group_seconds"),
    ("group, from the last groups", "s", "group_seconds"),
    ("swap in the event loop", "ms", "swap_ms"),
    ("longest stall of the event loop", "ms", "longest_stall_ms"),
    ("forward pass", "µs", "forward_us"),
    ("features of 200 candidates", "µs", "features_us"),
    ("the 100 nearest items", "µs", "nearest_us"),
)


def main(
    steps: Annotated[int, typer.Option(min=1, help="Training steps that are timed.")] = 400,
    seconds: Annotated[
        float, typer.Option(min=0, help="Seconds of feeding a trainer process; 0 leaves it out.")
    ] = 30.0,
    rate: Annotated[float, typer.Option(min=1, help="Interactions per second of this feed.")] = 500.0,
    items: Annotated[
        list[int] | None,
        typer.Option(min=100, help="Items of a checkpoint; may be repeated. [default: 43000, 200000]"),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Users whose lists are timed.")] = 2_000,
    report: Annotated[Path, typer.Option(metavar="FILE.json", help="Results.")] = Path("build/neural.json"),
) -> None:
    """Measure what the two-tower model costs in the trainer and in a worker."""
    check_writable(report)
    import_package(_TRAINING, "neural", "make bench-neural")
    lag = measure_lag(rate, seconds) if seconds else None
    if hasattr(os, "sched_setaffinity"):
        # before JAX starts its threads, which inherit it
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    training = measure_training(steps)
    sizes = items or [43_000, 200_000]
    results = NeuralReport(training, lag, [measure_checkpoint(size, repeats) for size in sizes])
    print_report(results)
    write_report(results, report)
    typer.echo(f"report: {report}")


if __name__ == "__main__":
    run_script(main, "bench neural")
