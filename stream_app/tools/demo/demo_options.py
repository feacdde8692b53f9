"""What is asked of a run of the demo."""

from pathlib import Path

import msgspec

from stream_app.errors import UserError

DEFAULT_SHOP_RATE = 50.0
"""Events a second of the generated shop, unless told otherwise: slow enough to watch."""

DEFAULT_LOG_RATE = 500.0
"""Events a second of a log, unless told otherwise."""


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of ``headrace demo``.

    Attributes
    ----------
    events, format, mapping
        A log, its format and its column mapping; without `events` the generated shop is fed.
    rate
        Events a second, 0 for as fast as it goes; None takes the default of what is fed.
    seconds
        Feeding ends after so long; None: when the log is through.
    report
        Where the figures are written.
    screenshot
        Where the screen is drawn as SVG, as it was when feeding ended.
    workers
        Worker processes.
    seed
        Of the generated shop.
    keep
        Leave the folders of the workers behind.
    """

    events: Path | None = None
    format: str = "jsonl"
    mapping: Path | None = None
    rate: float | None = None
    seconds: float | None = None
    report: Path | None = None
    screenshot: Path | None = None
    workers: int = 1
    seed: int = 7
    keep: bool = False

    @property
    def events_per_second(self) -> float:
        """The rate that is kept."""
        if self.rate is not None:
            return self.rate
        return DEFAULT_SHOP_RATE if self.events is None else DEFAULT_LOG_RATE

    def validate(self) -> None:
        """Find contradictions.

        Raises
        ------
        UserError
            With what to change.
        """
        if self.events is None and self.mapping is not None:
            raise UserError("--mapping says how to read a log: give --events FILE with it.")
        if self.events is not None and not self.events.is_file():
            raise UserError(f"There is no file {self.events}; check the path of --events.")
