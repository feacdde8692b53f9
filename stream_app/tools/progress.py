"""Progress bars of all tools, shown on a terminal only."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

UpdateProgress = Callable[[int], None]
"""Receives the number of finished steps."""

OpenProgress = Callable[[str, int], AbstractContextManager[UpdateProgress]]
"""Opens a progress bar, given a title and the number of steps."""

PROGRESS_DELAY_SECONDS: Final = 2.0
"""Shorter reads and feeds show no progress."""

_REFRESH_SECONDS: Final = 0.2  # at most 5 updates per second; the others cost one reading of the clock

T = TypeVar("T")


class UpdateBar(Protocol):
    """Sets the finished steps of a bar, and its description unless that is None."""

    def __call__(self, done: float, description: str | None = None) -> None:
        """Update the bar; updates within 0.2 s of the one before are dropped."""


class _SpeedColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0.0:,.0f} rows/s")


@contextmanager
def progress_bar(
    console: Console,
    title: str,
    total: float | None,
    columns: Iterable[ProgressColumn] | None = None,
    *,
    delay: float = 0.0,
) -> Iterator[UpdateBar]:
    """Show a bar that disappears when the work ends.

    Parameters
    ----------
    console
        Nothing is shown unless it is a terminal.
    total
        Number of steps; None where it is unknown.
    columns
        Columns after the description; by default a bar, elapsed and remaining time.
    delay
        Seconds before the bar appears.
    """
    if columns is None:
        columns = (BarColumn(), TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn())
    bar = Progress(TextColumn("{task.description}"), *columns, console=console, transient=True)
    task = bar.add_task(title, total=total)
    next_update = time.monotonic() + delay

    def update(done: float, description: str | None = None) -> None:
        nonlocal next_update
        now = time.monotonic()
        if now < next_update or not console.is_terminal:
            return
        next_update = now + _REFRESH_SECONDS
        bar.start()
        bar.update(task, completed=done, description=description)

    if console.is_terminal and not delay and total != 0:
        bar.start()
    try:
        yield update
    finally:
        if bar.live.is_started:
            bar.stop()


@contextmanager
def no_progress(_title: str, _total: int) -> Iterator[UpdateProgress]:
    """Show nothing."""
    yield lambda _: None


def progress_bars(console: Console) -> OpenProgress:
    """Bars with count, elapsed and remaining time."""

    def open_progress(title: str, total: int) -> AbstractContextManager[UpdateProgress]:
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
        )
        return progress_bar(console, title, total, columns)

    return open_progress


def row_counter(console: Console, title: str) -> AbstractContextManager[UpdateProgress]:
    """Show a growing count of rows, after `PROGRESS_DELAY_SECONDS`."""
    count = TextColumn("{task.completed:,.0f} rows")
    return progress_bar(console, title, None, (count,), delay=PROGRESS_DELAY_SECONDS)


def iterate_with_progress(rows: Iterable[T], total: int, console: Console, title: str) -> Iterator[T]:
    """Yield the rows, and show count, rate and remaining time after `PROGRESS_DELAY_SECONDS`.

    Examples
    --------
    >>> list(iterate_with_progress("ab", 2, Console(quiet=True), "feeding"))
    ['a', 'b']
    """
    columns = (BarColumn(), MofNCompleteColumn(), _SpeedColumn(), TimeRemainingColumn())
    with progress_bar(console, title, total, columns, delay=PROGRESS_DELAY_SECONDS) as update:
        for done, row in enumerate(rows):
            update(done)
            yield row
