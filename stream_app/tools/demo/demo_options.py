"""Options of ``headrace demo``."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from stream_app.errors import UserError

DEFAULT_SHOP_RATE = 50.0
"""Events per second of the generated shop by default: slow enough to watch."""

DEFAULT_LOG_RATE = 500.0
"""Events per second of a log by default."""


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a run; the description of each is its help text on the command line."""

    events: Annotated[
        Path | None, Meta(description="Log to feed; default: a generated shop.", extra={"metavar": "FILE"})
    ] = None
    format: Annotated[
        str,
        Meta(description="Format of the log: jsonl, csv or trivago.", extra={"names": ("--format", "-f")}),
    ] = "jsonl"
    mapping: Annotated[
        Path | None,
        Meta(description="Column mapping of the format csv (TOML).", extra={"names": ("--mapping", "-m")}),
    ] = None
    rate: Annotated[
        float | None,
        Meta(
            ge=0,
            description="Events per second; 0 feeds as fast as the workers consume. "
            "Default: 50 for the generated shop, 500 for a log.",
        ),
    ] = None
    seconds: Annotated[float | None, Meta(ge=0, description="Stop feeding after this many seconds.")] = None
    report: Annotated[
        Path | None, Meta(description="Write the results as JSON at the end.", extra={"metavar": "FILE"})
    ] = None
    screenshot: Annotated[
        Path | None,
        Meta(
            description="Save the last screen before feeding ended as an SVG image.",
            extra={"metavar": "FILE.svg"},
        ),
    ] = None
    workers: Annotated[int, Meta(ge=1, le=64, description="Worker processes to start.")] = 1
    seed: Annotated[int, Meta(ge=0, description="Seed of all random numbers.")] = 7
    keep: Annotated[
        bool,
        Meta(description="Keep the workers' folders: logs, tables, snapshots.", extra={"names": ("--keep",)}),
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
            If they contradict each other, or the log does not exist.
        """
        if self.events is None and self.mapping is not None:
            raise UserError("--mapping describes the columns of a log: give --events FILE with it.")
        if self.events is not None and not self.events.is_file():
            raise UserError(f"There is no file {self.events}; check the path of --events.")
