"""Options that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

ReportFile = Annotated[Path, typer.Option("--report", metavar="FILE.json", help="Write all results here.")]
PlotFile = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE.png", help="Plot the results; needs the extra `evaluate`."),
]
ModelNames = Annotated[
    str | None,
    typer.Option("--models", metavar="A,B,…", help="Models to run; by default those of HEADRACE_MODELS."),
]
SessionsPerDay = Annotated[
    float,
    typer.Option(
        min=0.001,
        help="Session files have no times: this many sessions make a day; clicks of a session are a second apart.",
    ),
]
FormatName = Annotated[str, typer.Option("--format", "-f", help="jsonl, csv, recbole or trivago.")]
MappingFile = Annotated[
    Path | None, typer.Option("--mapping", "-m", help="Column mapping of the format csv (TOML).")
]
Limit = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Read only the first N rows of the file.")
]
OrderName = Annotated[
    str,
    typer.Option(
        help="`time` sorts the log by event time first (up to 5 million rows); `file` keeps the order of the file."
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class LogOptions:
    """A log and how to read it."""

    log_file: Annotated[Path, typer.Option("--events", metavar="FILE", help="The log; plain or gzip.")]
    format_name: FormatName = "jsonl"
    mapping: MappingFile = None
    limit: Limit = None
    order: OrderName = "time"
