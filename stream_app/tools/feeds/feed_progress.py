"""Progress on the terminal, for anything that takes more than two seconds."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stream_app.tools.feeds.feeder import Tally

QUICK_SECONDS: Final = 2.0
"""What is done sooner shows no progress."""


@contextmanager
def counting(console: Console, title: str) -> Iterator[Callable[[int], None]]:
    """Show a growing count, once it takes longer than `QUICK_SECONDS`.

    Yields
    ------
    callable
        To be told the count.
    """
    started = time.monotonic()
    bar = Progress(
        TextColumn(title), TextColumn("{task.completed:,.0f} rows"), console=console, transient=True
    )
    task = bar.add_task(title, total=None)
    shown = False

    def tell(count: int) -> None:
        nonlocal shown
        if not shown and console.is_terminal and time.monotonic() - started > QUICK_SECONDS:
            shown = True
            bar.start()
        bar.update(task, completed=count)

    try:
        yield tell
    finally:
        if shown:
            bar.stop()


@contextmanager
def feeding(console: Console, tally: Tally, total: int) -> Iterator[None]:
    """Show how far the feeding is, once it takes longer than `QUICK_SECONDS`."""
    done = threading.Event()

    def show() -> None:
        if done.wait(QUICK_SECONDS):
            return
        with Progress(
            TextColumn("feeding"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:,.0f} events/s"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        ) as bar:
            task = bar.add_task("feeding", total=total, rate=0.0)
            began, before = time.monotonic(), tally.sent
            while not done.wait(0.2):
                rate = (tally.sent - before) / max(time.monotonic() - began, 1e-9)
                bar.update(task, completed=tally.rows, rate=rate)

    thread = threading.Thread(target=show, name="feeding-progress", daemon=True)
    if console.is_terminal:
        thread.start()
    try:
        yield
    finally:
        done.set()
        if thread.ident is not None:
            thread.join()
