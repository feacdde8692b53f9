"""``headrace policies``: how the policies do, and how shoppers are split between them."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stream_app.policy_control import PolicyLog

Names = Annotated[
    list[str], typer.Argument(metavar="POLICY…", help="Names, as `headrace policies` shows them.")
]
Note = Annotated[str, typer.Option("--note", help="Why; workers write it to their log.")]


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        invoke_without_command=True,
        help="Show how the policies that order lists do, and split shoppers between them. Examples: "
        "`headrace policies`, `headrace policies share thompson=0.9 fixed=0.1`, `headrace policies rest linucb`.",
    )
    group.callback()(show)
    group.command("share")(share)
    group.command("rest")(rest)
    group.command("resume")(resume)
    cli.add_typer(group, name="policies")


def show(
    context: typer.Context,
    *,
    days: Annotated[
        float,
        typer.Option(min=0, help="Only rewards of the last so many days; 0 takes all that Kafka keeps."),
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="All figures as one JSON document.")] = False,
) -> None:
    """Show clicks, purchases, revenue and reward per list seen, by policy, with intervals.

    The intervals are confidence sequences by shopper: they hold at any time one looks, so one may stop a comparison
    whenever it is clear. Figures are of the `rewards` topic, of all workers.
    """
    if context.invoked_subcommand is not None:
        return
    import json  # noqa: PLC0415
    import time  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415

    log = _log()
    since = time.time() - days * 86_400.0 if days else 0.0
    said, comparison = log.said(), log.comparison(since, Console(stderr=True))
    if as_json:
        typer.echo(json.dumps(log.document(said, comparison), indent=2))
        return
    from stream_app.policy_table import policy_table  # noqa: PLC0415

    Console().print(policy_table(said, comparison, log.settings.control_policy))
    by_guard = sorted(said.resting - set(said.operator.resting))
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
    from stream_app.policy_control import parse_weights  # noqa: PLC0415

    given = parse_weights(weights)
    log = _log()
    log.say(log.said().operator, weights=given, note=note)
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
    """Give policies their shoppers back; the guard leaves them alone from now on."""
    _change(names, note, at_rest=False)
    typer.echo(f"{', '.join(names)}: resumed.")


def _change(names: list[str], note: str, *, at_rest: bool) -> None:
    from stream_app.policy_control import require_known  # noqa: PLC0415

    log = _log()
    said = log.said()
    require_known(said, names)
    named, operator = set(names), said.operator
    resting, trusted = set(operator.resting) - named, set(operator.trusted) - named
    (resting if at_rest else trusted).update(named)
    log.say(operator, resting=tuple(sorted(resting)), trusted=tuple(sorted(trusted)), note=note)


def _log() -> "PolicyLog":
    from stream_app.policy_control import PolicyLog  # noqa: PLC0415
    from stream_app.settings import load_settings  # noqa: PLC0415

    return PolicyLog(load_settings())
