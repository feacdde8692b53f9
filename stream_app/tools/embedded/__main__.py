"""``python -m stream_app.tools.embedded prepare``: fill the embedded broker's cache before its first start."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import typer
from rich.console import Console

from stream_app.errors import UserError
from stream_app.tools.embedded import kafka_runtime, startup_cache
from stream_app.tools.embedded.child_process import StepCallback

cli: Final = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@contextlib.contextmanager
def progress_display() -> Iterator[StepCallback]:
    """Show progress: a spinner on a terminal, else one line per step."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status("") as status:
            yield status.update
        return
    last_step = ""

    def print_status(message: str) -> None:
        nonlocal last_step
        step = message.partition(":")[0]
        if step != last_step:
            console.print(message, highlight=False)
        last_step = step

    yield print_status


@cli.command()
def prepare() -> None:
    """Download Kafka for the embedded broker (about 45 MB, once), and prepare fast starts (65 MB)."""
    with progress_display() as progress:
        startup_cache.prepare(progress)
    typer.echo("The embedded Kafka broker and Redis are ready.")


@cli.command()
def lock() -> None:
    """Rewrite kafka.json: the jars of the embedded broker with their SHA-256."""
    with progress_display() as progress:
        jars = kafka_runtime.lock(progress)
    target = Path(__file__).with_name("kafka.json")
    target.write_bytes(msgspec.json.format(msgspec.json.encode(jars), indent=2) + b"\n")
    typer.echo(f"{target}: {len(jars)} jars")


if __name__ == "__main__":
    try:
        cli()
    except UserError as error:
        sys.exit(f"headrace: {error}")
