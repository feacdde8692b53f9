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

Tell = Callable[[int], None]
"""To be told how much is done so far."""

Watch = Callable[[str, int], AbstractContextManager[Tell]]
"""Opens a progress bar, given a title and how much there is to do."""

_REFRESH: Final = 0.2  # seconds between two updates, so that telling costs next to nothing


@contextmanager
def unwatched(title: str, total: int) -> Iterator[Tell]:  # noqa: ARG001  # a `Watch` that shows nothing
    """Show nothing."""
    yield lambda _: None


def watching(console: Console) -> Watch:
    """Progress bars on a console; nothing is shown where it is no terminal."""

    @contextmanager
    def watch(title: str, total: int) -> Iterator[Tell]:
        if not console.is_terminal:
            yield lambda _: None
            return
        due = 0.0
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

            def tell(done: int) -> None:
                nonlocal due
                now = time.monotonic()
                if now >= due:
                    due = now + _REFRESH
                    bar.update(task, completed=done)

            yield tell

    return watch
