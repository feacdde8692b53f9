"""``headrace trainer``: run one trainer of the two-tower model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command

HELP = (
    "Run one trainer: learn the two-tower model from the logs, write checkpoints, announce them to the workers.\n\n"
    "It needs the extra `headrace\\[neural]`. The broker is HEADRACE_BROKER; checkpoints go to HEADRACE_MODEL_STORE, "
    "which all workers must be able to read. One trainer is active; further ones stand by and take over when it "
    "stops. Workers use the model if HEADRACE_NEURAL is set; without a trainer they rank as before.\n\n"
    "Example: `HEADRACE_MODEL_STORE=s3://shop/headrace headrace trainer --metrics-port 9109`."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerOptions:
    """Settings that differ between the processes of one machine."""

    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder whose `models` has the checkpoints if HEADRACE_MODEL_STORE is not set."),
    ] = None
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Port of /metrics and /healthz; 0 chooses a free one.", min=0, max=65535),
    ] = None
    log_level: Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = None


def register(cli: typer.Typer) -> None:
    """Add the command."""
    add_command(cli, "trainer", "trainer:run", TrainerOptions, help=HELP)
