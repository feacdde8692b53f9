"""Progress on the terminal, for anything that takes more than two seconds."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stream_app.tools.feeds.feeder import FeedStats

PROGRESS_DELAY_SECONDS: Final = 2.0
"""What is done sooner shows no progress."""


@contextmanager
def row_counter(console: Console, title: str) -> Iterator[Callable[[int], None]]:
    """Show a growing count, once it takes longer than `PROGRESS_DELAY_SECONDS`.

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
    bar_started = False

    def update_count(count: int) -> None:
        nonlocal bar_started
        if not bar_started and console.is_terminal and time.monotonic() - started > PROGRESS_DELAY_SECONDS:
            bar_started = True
            bar.start()
        bar.update(task, completed=count)

    try:
        yield update_count
    finally:
        if bar_started:
            bar.stop()


@contextmanager
def feed_progress(console: Console, stats: FeedStats, total: int) -> Iterator[None]:
    """Show how far the feeding is, once it takes longer than `PROGRESS_DELAY_SECONDS`."""
    done = threading.Event()

    def run_bar() -> None:
        if done.wait(PROGRESS_DELAY_SECONDS):
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
            started_at, sent_before = time.monotonic(), stats.sent
            while not done.wait(0.2):
                rate = (stats.sent - sent_before) / max(time.monotonic() - started_at, 1e-9)
                bar.update(task, completed=stats.rows, rate=rate)

    thread = threading.Thread(target=run_bar, name="feeding-progress", daemon=True)
    if console.is_terminal:
        thread.start()
    try:
        yield
    finally:
        done.set()
        if thread.ident is not None:
            thread.join()
