"""What is asked of ``headrace simulate``."""

from pathlib import Path

import msgspec

from stream_app.errors import UserError
from stream_app.tools.simulator.log_split import Tenth
from stream_app.tools.simulator.logged_users import FORMATS, SESSIONS_PER_DAY


class SimulationOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options.

    Attributes
    ----------
    sessions, format
        A log whose shoppers are followed; without it shoppers are generated.
    users
        Follow only the first so many, or generate so many.
    seed
        Of everything that chance plays a part in.
    rate
        Events a second; 0 goes as fast as lists come.
    concurrency
        Shoppers in flight.
    tenth
        Follow one of ten disjoint parts.
    warm_up
        A share of the log, or another log, fed as it is before anything is measured.
    sessions_per_day
        Of a log without times.
    days, shifts
        Of the generated shop: how long, and on which days tastes change.
    items
        Of the generated shop.
    run
        Put before the ids of shoppers; None lets the place decide (`runner`).
    own_servers, workers
        Start a broker, a Redis and so many workers.
    report, outcomes, baseline
        Where the figures go, where the sums of each shopper go, and another run's to compare with.
    """

    sessions: Path | None = None
    format: str = "diginetica"
    users: int | None = None
    seed: int = 7
    rate: float = 0.0
    concurrency: int = 48
    tenth: Tenth | None = None
    warm_up: Path | float = 0.0
    sessions_per_day: float = SESSIONS_PER_DAY
    days: float = 10.0
    shifts: tuple[float, ...] = (4.0, 7.0)
    items: int = 500
    run: str | None = None
    own_servers: bool = False
    workers: int = 1
    report: Path | None = None
    outcomes: Path | None = None
    baseline: Path | None = None

    def validate(self) -> None:
        """Find contradictions.

        Raises
        ------
        UserError
            With what to change.
        """
        if self.sessions is None and (self.tenth is not None or self.warm_up != 0.0):
            raise UserError("--tenth and --warm-up cut a log: give --sessions FILE with them.")
        if self.sessions is not None and self.format not in FORMATS:
            raise UserError(
                f"There is no format {self.format!r} of sessions; there are {', '.join(FORMATS)}."
            )
        for file in (self.sessions, self.warm_up, self.baseline):
            if isinstance(file, Path) and not file.is_file():
                raise UserError(f"There is no file {file}; check the path.")


def parse_warm_up(text: str) -> Path | float:
    """A share, or else a file.

    Raises
    ------
    UserError
        If it is a number, but no share.

    Examples
    --------
    >>> parse_warm_up("0.5"), parse_warm_up("train.jsonl.gz").name
    (0.5, 'train.jsonl.gz')
    """
    try:
        share = float(text)
    except ValueError:
        return Path(text)
    if not 0 <= share < 1:
        raise UserError(f"--warm-up is a share of the log from 0 to below 1, or a file, not {text}.")
    return share


def parse_days(text: str) -> tuple[float, ...]:
    """Days, comma-separated; none where the text is empty.

    Raises
    ------
    UserError
        If they are no numbers, or do not rise.

    Examples
    --------
    >>> parse_days("4,7.5")
    (4.0, 7.5)
    """
    try:
        days = tuple(float(day) for day in text.split(",") if day.strip())
    except ValueError:
        raise UserError(f"--shifts are days such as 4,7, not {text!r}.") from None
    if any(not one < other for one, other in zip((0.0, *days), days, strict=False)):
        raise UserError(f"--shifts must rise from above 0, not be {text!r}.")
    return days
