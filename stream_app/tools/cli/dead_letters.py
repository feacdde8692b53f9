"""``headrace dead-letters``: show rejected records and replay them."""

from dataclasses import dataclass
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command, run_command, with_options

HELP = (
    "Show rejected records, the newest last, and their count by reason; replay them.\n\n"
    "\b\nExamples:\n"
    "  headrace dead-letters --reason future_timestamp\n"
    "  headrace dead-letters replay --topic events.click\n\n"
    "The broker is HEADRACE_BROKER."
)
REPLAY_HELP = (
    "Send the original records to their topics again, with their keys.\n\n"
    "Replay after the cause is removed: a setting, a version of Headrace, a wrong clock. A record that is still "
    "invalid becomes a dead letter again; one that was accepted meanwhile is a duplicate and changes nothing. "
    "Records of users who were erased after them are skipped.\n\n"
    "Example: `headrace dead-letters replay --reason future_timestamp`."
)

Reason = Annotated[str | None, typer.Option("--reason", help="Only records rejected for this reason.")]
Topic = Annotated[str | None, typer.Option("--topic", help="Only records that came from this topic.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowLettersOptions:
    """Which dead letters to show, and how."""

    context: typer.Context
    reason: Reason = None
    topic: Topic = None
    limit: Annotated[int, typer.Option(min=0, help="Show the newest N; 0 shows all.", metavar="N")] = 20
    follow: Annotated[bool, typer.Option("--follow", help="Continue with new dead letters until Ctrl-C.")] = (
        False
    )
    as_json: Annotated[bool, typer.Option("--json", help="Print one untruncated JSON document per line.")] = (
        False
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayLettersOptions:
    """Which dead letters to replay."""

    reason: Reason = None
    topic: Topic = None
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False


def register(cli: typer.Typer) -> None:
    """Add the group; without a subcommand it shows the dead letters."""
    group = typer.Typer(invoke_without_command=True, help=HELP)
    group.callback()(with_options(ShowLettersOptions, _show))
    add_command(group, "replay", "dead_letters:replay_letters", ReplayLettersOptions, help=REPLAY_HELP)
    cli.add_typer(group, name="dead-letters")


def _show(options: ShowLettersOptions) -> None:
    if options.context.invoked_subcommand is None:
        run_command("dead_letters:show", options)
    elif options.reason is not None or options.topic is not None:
        # Ignored, they would replay more records than meant.
        raise typer.BadParameter("--reason and --topic of replay come after it")
