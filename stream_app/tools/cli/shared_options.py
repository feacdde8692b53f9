"""Options that ``headrace demo`` and ``headrace simulate`` share."""

from pathlib import Path
from typing import Annotated

import typer

Seed = Annotated[int, typer.Option(min=0, help="Of everything that chance plays a part in.")]
Workers = Annotated[int, typer.Option(min=1, max=64, help="Worker processes that it starts.")]
OptionalReportFile = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Write the figures as JSON in the end.")
]
