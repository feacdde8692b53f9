"""Output of the commands on a terminal or into a pipe."""

import sys
from collections.abc import Callable
from typing import Final

import typer
from rich.console import Console
from rich.table import Table

from stream_app.errors import UserError
from stream_app.tools.progress import OpenProgress, progress_bars

TABLE_WIDTH: Final = 150
"""Largest width of a table in columns."""

_PIPE_WIDTH: Final = 240


def open_progress() -> OpenProgress:
    """Progress bars on standard error, so that standard output can go into a pipe."""
    return progress_bars(Console(stderr=True))


def print_table(table: Table) -> None:
    """Print a table; in a pipe or file its lines are not wrapped."""
    console = Console()
    # a narrow terminal wraps the lines, which loses nothing
    console.width = max(console.width, TABLE_WIDTH) if sys.stdout.isatty() else _PIPE_WIDTH
    console.print(table, soft_wrap=True)


def run_script(script: Callable[..., None], name: str) -> None:
    """Run a function by typer; a `UserError` is printed as one sentence after the name, with exit status 1."""
    try:
        typer.run(script)
    except UserError as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
