"""Memory of a worker with many users and items: by part, as `headrace_memory_bytes` has it, and of the process.

The models and the store of lists are those of a worker. They are filled directly, without Kafka: the events of a
million users would take an hour on the whole path.
"""

import gc
import shutil
from collections.abc import Callable
from typing import Annotated, Final, NamedTuple

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from state.published_list import PublishedList
from state.snapshots.store import folder_store
from stream_app.metrics import Metrics
from stream_app.models.resident import process_bytes
from stream_app.publishing.memory_publisher import MemoryPublisher
from stream_app.settings import Settings, load_settings, scratch_dir
from stream_app.settings.memory import MIB
from stream_app.tools.bench.shop_in_memory import RowsInMemory
from stream_app.tools.console import run_script
from stream_app.tools.progress import progress_bar
from stream_app.worker.bootstrap import Components, Ports, build_components
from stream_app.worker.memory import memory_of
from stream_app.worker.warm_up import warm_up
from topics.records import Interaction, Kind, Line, Source

_CHUNK: Final = 10_000
_PURCHASE_SHARE: Final = 20
"""One interaction in twenty is a purchase."""

_FEATURE_BYTES: Final = 40
"""Features of an item on a list, which a reaction to it is learned with."""


class MemoryResults(NamedTuple):
    """Bytes."""

    parts: dict[str, int]
    resident: int

    @property
    def ratio(self) -> float:
        """The sum of the parts, as a share of what the system counts."""
        return sum(self.parts.values()) / self.resident


def measure_memory(
    settings: Settings,
    *,
    users: int,
    items: int,
    events: int,
    update_bar: Callable[[float], object] = lambda _: None,
) -> MemoryResults:
    """Fill the models and the lists of a worker.

    Parameters
    ----------
    events
        Interactions of each user.
    """
    folder = scratch_dir("bench-memory")
    warm_up(settings)
    gc.collect()
    try:
        ports = Ports(RowsInMemory(), lambda *_: None, MemoryPublisher(), folder_store(folder), Metrics())
        components = build_components(settings, ports)
        _fill(components, settings, users, items, events, update_bar)
        gc.collect()
        return MemoryResults(memory_of(components), process_bytes())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(
    components: Components,
    settings: Settings,
    users: int,
    items: int,
    events: int,
    update_bar: Callable[[float], object],
) -> None:
    rng = np.random.default_rng(settings.seed)
    models, total, offset = components.models, users * events, 0
    for start in range(0, total, _CHUNK):
        # some items are much more popular than others, and each is chosen at least once
        chosen = (items * rng.random(_CHUNK) ** 2).astype(np.int64)
        for number in range(start, min(total, start + _CHUNK)):
            item = number if number < items else int(chosen[number - start])
            user, offset, ts = f"user-{number // events:09d}", offset + 1, 1e9 + number * 0.01
            kind = Kind.VIEW if number % _PURCHASE_SHARE else Kind.PURCHASE
            models.learn(
                Interaction(
                    Source.CLICK,
                    0,
                    offset,
                    ts,
                    user,
                    kind,
                    (Line(f"item-{item:08d}"),),
                    segments=("country:FR",),
                )
            )
            if (number + 1) % events == 0:
                ids = tuple(f"item-{each:08d}" for each in chosen[: settings.list_length].tolist())
                features = bytes(_FEATURE_BYTES * len(ids))
                components.list_store.advance_watermark(0, ts)
                components.list_store.add(
                    user, 0, PublishedList(f"{offset:x}", "fixed", ts, ids, b"", features)
                )
        update_bar(min(total, start + _CHUNK))


def main(
    users: Annotated[int, typer.Option(min=1, help="Users.")] = 1_000_000,
    items: Annotated[int, typer.Option(min=1, help="Items.")] = 200_000,
    events: Annotated[int, typer.Option(min=1, help="Interactions of each user.")] = 3,
    budget: Annotated[
        int, typer.Option(min=0, help="HEADRACE_MEMORY_BUDGET, in MiB; 0 keeps all users and items.")
    ] = 0,
) -> None:
    """Print the memory of each part of a worker with so many users and items, and that of the process.

    A million users take some minutes, and 2 GB of memory.
    """
    console = Console()
    settings = load_settings(max_users=users, max_items=items, memory_budget=budget)
    with progress_bar(console, "events", users * events) as update_bar:
        results = measure_memory(settings, users=users, items=items, events=events, update_bar=update_bar)
    table = Table("part", "MiB", title=f"{users:,} users with {events} interactions, {items:,} items")
    for part, size in sorted(results.parts.items(), key=lambda each: -each[1]):
        table.add_row(part, f"{size / MIB:,.1f}")
    console.print(table)
    capacities, total = settings.capacities, sum(results.parts.values())
    console.print(
        f"at most {capacities.max_users:,} users, {capacities.max_items:,} items, "
        f"{capacities.retained_lists:,} lists\n"
        f"sum of the parts {total / MIB:,.0f} MiB, resident {results.resident / MIB:,.0f} MiB, "
        f"ratio {results.ratio:.3f}"
    )


if __name__ == "__main__":
    run_script(main, "bench-memory")
