"""``headrace worker``: run one worker process."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command

HELP = (
    "Run one worker: consume events, learn, publish lists, serve /metrics.\n\n"
    "The broker is HEADRACE_BROKER, Redis is HEADRACE_REDIS; `headrace settings` lists all settings. Run as many "
    "workers as there are cores; they share the partitions of the topics. Ctrl-C (or SIGTERM) stops a worker "
    "cleanly: it publishes pending lists, commits offsets and writes a snapshot of the models.\n\n"
    "Example: `headrace worker --data-dir /var/lib/headrace/1`."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerOptions:
    """Settings that differ between the workers of one machine."""

    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the worker's table and snapshots; one per worker.")
    ] = None
    metrics_port: Annotated[
        int | None, typer.Option(help="Port of /metrics; 0 chooses a free one.", min=0, max=65535)
    ] = None
    log_level: Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = None


def register(cli: typer.Typer) -> None:
    """Add the command."""
    add_command(cli, "worker", "worker:run", WorkerOptions, help=HELP)
