"""Options of ``headrace simulate``."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from stream_app.errors import UserError
from stream_app.tools.simulator.log_split import Tenth

SESSIONS_PER_DAY: Final = 1_000.0
"""Sessions per day of simulated time in a log without times, as in `headrace evaluate sessions`."""


def parse_warm_up(text: str) -> Path | float:
    """Parse a share, or else a path.

    Raises
    ------
    UserError
        If it is a number outside [0, 1).

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
    """Parse comma-separated days; the empty text gives none.

    Raises
    ------
    UserError
        If they are not ascending positive numbers.

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
        raise UserError(f"--shifts must be ascending and above 0, not {text!r}.")
    return days


class SimulationOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a run; the description of each is its help text on the command line."""

    sessions: Annotated[
        Path | None,
        Meta(
            description="Log whose users are replayed; default: generated users.", extra={"metavar": "FILE"}
        ),
    ] = None
    format: Annotated[
        str,
        Meta(
            description="Format of the log: diginetica, trivago, yoochoose or jsonl.",
            extra={"names": ("--format", "-f")},
        ),
    ] = "diginetica"
    users: Annotated[
        int | None,
        Meta(
            ge=1,
            description="Replay only the first N users, or generate N (default 1,000).",
            extra={"metavar": "N"},
        ),
    ] = None
    seed: Annotated[int, Meta(ge=0, description="Seed of all random numbers.")] = 7
    rate: Annotated[
        float, Meta(ge=0, description="Events per second; 0 runs as fast as lists are published.")
    ] = 0.0
    concurrency: Annotated[int, Meta(ge=1, le=1_000, description="Users in flight.")] = 48
    tenth: Annotated[
        Tenth | None,
        Meta(
            description="Replay one of ten disjoint parts of the log.",
            extra={"metavar": "I/10", "parse": Tenth.parse},
        ),
    ] = None
    warm_up: Annotated[
        Path | float,
        Meta(
            description="Share of the log, or another log, to feed unchanged before the measurement.",
            extra={"metavar": "SHARE|FILE", "parse": parse_warm_up, "default_text": "0"},
        ),
    ] = 0.0
    sessions_per_day: Annotated[
        float, Meta(ge=1, description="Sessions per day of simulated time, for a log without times.")
    ] = SESSIONS_PER_DAY
    days: Annotated[float, Meta(ge=0.1, description="Simulated days of the generated shop.")] = 10.0
    shifts: Annotated[
        tuple[float, ...],
        Meta(
            description="Days on which tastes change in the generated shop.",
            extra={"metavar": "DAY,DAY,…", "parse": parse_days, "default_text": "4,7"},
        ),
    ] = (4.0, 7.0)
    items: Annotated[int, Meta(ge=10, description="Items of the generated shop.")] = 500
    own_servers: Annotated[
        bool,
        Meta(
            description="Start an embedded broker, Redis and workers.",
            extra={"names": ("--own-servers",)},
        ),
    ] = False
    workers: Annotated[int, Meta(ge=1, le=64, description="Worker processes to start.")] = 1
    run: Annotated[
        str | None,
        Meta(
            description="Prefix of user ids, so that runs on the same servers do not mix. "
            "Default: derived from the time; empty with --own-servers."
        ),
    ] = None
    report: Annotated[
        Path | None, Meta(description="Write the results as JSON at the end.", extra={"metavar": "FILE"})
    ] = None
    outcomes: Annotated[
        Path | None,
        Meta(description="Write the outcomes of each user, for --baseline.", extra={"metavar": "FILE"}),
    ] = None
    baseline: Annotated[
        Path | None,
        Meta(
            description="Compare with the --outcomes of another run, paired by user.",
            extra={"metavar": "FILE"},
        ),
    ] = None

    def validate(self) -> None:
        """Check the options against each other.

        Raises
        ------
        UserError
            If they contradict each other, or a file does not exist.
        """
        if self.sessions is None and (self.tenth is not None or self.warm_up != 0.0):
            raise UserError("--tenth and --warm-up split a log: give --sessions FILE with them.")
        for file in (self.sessions, self.warm_up, self.baseline):
            if isinstance(file, Path) and not file.is_file():
                raise UserError(f"There is no file {file}; check the path.")
