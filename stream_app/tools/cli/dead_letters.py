"""``headrace dead-letters``: show the records that could not be taken, and send them back."""

import json
import sys
from collections import Counter, deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from topics.records import DeadLetter

Reason = Annotated[str | None, typer.Option("--reason", help="Only those rejected for this reason.")]
Topic = Annotated[str | None, typer.Option("--topic", help="Only those that came from this topic.")]


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        invoke_without_command=True,
        help="Show the records that could not be taken; send them back. "
        "Examples: `headrace dead-letters --reason future_timestamp`, `headrace dead-letters replay`.",
    )
    group.callback()(show)
    group.command("replay")(replay_letters)
    cli.add_typer(group, name="dead-letters")


def show(
    context: typer.Context,
    reason: Reason = None,
    topic: Topic = None,
    *,
    limit: Annotated[int, typer.Option(min=0, help="Show the newest so many; 0 shows all.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new ones until ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document a line, whole.")] = False,
) -> None:
    """Show the dead letters, the newest last, and how many there are by reason.

    Examples: `headrace dead-letters --reason future_timestamp`, `headrace dead-letters replay`.
    """
    if context.invoked_subcommand is not None:
        if reason is not None or topic is not None:
            # Passed over, they would send back more than was meant.
            raise typer.BadParameter("--reason and --topic of replay come after it")
        return
    from stream_app.settings import load_settings  # noqa: PLC0415
    from stream_app.tools.dead_letter_log import DeadLetterLog, select  # noqa: PLC0415

    selection = select(reason=reason, topic=topic)
    counts: Counter[str] = Counter()
    newest_letters: deque[DeadLetter] = deque(maxlen=limit or None)
    with DeadLetterLog(load_settings().broker) as log:
        for letter in log.read():
            if letter in selection:
                counts[letter.reason] += 1
                newest_letters.append(letter)
        _print_letters(newest_letters, as_json=as_json)
        if not as_json:
            _print_summary(counts, n_displayed=len(newest_letters), n_invalid=log.n_invalid)
        if follow:
            for letter in log.follow():
                if letter in selection:
                    _print_letters([letter], as_json=as_json)


def replay_letters(
    reason: Reason = None,
    topic: Topic = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
) -> None:
    """Send the original records back to their topics, with their keys.

    Useful once what rejected them has been put right: a setting, a version of Headrace, the clock. A
    record that is still unfit becomes a dead letter again; one that was taken meanwhile is a duplicate
    and changes nothing.
    """
    from stream_app.errors import UserError  # noqa: PLC0415
    from stream_app.settings import load_settings  # noqa: PLC0415
    from stream_app.tools.dead_letter_log import DeadLetterLog, DeadLetterReplayer, replay, select  # noqa: PLC0415

    selection = select(reason=reason, topic=topic)
    broker = load_settings().broker
    with DeadLetterLog(broker) as log:
        counts = Counter(letter.topic for letter in log.read() if letter in selection)
        if not counts:
            typer.echo("No dead letters to send back.")
            return
        destinations = ", ".join(f"{count} to {name}" for name, count in sorted(counts.items()))
        if not yes:
            if not is_interactive():
                raise UserError(f"{destinations} would be sent back; --yes does so without asking.")
            typer.confirm(f"Send {destinations} back to {broker}?", abort=True)
        with DeadLetterReplayer(broker) as sender:
            sent = replay((letter for letter in log.read() if letter in selection), sender)
    typer.echo(f"Sent back {sent}: {destinations}.")


def is_interactive() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin.isatty()


def _print_letters(letters: Iterable["DeadLetter"], *, as_json: bool) -> None:
    if as_json:
        import msgspec  # noqa: PLC0415

        for letter in letters:
            # ASCII only: what is in a detail may steer a terminal, too.
            typer.echo(json.dumps(msgspec.to_builtins(letter)))
        return
    listed = list(letters)
    if listed:
        _print_table(letters_table(listed))


def _print_summary(counts: Counter[str], *, n_displayed: int, n_invalid: int) -> None:
    total = counts.total()
    if not total:
        typer.echo("No dead letters.")
    else:
        typer.echo(f"\n{total} dead letters, {n_displayed} shown:")
        for reason, count in counts.most_common():
            typer.echo(f"{count:8}  {reason}")
    if n_invalid:
        typer.echo(f"{n_invalid} records on the topic are no dead letters and were passed over.")


def letters_table(letters: Iterable["DeadLetter"]) -> "Table":
    """Dead letters as a table for the terminal; nothing in them can steer it."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from stream_app.tools.dead_letter_log import format_time, preview, printable  # noqa: PLC0415

    rows = Table("time", "record", "reason", "key", "detail, then the value", box=None, pad_edge=False)
    for column in rows.columns[:3]:
        column.no_wrap = True
    for column in rows.columns[3:]:
        column.overflow = "fold"
    for letter in letters:
        rows.add_row(
            Text(format_time(letter.timestamp)),
            Text(f"{printable(letter.topic)}[{letter.partition}]@{letter.offset}"),
            Text(printable(letter.reason), style="yellow"),
            Text(preview(letter.key, 40)),
            Text.assemble(printable(letter.detail), "\n", (preview(letter.value), "dim")),
        )
    return rows


def _print_table(rows: "Table") -> None:
    from rich.console import Console  # noqa: PLC0415

    # Into a pipe or file nothing is folded to a terminal's width.
    console = Console() if sys.stdout.isatty() else Console(width=240)
    console.print(rows)
