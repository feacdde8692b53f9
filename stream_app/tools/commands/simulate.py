"""``headrace simulate``: run and exit with the status of the run."""

import typer
from rich.console import Console

from stream_app.tools.simulator.simulation_options import SimulationOptions
from stream_app.tools.simulator.simulation_runner import run_simulation


def run(options: SimulationOptions) -> None:
    """Run on the terminal."""
    raise typer.Exit(run_simulation(options, Console()))
