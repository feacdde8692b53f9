"""``python -m stream_app.tools.bench.shop_log FILE.jsonl``: the log of a generated shop, for `headrace evaluate`.

Users follow lists in the fused order; the file has the catalog first, then all events in the order of time.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from stream_app.settings import Settings
from stream_app.tools.bench.drift import END
from stream_app.tools.bench.shop_in_memory import ShopInMemory, run_users
from stream_app.tools.console import run_script
from stream_app.tools.embedding.catalog_embedder import event_line
from stream_app.tools.simulator.simulated_user import NAMED_REACTION_SETTINGS
from stream_app.tools.simulator.simulation_options import SimulationOptions
from stream_app.tools.simulator.user_sources import GeneratedUserSource
from topics.event_types import EVENT_TYPES
from topics.events import CatalogItem, Event

_KIND_OF: Final[dict[type[object], str]] = {
    event_type.struct: event_type.topic.removeprefix("events.") for event_type in EVENT_TYPES
}


class _RecordedShop(ShopInMemory):
    """A shop in memory that keeps the lines of its log."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        super().__init__(settings, folder)
        self.lines: list[bytes] = []

    def send(self, event: Event) -> None:
        """Process an event of a user."""
        self.lines.append(event_line(_KIND_OF[type(event)], event))
        super().send(event)


def shop_log(seed: int, users: int, folder: Path) -> list[bytes]:
    """The lines of the log of a generated shop.

    Parameters
    ----------
    folder
        For the snapshots of the shop's worker; it gets none.
    """
    settings = Settings(policies={"fixed": 1.0}, **dict(NAMED_REACTION_SETTINGS))  # type: ignore[arg-type]
    source = GeneratedUserSource(SimulationOptions(seed=seed, users=users), "", END)
    shop = _RecordedShop(settings, folder)
    catalog = [
        event_line("catalog", each)
        for each in (*source.warm_up(), *source.arrivals())
        if isinstance(each, CatalogItem)
    ]
    run_users(shop, source)
    return catalog + shop.lines


def main(
    file: Annotated[Path, typer.Argument(help="Write the log here.")],
    seed: Annotated[int, typer.Option(help="Seed of the shop.")] = 1,
    users: Annotated[int, typer.Option(min=1, help="Users of the shop.")] = 300,
) -> None:
    """Write the log of a generated shop as jsonl."""
    with tempfile.TemporaryDirectory() as folder:
        lines = shop_log(seed, users, Path(folder))
    file.write_bytes(b"".join(lines))
    typer.echo(f"{len(lines):,} events in {file}")


if __name__ == "__main__":
    run_script(main, "python -m stream_app.tools.bench.shop_log")
