"""Compile the kernels, with a progress bar."""

import time

import typer
from rich.console import Console

from stream_app.models.kernels.compilation import counted_compilations
from stream_app.models.kernels.jit import n_kernels
from stream_app.models.registry import MODELS, TRAINED_MODELS
from stream_app.settings import load_settings
from stream_app.tools.cli.compile import CompileOptions
from stream_app.tools.progress import progress_bar
from stream_app.worker.warm_up import warm_up


def run(options: CompileOptions) -> None:
    """Compile what a worker of these settings uses."""
    settings = load_settings(**({"models": [*MODELS, *TRAINED_MODELS]} if options.all_models else {}))
    began = time.monotonic()
    n_compiled = 0
    with progress_bar(Console(stderr=True), "compiling kernels", n_kernels()) as update:

        def report(n: int) -> None:
            nonlocal n_compiled
            n_compiled = n
            update(n)

        with counted_compilations(report):
            warm_up(settings)
    seconds = time.monotonic() - began
    if n_compiled:
        typer.echo(f"compiled {n_compiled} kernels in {seconds:.0f} s")
    else:
        typer.echo(f"all kernels were compiled before; loading them took {seconds:.1f} s")
