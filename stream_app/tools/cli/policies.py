"""``headrace policies``: how the policies do, and how shoppers are split between them."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stream_app.tools.policy_control import PolicyControlClient

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
    "Figures are of the lists published since the split of shoppers last changed (by `share`, `pause`, `resume` or "
    "the guard): over a longer time policies had their lists in different weeks, and a good week would pass for a "
    "good policy. `--all` and `--days` show that all the same.\n\n"
    "Examples: `headrace policies`, `headrace policies share thompson=0.9 fixed=0.1`, "
    "`headrace policies pause linucb`.\n\n"
    "Until somebody says a split by `share`, each worker goes by its own HEADRACE_POLICIES; that of your shell is "
    "not taken for it. `pause` and `resume` leave weights as they are."
)


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        invoke_without_command=True,
        help=HELP,
    )
    group.callback()(show)
    group.command("share")(share)
    group.command("pause")(pause)
    group.command("resume")(resume)
    cli.add_typer(group, name="policies")


def show(
    context: typer.Context,
    *,
    all_lists: Annotated[
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
    if all_lists and days is not None:
        raise typer.BadParameter("--all and --days exclude each other")
    import json  # noqa: PLC0415
    import time  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415

    client = _client()
    control_state = client.control_state()
    since = control_state.effective_time
    if all_lists or days is not None:
        since = time.time() - days * 86_400.0 if days else 0.0
    comparison = client.comparison(since, Console(stderr=True))
    if as_json:
        typer.echo(json.dumps(client.document(control_state, comparison), indent=2))
        return
    from stream_app.tools.policy_table import policy_table  # noqa: PLC0415

    console = Console()
    table, omitted = policy_table(control_state, comparison, client.settings.control_policy, console)
    typer.echo(_period_line(since, control_state.effective_time))
    console.print(table)
    typer.echo("Clicks: items whose first good reaction was a click, a cart, a wishlist or a share.")
    if omitted:
        typer.echo(f"Too narrow for {', '.join(omitted)}: widen the terminal, or see --json.")
    if not control_state.operator.weights:
        local = ", ".join(f"{name}={weight:g}" for name, weight in sorted(client.settings.policies.items()))
        typer.echo(
            "No `share` was said yet: workers split shoppers by their own HEADRACE_POLICIES "
            f"(in this shell: {local})."
        )
    paused_by_guardrail = sorted(control_state.paused_by_guardrail - set(control_state.operator.paused))
    if paused_by_guardrail:
        typer.echo(
            f"Paused by the guardrail: {', '.join(paused_by_guardrail)} (`headrace policies resume` undoes it)."
        )
    if not any(each.lists_with_impression for each in comparison.policies.values()):
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

    parsed_weights = parse_weights(weights)
    client = _client()
    client.publish(client.control_state(), weights=parsed_weights, note=note)
    not_configured = sorted(set(parsed_weights) - set(client.settings.policies))
    if not_configured:
        typer.echo(
            f"Note: HEADRACE_POLICIES here has no {', '.join(not_configured)}; "
            "workers that do not run a policy give it nobody."
        )
    typer.echo("Said; workers follow within a second.")


def pause(names: Names, *, note: Note = "") -> None:
    """Put policies to rest: their shoppers go to the others until `headrace policies resume`."""
    _publish_change(names, note, paused_policies=True)
    typer.echo(f"{', '.join(names)}: paused.")


def resume(names: Names, *, note: Note = "") -> None:
    """Give policies their shoppers back.

    Those that the guard has put to rest it leaves alone from now on; those that an operator alone has, it may put to
    rest again.
    """
    _publish_change(names, note, paused_policies=False)
    typer.echo(f"{', '.join(names)}: resumed.")


def _period_line(since: float, split: float) -> str:
    """One line that says of which time the figures are, and whether policies can be compared by them."""
    if since == split:
        if not split:
            return "Of all that Kafka keeps: no command has changed the split yet."
        return (
            f"Since {_format_time(split)}, when the split last changed; `--all` takes all that Kafka keeps."
        )
    period = f"Since {_format_time(since)}" if since else "Of all that Kafka keeps"
    if since > split:
        return f"{period}."
    return (
        f"{period}. The split changed on {_format_time(split)}: policies had their lists at different times."
    )


def _format_time(ts: float) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415

    return datetime.fromtimestamp(ts, UTC).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def _publish_change(names: list[str], note: str, *, paused_policies: bool) -> None:
    from stream_app.tools.policy_control import require_policies  # noqa: PLC0415

    require_policies(names)
    client = _client()
    control_state = client.control_state()
    selected, operator = set(names), control_state.operator
    paused, guardrail_exempt = set(operator.paused), set(operator.guardrail_exempt)
    if paused_policies:
        paused, guardrail_exempt = paused | selected, guardrail_exempt - selected
    else:
        # of what it has said nothing of, the guard is yet to be heard
        paused, guardrail_exempt = (
            paused - selected,
            guardrail_exempt | (selected & control_state.paused_by_guardrail),
        )
    client.publish(
        control_state,
        paused=tuple(sorted(paused)),
        guardrail_exempt=tuple(sorted(guardrail_exempt)),
        note=note,
    )


def _client() -> "PolicyControlClient":
    from stream_app.settings import load_settings  # noqa: PLC0415
    from stream_app.tools.policy_control import PolicyControlClient  # noqa: PLC0415

    return PolicyControlClient(load_settings())
