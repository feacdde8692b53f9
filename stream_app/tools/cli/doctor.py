"""``headrace doctor``: check whether a worker could run here."""

import typer

from stream_app.tools.cli.command import add_command

HELP = (
    "Check the broker, the topics, Redis, the disk and the clocks; print a remedy for each problem.\n\n"
    "Reads HEADRACE_BROKER, HEADRACE_REDIS and HEADRACE_DATA_DIR. The exit status is 1 if a check failed; after "
    "warnings alone it is 0.\n\n"
    "Example: `headrace doctor`."
)


def register(cli: typer.Typer) -> None:
    """Add the command."""
    add_command(cli, "doctor", "doctor:run", help=HELP)
