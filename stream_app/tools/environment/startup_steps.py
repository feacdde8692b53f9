"""Progress of the startup on the console, step by step."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


class StepStatus:
    """Status of one step.

    Parameters
    ----------
    show_progress
        Shows a message while the step runs.

    Attributes
    ----------
    result
        Text after the label once the step is done.
    """

    def __init__(self, show_progress: Callable[[str], None]) -> None:
        self.show_progress = show_progress
        self.result = ""

    def set_result(self, label: str) -> None:
        """Set the result, which is printed when the step is done."""
        self.result = f": {label}"


class StartupSteps:
    """Prints each step while it runs, then its result and duration."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, label: str) -> Iterator[StepStatus]:
        """Run a step in the body of the context, which sets its status."""
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
