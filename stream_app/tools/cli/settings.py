"""``headrace settings``: list every setting."""

import typer

from stream_app.tools.cli.command import add_command

HELP = (
    "List every setting: its variable, its current value, its meaning.\n\n"
    "Settings come from HEADRACE_* variables. Example: `HEADRACE_LIST_LENGTH=20 headrace settings`."
)


def register(cli: typer.Typer) -> None:
    """Add the command."""
    add_command(cli, "settings", "settings:run", help=HELP)
