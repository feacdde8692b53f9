"""``headrace policies``: results of the policies, and the split of users between them."""

from dataclasses import dataclass
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command, run_command, with_options

HELP = (
    "Show results of the policies that order lists, and split users between the policies.\n\n"
    "Results are clicks, purchases, revenue and reward per displayed list, by policy, from all workers (topic "
    "`rewards`). A click is an item whose first positive reaction on the list was a click, a cart, a wishlist or a "
    "share. The intervals are confidence sequences over users: they hold at all times, so a comparison may be "
    "stopped as soon as it is clear.\n\n"
    "Results start when the split of users last changed (by `share`, `pause`, `resume` or the guardrail): over a "
    "longer time the policies' lists are from different weeks, and a good week looks like a good policy. `--all` "
    "and `--days` override that.\n\n"
    "Examples: `headrace policies`, `headrace policies share thompson=0.9 fixed=0.1`, "
    "`headrace policies pause linucb`.\n\n"
    "Until a split is published by `share`, each worker uses its own HEADRACE_POLICIES; the value in your shell has "
    "no effect. `pause` and `resume` do not change weights."
)
SHARE_HELP = (
    "Change the split of users in all workers at once.\n\n"
    "Users whose policy keeps its fraction keep their policy.\n\n"
    'Example: `headrace policies share thompson=0.9 fixed=0.1 --note "the test is over"`.'
)
PAUSE_HELP = (
    "Pause policies: their users get the other policies until `headrace policies resume`.\n\n"
    "Example: `headrace policies pause linucb`."
)
RESUME_HELP = (
    "Give paused policies their users again.\n\n"
    "A policy that the guardrail had paused is exempt from the guardrail from now on; one that only an operator had "
    "paused is not.\n\n"
    "Example: `headrace policies resume linucb`."
)

Names = Annotated[
    list[str], typer.Argument(metavar="POLICY…", help="Names, as `headrace policies` shows them.")
]
Note = Annotated[str, typer.Option("--note", help="The reason; workers log it.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowPoliciesOptions:
    """The period of the results, and their format."""

    context: typer.Context
    all_lists: Annotated[
        bool, typer.Option("--all", help="All lists whose rewards Kafka retains, over all splits.")
    ] = False
    days: Annotated[
        float | None,
        typer.Option(min=0, help="Lists of the last N days, over all splits; 0 is --all.", metavar="N"),
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="All results as one JSON document.")] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareOptions:
    """A split of the users."""

    weights: Annotated[
        list[str],
        typer.Argument(metavar="POLICY=WEIGHT…", help="All policies that get users, with their weights."),
    ]
    note: Note = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PauseOptions:
    """Policies to pause or to resume."""

    names: Names
    note: Note = ""


def register(cli: typer.Typer) -> None:
    """Add the group; without a subcommand it shows the results."""
    group = typer.Typer(invoke_without_command=True, help=HELP)
    group.callback()(with_options(ShowPoliciesOptions, _show))
    add_command(group, "share", "policies:share", ShareOptions, help=SHARE_HELP)
    add_command(group, "pause", "policies:pause", PauseOptions, help=PAUSE_HELP)
    add_command(group, "resume", "policies:resume", PauseOptions, help=RESUME_HELP)
    cli.add_typer(group, name="policies")


def _show(options: ShowPoliciesOptions) -> None:
    if options.context.invoked_subcommand is None:
        run_command("policies:show", options)
