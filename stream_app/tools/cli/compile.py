"""``headrace compile``: compile the kernels before the first start."""

from dataclasses import dataclass
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command

HELP = (
    "Compile the kernels of the models, and keep their machine code.\n\n"
    "A worker does it at its first start on a machine, which takes about a minute. `make install` and the image do "
    "it with this command, so that each start takes seconds. The machine code is kept next to the sources, or in "
    "NUMBA_CACHE_DIR, and is compiled again when a source, numba or the kind of processor changes.\n\n"
    "For an image that runs on processors of several kinds set NUMBA_CPU_NAME, such as x86-64-v3, and an empty "
    "NUMBA_CPU_FEATURES, here and where it runs.\n\n"
    "Examples: `headrace compile`; `headrace compile --all-models` for an image."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CompileOptions:
    """Which models are compiled."""

    all_models: Annotated[
        bool,
        typer.Option("--all-models", help="Every built-in model, not those of HEADRACE_MODELS alone."),
    ] = False


def register(cli: typer.Typer) -> None:
    """Add the command."""
    add_command(cli, "compile", "compile_kernels:run", CompileOptions, help=HELP)
