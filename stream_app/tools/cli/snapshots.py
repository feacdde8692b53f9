"""``headrace snapshots``: list, verify and restore the snapshots of the models."""

from dataclasses import dataclass
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command

HELP = (
    "Snapshots of the models in the store (HEADRACE_MODEL_STORE, by default `models` in HEADRACE_DATA_DIR).\n\n"
    "Examples: `headrace snapshots list`; `headrace snapshots verify`."
)
LIST_HELP = (
    "List the snapshots, newest first: time, size, format, configuration of the models, positions in the logs.\n\n"
    "The configuration is a fingerprint of the models and their hyperparameters; that of the current settings is "
    "marked. The store is HEADRACE_MODEL_STORE. Example: `headrace snapshots list`."
)
VERIFY_HELP = (
    "Read all snapshots completely; exit status 1 if any is damaged.\n\n"
    "The store is HEADRACE_MODEL_STORE. Example: `headrace snapshots verify`."
)
RESTORE_HELP = (
    "Make a snapshot the newest one, by a copy with a new number.\n\n"
    "Workers load it at their next start and catch up with the log from there; running workers are not changed, and "
    "what they write meanwhile stays older. The store is HEADRACE_MODEL_STORE.\n\n"
    "Example: `headrace snapshots restore models-0000-0000000123-8a41f3c2d0-5be1f00d.snapshot`."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreOptions:
    """The snapshot to restore."""

    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Name of the snapshot, as `headrace snapshots list` prints it."),
    ]


def register(cli: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help=HELP)
    cli.add_typer(group, name="snapshots")
    add_command(group, "list", "snapshots:list_snapshots", help=LIST_HELP)
    add_command(group, "verify", "snapshots:verify", help=VERIFY_HELP)
    add_command(group, "restore", "snapshots:restore", RestoreOptions, help=RESTORE_HELP)
