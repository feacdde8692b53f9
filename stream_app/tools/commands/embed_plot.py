"""``headrace embed plot``: the item space as a picture."""

import typer

from stream_app.errors import UserError
from stream_app.tools.cli.embed import PlotEmbeddingsOptions
from stream_app.tools.embedding.projection import plot_items
from stream_app.tools.embedding.vector_files import read_catalog_vectors, read_checkpoint_vectors
from stream_app.tools.evaluation.plots import check_plot

_CHECKPOINT = ".safetensors"


def run(options: PlotEmbeddingsOptions) -> None:
    """Read the vectors, project and draw them.

    Raises
    ------
    UserError
        If a file cannot be read or written, has no vectors, or matplotlib is not installed.
    """
    check_plot(options.output, "--output")
    if options.vectors.suffix == _CHECKPOINT:
        items = read_checkpoint_vectors(options.vectors, options.catalog)
    elif options.catalog is None:
        items = read_catalog_vectors(options.vectors, options.field)
    else:
        raise UserError(f"--catalog is for {_CHECKPOINT} files; {options.vectors} has its own categories.")
    share = plot_items(items, options.output)
    typer.echo(f"{len(items.ids):,} items in {options.output}; the plane has {share:.0%} of the variance.")
