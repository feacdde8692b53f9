"""``headrace topics``: create the topics, compare them with the catalog, list them."""

from dataclasses import dataclass
from typing import Annotated

import typer

from stream_app.tools.cli import schemas
from stream_app.tools.cli.command import add_command

HELP = (
    "Topics on the broker (HEADRACE_BROKER) and their schemas. `headrace topics create` creates the topics."
)
CREATE_HELP = (
    "Create the topics that are missing; existing topics stay as they are.\n\n"
    "The broker is HEADRACE_BROKER. Example: `headrace topics create --partitions 16`."
)
CHECK_HELP = (
    "Compare the topics with the catalog; exit status 1 if any is missing or different.\n\n"
    "The broker is HEADRACE_BROKER; `headrace topics create` creates missing topics. "
    "Example: `headrace topics check`."
)
LIST_HELP = (
    "List the catalog: purpose and key of each topic, and whether it exists on the broker.\n\n"
    "The broker is HEADRACE_BROKER. Example: `headrace topics list`."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateOptions:
    """Size of the created topics."""

    partitions: Annotated[
        int | None,
        typer.Option(min=1, help="Partitions of the created topics; by default HEADRACE_PARTITIONS."),
    ] = None
    replication: Annotated[
        int | None,
        typer.Option(min=1, help="Replicas of each partition; by default HEADRACE_REPLICATION."),
    ] = None


def register(cli: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help=HELP)
    cli.add_typer(group, name="topics")
    add_command(group, "create", "topics:create", CreateOptions, help=CREATE_HELP)
    add_command(group, "check", "topics:check", help=CHECK_HELP)
    add_command(group, "list", "topics:list_topics", help=LIST_HELP)
    schemas.register(group)
