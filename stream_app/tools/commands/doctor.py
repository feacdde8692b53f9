"""Run the checks of `stream_app.tools.diagnostics` and print their results."""

import typer

from stream_app.settings import load_settings
from stream_app.tools.check_result import CheckStatus
from stream_app.tools.cli.doctor import DoctorOptions
from stream_app.tools.diagnostics import run_checks

_COLORS = {CheckStatus.OK: "green", CheckStatus.WARN: "yellow", CheckStatus.FAIL: "red"}


def run(options: DoctorOptions) -> None:
    """Print each result as soon as it is known; exit status 1 if a check failed."""
    failed = False
    for result in run_checks(load_settings(), options.program):
        label, rest = str(result)[:4], str(result)[4:]
        typer.echo(typer.style(label, fg=_COLORS[result.status], bold=True) + rest)
        failed = failed or result.status is CheckStatus.FAIL
    raise typer.Exit(int(failed))
