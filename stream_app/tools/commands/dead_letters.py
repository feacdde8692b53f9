"""Show dead letters and replay them."""

import json
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream_app.errors import UserError
from stream_app.settings import load_settings
from stream_app.tools.cli.dead_letters import ReplayLettersOptions, ShowLettersOptions
from stream_app.tools.dead_letter_log import DeadLetterLog, DeadLetterReplayer, read_erasures
from stream_app.tools.dead_letter_selection import (
    is_erased,
    is_replayable,
    preview,
    printable,
    replay,
    select,
)
from topics.events import format_time
from topics.records import DeadLetter

_PIPE_WIDTH = 240


def show(options: ShowLettersOptions) -> None:
    """Print the newest dead letters and the counts by reason; follow new ones if asked."""
    selection = select(reason=options.reason, topic=options.topic)
    counts: Counter[str] = Counter()
    newest_letters: deque[DeadLetter] = deque(maxlen=options.limit or None)
    with DeadLetterLog(load_settings().kafka) as log:
        for letter in log.read():
            if letter in selection:
                counts[letter.reason] += 1
                newest_letters.append(letter)
        _print_letters(newest_letters, as_json=options.as_json)
        if not options.as_json:
            _print_summary(counts, n_displayed=len(newest_letters), n_invalid=log.n_invalid)
        if options.follow:
            for letter in log.follow():
                if letter in selection:
                    _print_letters([letter], as_json=options.as_json)


def replay_letters(options: ReplayLettersOptions) -> None:
    """Send the selected originals to their topics, after a confirmation; not those of users erased since.

    Raises
    ------
    UserError
        If there is no terminal to confirm on, and no ``--yes``.
    """
    selection = select(reason=options.reason, topic=options.topic)
    broker = load_settings().kafka
    erasures = read_erasures(broker)
    with DeadLetterLog(broker) as log:

        def selected() -> Iterator[DeadLetter]:
            return (each for each in log.read() if each in selection and is_replayable(each))

        counts = Counter(letter.topic for letter in selected() if not is_erased(letter, erasures))
        if n_erased := sum(is_erased(letter, erasures) for letter in selected()):
            typer.echo(f"Skipping {n_erased} of users who were erased since.")
        if not counts:
            typer.echo("No dead letters to replay.")
            return
        destinations = ", ".join(f"{count} to {name}" for name, count in sorted(counts.items()))
        if not options.yes:
            if not is_interactive():
                raise UserError(
                    f"{destinations} would be replayed; give --yes to replay without confirmation."
                )
            typer.confirm(f"Replay {destinations} on {broker}?", abort=True)
        with DeadLetterReplayer(broker) as sender:
            sent = replay((each for each in selected() if not is_erased(each, erasures)), sender)
    typer.echo(f"Replayed {sent}: {destinations}.")


def is_interactive() -> bool:
    """Whether standard input is a terminal."""
    return sys.stdin.isatty()


def _print_letters(letters: Iterable[DeadLetter], *, as_json: bool) -> None:
    if as_json:
        for letter in letters:
            # ASCII only: a detail may hold control characters of a terminal, too.
            typer.echo(json.dumps(msgspec.to_builtins(letter)))
        return
    listed = list(letters)
    if listed:
        # In a pipe or file cells are not folded.
        console = Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
        console.print(letters_table(listed))


def _print_summary(counts: Counter[str], *, n_displayed: int, n_invalid: int) -> None:
    total = counts.total()
    if not total:
        typer.echo("No dead letters.")
    else:
        typer.echo(f"\n{total} dead letters, {n_displayed} shown:")
        for reason, count in counts.most_common():
            typer.echo(f"{count:8}  {reason}")
    if n_invalid:
        typer.echo(f"{n_invalid} records on the topic are not dead letters and were skipped.")


def letters_table(letters: Iterable[DeadLetter]) -> Table:
    """Dead letters as a table; their control characters are escaped."""
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
