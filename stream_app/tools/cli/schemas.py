"""``headrace topics schema``: print the documents that describe the records on Kafka."""

from dataclasses import dataclass
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command

HELP = (
    "Print the JSON Schema of an event or record, or the AsyncAPI document of all topics.\n\n"
    "Examples: `headrace topics schema click`, `headrace topics schema asyncapi`."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SchemaOptions:
    """Which document, and where it goes."""

    name: Annotated[
        str | None,
        typer.Argument(
            help="An event or record (click, purchase, …) or `asyncapi`; without it, all are listed."
        ),
    ] = None
    write: Annotated[
        bool, typer.Option("--write", help="Write all documents into the `topics` folder of a checkout.")
    ] = False


def register(topics_cli: typer.Typer) -> None:
    """Add the command to the ``topics`` group."""
    add_command(topics_cli, "schema", "schemas:run", SchemaOptions, help=HELP)
