"""What is done before the first event, step by step, said as it goes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


class Outcome:
    """Of one step: what it is at, and what it came to.

    Parameters
    ----------
    tell
        Shows what the step is at.

    Attributes
    ----------
    said
        What it came to.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell
        self.said = ""

    def say(self, what: str) -> None:
        """Say what it came to; shown when the step is done."""
        self.said = f": {what}"


class Steps:
    """Says each step while it is done and how long it took.

    Parameters
    ----------
    console
        Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, what: str) -> Iterator[Outcome]:
        """One step.

        Yields
        ------
        Outcome
            To be told what happens.
        """
        started = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(f"{what} …") as status:
                outcome = Outcome(lambda doing: status.update(f"{what} … {doing}"))
                yield outcome
        else:
            self._console.print(f"  … {what}", highlight=False, soft_wrap=True)
            outcome = Outcome(lambda _: None)
            yield outcome
        took = time.monotonic() - started
        self._console.print(
            f"[green]✓[/] {what}{outcome.said} [dim]({took:.1f} s)[/]", highlight=False, soft_wrap=True
        )
