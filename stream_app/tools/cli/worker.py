"""``headrace worker``: one worker process."""

from pathlib import Path
from typing import Annotated

import typer


def register(cli: typer.Typer) -> None:
    """Add the command."""

    @cli.command()
    def worker(
        data_dir: Annotated[
            Path | None, typer.Option(help="Folder of the worker's table and snapshots; one a worker.")
        ] = None,
        metrics_port: Annotated[
            int | None, typer.Option(help="Port of /metrics; 0 takes a free one.", min=0, max=65535)
        ] = None,
        log_level: Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = None,
    ) -> None:
        """Run one worker: take events, learn, publish lists, serve /metrics.

        Example: `headrace worker --data-dir /var/lib/headrace/1`. The broker is HEADRACE_BROKER, Redis is
        HEADRACE_REDIS; `headrace settings` lists all. Run as many as there are cores; the
        partitions of the topics are shared among them. Ctrl-C (or SIGTERM)
        stops it cleanly: what waits is published, offsets are committed, a snapshot of the models is written.
        """
        from stream_app.settings import load_settings  # noqa: PLC0415
        from stream_app.worker.lifecycle import run_worker  # noqa: PLC0415

        run_worker(load_settings(data_dir=data_dir, metrics_port=metrics_port, log_level=log_level))
