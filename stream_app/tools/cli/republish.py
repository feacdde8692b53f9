"""``headrace republish``: make all workers publish every list again."""

from dataclasses import dataclass
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command

HELP = (
    "Make all workers publish every list again, the most recently active users first.\n\n"
    "Workers do this by themselves when Redis was emptied or replaced. Use the command when lists in Redis are wrong "
    "or missing for another reason: keys were deleted by hand, settings of the lists changed. "
    "The lists in Redis stay until they are replaced. Fresh events come first; each worker publishes at most "
    "HEADRACE_REPUBLISH_RATE users per second.\n\n"
    "The command shows the progress and ends when all lists are there; Ctrl-C ends the display, not the work. It "
    "needs HEADRACE_REDIS, and at least one running worker.\n\n"
    "Examples: `headrace republish`; `headrace republish --no-wait` in a script."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RepublishOptions:
    """Whether and how long to wait for the workers."""

    wait: Annotated[
        bool,
        typer.Option("--wait/--no-wait", help="Wait until all lists are published, and show the progress."),
    ] = True
    timeout: Annotated[
        float,
        typer.Option(
            min=1.0, help="Seconds without a sign of a running worker after which the command gives up."
        ),
    ] = 15.0


def register(cli: typer.Typer) -> None:
    """Add the command."""
    add_command(cli, "republish", "republish:run", RepublishOptions, help=HELP)
