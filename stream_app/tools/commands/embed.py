"""``headrace embed``: from a catalog file to catalog events with embeddings."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import typer

from stream_app.encoders.image_encoders import open_image_encoder
from stream_app.encoders.pictures import Scaling
from stream_app.encoders.text_encoders import open_text_encoder
from stream_app.errors import UserError
from stream_app.tools.cli.embed import EmbedOptions
from stream_app.tools.console import open_progress
from stream_app.tools.embedding.catalog_embedder import (
    CatalogEmbedder,
    EmbeddingCounts,
    PictureEncoding,
    TextEncoding,
    catalog_line,
)
from stream_app.tools.embedding.catalog_file import count_rows, read_catalog
from stream_app.tools.embedding.picture_folder import PictureFolder
from stream_app.tools.embedding.vector_store import VectorStore
from stream_app.tools.feeds.rows import Row
from stream_app.tools.report_file import check_writable, write_report

_PRINTED_PROBLEMS = 5


def run(options: EmbedOptions) -> None:
    """Compute missing embeddings, write the events and print the counts; exit status 130 if interrupted.

    Raises
    ------
    UserError
        If an option is missing or wrong, a file cannot be read or written, or a package is not installed.
    """
    catalog, output = _check(options)
    with ExitStack() as stack:
        folder = output.with_name(f"{output.name}.vectors")
        pictures, texts = _open_pictures(options, folder, stack), _open_texts(options, folder, stack)
        total = count_rows(catalog, options.limit)
        embedder = CatalogEmbedder(pictures, texts)
        try:
            _write(embedder, read_catalog(catalog, options.limit), total, output)
        except KeyboardInterrupt:
            typer.echo(
                f"Interrupted after {embedder.counts.entries:,} of at most {total:,} entries; {output} is not "
                "written. The same command goes on from there.",
                err=True,
            )
            raise typer.Exit(130) from None
    if options.report is not None:
        write_report(embedder.counts, options.report)
    _print_counts(embedder.counts, options)


def _check(options: EmbedOptions) -> tuple[Path, Path]:
    if options.catalog is None or options.output is None:
        raise UserError("Give the catalog by --catalog FILE and the file to write by --output FILE.jsonl.")
    if (options.images is None) != (options.encoder is None):
        raise UserError("Pictures need both --images DIR and --encoder NAME.")
    if options.images is None and options.text_encoder is None:
        raise UserError("Give --images and --encoder for pictures, --text-encoder for texts, or all three.")
    check_writable(options.output, "--output")
    if options.output.exists() and options.catalog.exists() and options.output.samefile(options.catalog):
        raise UserError("--output is the catalog itself; name another file.")
    if options.report is not None:
        check_writable(options.report)
    return options.catalog, options.output


def _open_pictures(options: EmbedOptions, folder: Path, stack: ExitStack) -> PictureEncoding | None:
    if options.images is None or options.encoder is None:
        return None
    pictures = PictureFolder(options.images)
    encoder = open_image_encoder(
        options.encoder,
        layer=options.layer,
        scaling=Scaling(options.scaling.value),
        batch=options.batch,
        threads=options.threads,
    )
    store = stack.enter_context(VectorStore(folder, encoder.fingerprint, encoder.dimensions))
    return PictureEncoding(pictures, encoder, store)


def _open_texts(options: EmbedOptions, folder: Path, stack: ExitStack) -> TextEncoding | None:
    if options.text_encoder is None:
        return None
    encoder = open_text_encoder(options.text_encoder, threads=options.threads)
    return TextEncoding(
        encoder, stack.enter_context(VectorStore(folder, encoder.fingerprint, encoder.dimensions))
    )


def _write(embedder: CatalogEmbedder, rows: Iterator[Row], total: int, output: Path) -> None:
    """Write the events into a file beside the output, which replaces it at the end: it is whole at any time."""
    unfinished = output.with_name(f"{output.name}.unfinished")
    try:
        with unfinished.open("wb") as stream, open_progress()("embedding", total) as update:
            for entry in embedder.embed(rows):
                stream.write(catalog_line(entry))
                update(embedder.counts.rows)
        unfinished.replace(output)
    except OSError as error:
        raise UserError(
            f"{output} cannot be written: {error.strerror or error}; name another file."
        ) from None
    finally:
        unfinished.unlink(missing_ok=True)


def _print_counts(counts: EmbeddingCounts, options: EmbedOptions) -> None:
    typer.echo(f"{counts.entries:,} catalog entries in {options.output}.")
    if options.images is not None:
        typer.echo(
            f"Pictures: {counts.pictures_computed:,} encoded, {counts.pictures_reused:,} known already, "
            f"{counts.pictures_missing:,} missing, {counts.pictures_unreadable:,} unreadable."
        )
    if options.text_encoder is not None:
        typer.echo(
            f"Texts: {counts.texts_computed:,} encoded, {counts.texts_reused:,} known already, "
            f"{counts.texts_empty:,} empty."
        )
    if counts.ignored_rows or counts.unreadable_rows:
        typer.echo(
            f"Not written: {counts.ignored_rows:,} rows that are no catalog entry, "
            f"{counts.unreadable_rows:,} unreadable rows."
        )
    for problem in counts.problems[:_PRINTED_PROBLEMS]:
        item = "" if problem.item_id is None else f", item {problem.item_id}"
        typer.echo(f"line {problem.line}{item}: {problem.problem}", err=True)
    if len(counts.problems) > _PRINTED_PROBLEMS:
        listed = f"all are in {options.report}" if options.report else "--report FILE.json lists them"
        typer.echo(f"and {len(counts.problems) - _PRINTED_PROBLEMS:,} more; {listed}.", err=True)
