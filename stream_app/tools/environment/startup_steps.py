"""What is done before the first event, step by step, said as it goes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


class StepStatus:
    """Of one step: what it is at, and what it came to.

    Parameters
    ----------
    show_progress
        Shows what the step is at.

    Attributes
    ----------
    result
        What it came to.
    """

    def __init__(self, show_progress: Callable[[str], None]) -> None:
        self.show_progress = show_progress
        self.result = ""

    def set_result(self, label: str) -> None:
        """Say what it came to; shown when the step is done."""
        self.result = f": {label}"


class StartupSteps:
    """Says each step while it is done and how long it took.

    Parameters
    ----------
    console
        Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, label: str) -> Iterator[StepStatus]:
        """One step.

        Yields
        ------
        Outcome
            To be told what happens.
        """
        started = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(f"{label} …") as status:
                step_status = StepStatus(lambda message: status.update(f"{label} … {message}"))
                yield step_status
        else:
            self._console.print(f"  … {label}", highlight=False, soft_wrap=True)
            step_status = StepStatus(lambda _: None)
            yield step_status
        elapsed = time.monotonic() - started
        self._console.print(
            f"[green]✓[/] {label}{step_status.result} [dim]({elapsed:.1f} s)[/]",
            highlight=False,
            soft_wrap=True,
        )
