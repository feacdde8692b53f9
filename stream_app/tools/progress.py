"""A progress bar with the time left, on the terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

UpdateProgress = Callable[[int], None]
"""To be told how much is done so far."""

OpenProgress = Callable[[str, int], AbstractContextManager[UpdateProgress]]
"""Opens a progress bar, given a title and how much there is to do."""

_REFRESH_SECONDS: Final = 0.2  # seconds between two updates, so that telling costs next to nothing


@contextmanager
def no_progress(title: str, total: int) -> Iterator[UpdateProgress]:  # noqa: ARG001  # a `OpenProgress` that shows nothing
    """Show nothing."""
    yield lambda _: None


def progress_bars(console: Console) -> OpenProgress:
    """Progress bars on a console; nothing is shown where it is no terminal."""

    @contextmanager
    def open_progress(title: str, total: int) -> Iterator[UpdateProgress]:
        if not console.is_terminal:
            yield lambda _: None
            return
        next_update = 0.0
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        ) as bar:
            task = bar.add_task(title, total=total)

            def update_progress(done: int) -> None:
                nonlocal next_update
                now = time.monotonic()
                if now >= next_update:
                    next_update = now + _REFRESH_SECONDS
                    bar.update(task, completed=done)

            yield update_progress

    return open_progress
