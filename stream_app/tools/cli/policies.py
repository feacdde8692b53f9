"""``headrace policies``: how the policies do, and how shoppers are split between them."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stream_app.tools.policy_control import PolicyLog

Names = Annotated[
    list[str], typer.Argument(metavar="POLICY…", help="Names, as `headrace policies` shows them.")
]
Note = Annotated[str, typer.Option("--note", help="Why; workers write it to their log.")]

HELP = (
    "Show how the policies that order lists do, and split shoppers between them.\n\n"
    "Shown are clicks, purchases, revenue and reward per list seen, by policy, of all workers (topic `rewards`). A "
    "click is an item whose first good reaction on the list was a click, a cart, a wishlist or a share. The "
    "intervals are confidence sequences by shopper: they hold at any time one looks, so one may stop a comparison "
    "whenever it is clear.\n\n"
    "Figures are of the lists published since the split of shoppers last changed (by `share`, `rest`, `resume` or "
    "the guard): over a longer time policies had their lists in different weeks, and a good week would pass for a "
    "good policy. `--all` and `--days` show that all the same.\n\n"
    "Examples: `headrace policies`, `headrace policies share thompson=0.9 fixed=0.1`, "
    "`headrace policies rest linucb`.\n\n"
    "Until somebody says a split by `share`, each worker goes by its own HEADRACE_POLICIES; that of your shell is "
    "not taken for it. `rest` and `resume` leave weights as they are."
)


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        invoke_without_command=True,
        help=HELP,
    )
    group.callback()(show)
    group.command("share")(share)
    group.command("rest")(rest)
    group.command("resume")(resume)
    cli.add_typer(group, name="policies")


def show(
    context: typer.Context,
    *,
    everything: Annotated[
        bool,
        typer.Option("--all", help="All lists that Kafka keeps rewards of, however shoppers were split."),
    ] = False,
    days: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Lists of the last so many days, however shoppers were split; 0 is as --all.",
            metavar="N",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All figures as one JSON document.")] = False,
) -> None:
    """Show how the policies do."""
    if context.invoked_subcommand is not None:
        return
    if everything and days is not None:
        raise typer.BadParameter("--all and --days exclude each other")
    import json  # noqa: PLC0415
    import time  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415

    log = _log()
    said = log.said()
    since = said.since
    if everything or days is not None:
        since = time.time() - days * 86_400.0 if days else 0.0
    comparison = log.comparison(since, Console(stderr=True))
    if as_json:
        typer.echo(json.dumps(log.document(said, comparison), indent=2))
        return
    from stream_app.tools.policy_table import policy_table  # noqa: PLC0415

    console = Console()
    table, left_out = policy_table(said, comparison, log.settings.control_policy, console)
    typer.echo(_period(since, said.since))
    console.print(table)
    typer.echo("Clicks: items whose first good reaction was a click, a cart, a wishlist or a share.")
    if left_out:
        typer.echo(f"Too narrow for {', '.join(left_out)}: widen the terminal, or see --json.")
    if not said.operator.weights:
        local = ", ".join(f"{name}={weight:g}" for name, weight in sorted(log.settings.policies.items()))
        typer.echo(
            "No `share` was said yet: workers split shoppers by their own HEADRACE_POLICIES "
            f"(in this shell: {local})."
        )
    by_guard = sorted(said.by_guard - set(said.operator.resting))
    if by_guard:
        typer.echo(f"At rest by the guard: {', '.join(by_guard)} (`headrace policies resume` undoes it).")
    if not any(each.shown for each in comparison.policies.values()):
        typer.echo(
            "No impressions are known: figures are per list that somebody reacted to, which says little, and the "
            "guard stands still. Send events.impression with the list_id of lists that were on the screen."
        )


def share(
    weights: Annotated[
        list[str],
        typer.Argument(metavar="POLICY=WEIGHT…", help="All policies that are to get shoppers, by weight."),
    ],
    *,
    note: Note = "",
) -> None:
    """Split shoppers anew, in all workers, at once; shoppers whose policy keeps its place keep their policy.

    Example: `headrace policies share thompson=0.9 fixed=0.1 --note "the test is over"`.
    """
    from stream_app.tools.policy_control import parse_weights  # noqa: PLC0415

    given = parse_weights(weights)
    log = _log()
    log.say(log.said(), weights=given, note=note)
    foreign = sorted(set(given) - set(log.settings.policies))
    if foreign:
        typer.echo(
            f"Note: HEADRACE_POLICIES here has no {', '.join(foreign)}; "
            "workers that do not run a policy give it nobody."
        )
    typer.echo("Said; workers follow within a second.")


def rest(names: Names, *, note: Note = "") -> None:
    """Put policies to rest: their shoppers go to the others until `headrace policies resume`."""
    _change(names, note, at_rest=True)
    typer.echo(f"{', '.join(names)}: at rest.")


def resume(names: Names, *, note: Note = "") -> None:
    """Give policies their shoppers back.

    Those that the guard has put to rest it leaves alone from now on; those that an operator alone has, it may put to
    rest again.
    """
    _change(names, note, at_rest=False)
    typer.echo(f"{', '.join(names)}: resumed.")


def _period(since: float, split: float) -> str:
    """One line that says of which time the figures are, and whether policies can be compared by them."""
    if since == split:
        if not split:
            return "Of all that Kafka keeps: no command has changed the split yet."
        return f"Since {_told(split)}, when the split last changed; `--all` takes all that Kafka keeps."
    told = f"Since {_told(since)}" if since else "Of all that Kafka keeps"
    if since > split:
        return f"{told}."
    return f"{told}. The split changed on {_told(split)}: policies had their lists at different times."


def _told(ts: float) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415

    return datetime.fromtimestamp(ts, UTC).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def _change(names: list[str], note: str, *, at_rest: bool) -> None:
    from stream_app.tools.policy_control import require_known  # noqa: PLC0415

    require_known(names)
    log = _log()
    said = log.said()
    named, operator = set(names), said.operator
    resting, trusted = set(operator.resting), set(operator.trusted)
    if at_rest:
        resting, trusted = resting | named, trusted - named
    else:
        # of what it has said nothing of, the guard is yet to be heard
        resting, trusted = resting - named, trusted | (named & said.by_guard)
    log.say(said, resting=tuple(sorted(resting)), trusted=tuple(sorted(trusted)), note=note)


def _log() -> "PolicyLog":
    from stream_app.settings import load_settings  # noqa: PLC0415
    from stream_app.tools.policy_control import PolicyLog  # noqa: PLC0415

    return PolicyLog(load_settings())
