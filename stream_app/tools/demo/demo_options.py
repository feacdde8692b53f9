"""Options of ``headrace demo``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_app.errors import UserError
from stream_app.tools.environment.trainer_process import check_trainer

DEFAULT_SHOP_RATE = 50.0
"""Events per second of the generated shop by default: slow enough to watch."""

DEFAULT_LOG_RATE = 500.0
"""Events per second of a log by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoOptions:
    """Options of a run; the description of each is its help text on the command line."""

    events: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Log to feed; default: a generated shop.")
    ] = None
    format: Annotated[
        str, typer.Option("--format", "-f", help="Format of the log: jsonl, csv, recbole or trivago.")
    ] = "jsonl"
    mapping: Annotated[
        Path | None, typer.Option("--mapping", "-m", help="Column mapping of the format csv (TOML).")
    ] = None
    rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Events per second; 0 feeds as fast as the workers consume. "
            "Default: 50 for the generated shop, 500 for a log.",
        ),
    ] = None
    seconds: Annotated[float | None, typer.Option(min=0, help="Stop feeding after this many seconds.")] = None
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the results as JSON at the end.")
    ] = None
    screenshot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg", help="Save the last screen before feeding ended as an SVG image."),
    ] = None
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes to start.")] = 1
    neural: Annotated[
        bool,
        typer.Option(
            "--neural",
            help="Run a trainer of the two-tower model, too, and rank with its models; needs headrace\\[neural].",
        ),
    ] = False
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 7
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Keep the run's folder: logs, tables, snapshots, checkpoints, the generated catalog.",
        ),
    ] = False

    @property
    def events_per_second(self) -> float:
        """The requested rate, or the default rate of the event source."""
        if self.rate is not None:
            return self.rate
        return DEFAULT_SHOP_RATE if self.events is None else DEFAULT_LOG_RATE

    def validate(self) -> None:
        """Check the options against each other.

        Raises
        ------
        UserError
            If they contradict each other, the log does not exist, or a trainer cannot run.
        """
        if self.events is None and self.mapping is not None:
            raise UserError("--mapping describes the columns of a log: give --events FILE with it.")
        if self.events is not None and not self.events.is_file():
            raise UserError(f"There is no file {self.events}; check the path of --events.")
        if self.neural:
            check_trainer("headrace demo --neural")
