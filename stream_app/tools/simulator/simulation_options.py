"""Options of ``headrace simulate``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_app.errors import UserError
from stream_app.tools.cli.command import ParsedText
from stream_app.tools.simulator.log_split import Tenth
from stream_app.tools.simulator.logged_users import SESSIONS_PER_DAY


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


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulationOptions:
    """Options of a run; the description of each is its help text on the command line."""

    sessions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Log whose users are replayed; default: generated users."),
    ] = None
    format: Annotated[
        str,
        typer.Option("--format", "-f", help="Format of the log: diginetica, trivago, yoochoose or jsonl."),
    ] = "diginetica"
    users: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Replay only the first N users, or generate N (default 1,000)."
        ),
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 7
    rate: Annotated[
        float, typer.Option(min=0, help="Events per second; 0 runs as fast as lists are published.")
    ] = 0.0
    concurrency: Annotated[int, typer.Option(min=1, max=1_000, help="Users in flight.")] = 48
    tenth: Annotated[
        Tenth | None,
        ParsedText(Tenth.parse),
        typer.Option(metavar="I/10", help="Replay one of ten disjoint parts of the log."),
    ] = None
    warm_up: Annotated[
        Path | float,
        ParsedText(parse_warm_up, "0"),
        typer.Option(
            metavar="SHARE|FILE",
            help="Share of the log, or another log, to feed unchanged before the measurement.",
        ),
    ] = 0.0
    sessions_per_day: Annotated[
        float, typer.Option(min=1, help="Sessions per day of simulated time, for a log without times.")
    ] = SESSIONS_PER_DAY
    days: Annotated[float, typer.Option(min=0.1, help="Simulated days of the generated shop.")] = 10.0
    shifts: Annotated[
        tuple[float, ...],
        ParsedText(parse_days, "4,7"),
        typer.Option(metavar="DAY,DAY,…", help="Days on which tastes change in the generated shop."),
    ] = (4.0, 7.0)
    items: Annotated[int, typer.Option(min=10, help="Items of the generated shop.")] = 500
    own_servers: Annotated[
        bool, typer.Option("--own-servers", help="Start an embedded broker, Redis and workers.")
    ] = False
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes to start.")] = 1
    run: Annotated[
        str | None,
        typer.Option(
            help="Prefix of user ids, so that runs on the same servers do not mix. "
            "Default: derived from the time; empty with --own-servers."
        ),
    ] = None
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the results as JSON at the end.")
    ] = None
    outcomes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the outcomes of each user, for --baseline.")
    ] = None
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare with the --outcomes of another run, paired by user."),
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
