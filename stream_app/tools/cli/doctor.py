"""``headrace doctor``: check whether a worker could run here."""

from dataclasses import dataclass
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command
from topics.access import Program

HELP = (
    "Check the broker, the topics, Redis, the disk and the clocks; print a remedy for each problem.\n\n"
    "Each right on Kafka that the program needs is tried; a missing one is printed as arguments of `kafka-acls`. The "
    "exit status is 1 if a check failed; after warnings alone it is 0.\n\n"
    "Examples: `headrace doctor`; `headrace doctor --program web` with the web tier's credentials."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorOptions:
    """Whose rights are checked."""

    program: Annotated[
        Program,
        typer.Option(
            help="The program that uses these settings: a worker with all checks, or another one, of which the "
            "rights on Kafka are checked."
        ),
    ] = Program.WORKER


def register(cli: typer.Typer) -> None:
    """Add the command."""
    add_command(cli, "doctor", "doctor:run", DoctorOptions, help=HELP)
