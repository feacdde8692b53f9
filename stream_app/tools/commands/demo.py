"""``headrace demo``: run and exit with the status of the run."""

import typer
from rich.console import Console

from stream_app.tools.demo.demo_options import DemoOptions
from stream_app.tools.demo.runner import run_demo


def run(options: DemoOptions) -> None:
    """Run on the terminal."""
    raise typer.Exit(run_demo(options, Console()))
