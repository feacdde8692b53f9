"""Show results of the policies, and publish assignments of users."""

import json
import time
from datetime import UTC, datetime

import typer
from rich.console import Console

from stream_app.experiment.comparison import PolicyComparison
from stream_app.experiment.control import ControlState
from stream_app.settings import Settings, load_settings
from stream_app.tools.cli.policies import PauseOptions, ShareOptions, ShowPoliciesOptions
from stream_app.tools.policy_control import PolicyControlClient, parse_weights, require_policies
from stream_app.tools.policy_table import policy_table

_SECONDS_PER_DAY = 86_400.0


def show(options: ShowPoliciesOptions) -> None:
    """Print the results as a table with notes, or as JSON."""
    if options.all_lists and options.days is not None:
        raise typer.BadParameter("--all and --days exclude each other")
    client = PolicyControlClient(load_settings())
    control_state = client.control_state()
    since = control_state.effective_time
    if options.all_lists or options.days is not None:
        since = max(0.0, time.time() - options.days * _SECONDS_PER_DAY) if options.days else 0.0
    comparison = client.comparison(since, Console(stderr=True))
    if options.as_json:
        typer.echo(json.dumps(client.document(control_state, comparison), indent=2))
        return
    console = Console()
    table, omitted = policy_table(control_state, comparison, client.settings.control_policy, console)
    typer.echo(_period_line(since, control_state.effective_time))
    console.print(table)
    for note in _notes(control_state, comparison, client.settings, omitted):
        typer.echo(note)


def share(options: ShareOptions) -> None:
    """Publish weights."""
    weights = parse_weights(options.weights)
    client = PolicyControlClient(load_settings())
    client.publish(client.control_state(), weights=weights, note=options.note)
    not_configured = sorted(set(weights) - set(client.settings.policies))
    if not_configured:
        typer.echo(
            f"Note: HEADRACE_POLICIES here has no {', '.join(not_configured)}; "
            "a worker that does not run a policy gives it no users."
        )
    typer.echo("Published; workers follow within a second.")


def pause(options: PauseOptions) -> None:
    """Pause policies, exempt ones too."""
    require_policies(options.names)
    client = PolicyControlClient(load_settings())
    control_state = client.control_state()
    selected, operator = set(options.names), control_state.operator
    client.publish(
        control_state,
        paused=tuple(sorted(selected.union(operator.paused))),
        guardrail_exempt=tuple(sorted(set(operator.guardrail_exempt) - selected)),
        note=options.note,
    )
    typer.echo(f"{', '.join(options.names)}: paused.")


def resume(options: PauseOptions) -> None:
    """Resume policies; those that the guardrail had paused become exempt."""
    require_policies(options.names)
    client = PolicyControlClient(load_settings())
    control_state = client.control_state()
    selected, operator = set(options.names), control_state.operator
    # exempt only from pauses that have happened: the guardrail must still be able to pause the others
    newly_exempt = selected & control_state.paused_by_guardrail
    client.publish(
        control_state,
        paused=tuple(sorted(set(operator.paused) - selected)),
        guardrail_exempt=tuple(sorted(newly_exempt.union(operator.guardrail_exempt))),
        note=options.note,
    )
    typer.echo(f"{', '.join(options.names)}: resumed.")


def _period_line(since: float, split: float) -> str:
    """The period of the results, with a warning where the split changed within it."""
    if since == split:
        if not split:
            return "All lists that Kafka retains: no command has changed the split yet."
        return (
            f"Since {_format_time(split)}, when the split last changed; "
            "`--all` includes all lists that Kafka retains."
        )
    period = f"Since {_format_time(since)}" if since else "All lists that Kafka retains"
    if since > split:
        return f"{period}."
    return (
        f"{period}. The split changed on {_format_time(split)}: the policies' lists are of different times."
    )


def _notes(
    control_state: ControlState, comparison: PolicyComparison, settings: Settings, omitted: list[str]
) -> list[str]:
    notes = ["Clicks: items whose first positive reaction was a click, a cart, a wishlist or a share."]
    if omitted:
        notes.append(f"Too narrow for {', '.join(omitted)}: widen the terminal, or see --json.")
    if not control_state.operator.weights:
        local = ", ".join(f"{name}={weight:g}" for name, weight in sorted(settings.policies.items()))
        notes.append(
            "No split was published by `share`: workers split users by their own HEADRACE_POLICIES "
            f"(in this shell: {local})."
        )
    paused = sorted(control_state.paused_by_guardrail - set(control_state.operator.paused))
    if paused:
        notes.append(
            f"Paused by the guardrail: {', '.join(paused)} (`headrace policies resume` resumes them)."
        )
    if not any(each.lists_with_impression for each in comparison.policies.values()):
        notes.append(
            "No impressions are known: results are per list with a reaction, which is of little use, and the "
            "guardrail is off. Send events.impression with the list_id of displayed lists."
        )
    return notes


def _format_time(ts: float) -> str:
    """A local time, or the number if it is beyond the calendar: any client may write to the control topic."""
    try:
        return datetime.fromtimestamp(ts, UTC).astimezone().strftime("%Y-%m-%d %H:%M %Z")
    except (ValueError, OverflowError, OSError):
        return str(ts)
