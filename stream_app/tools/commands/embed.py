"""``headrace embed``: from a catalog file to catalog events with embeddings."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
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
from stream_app.tools.embedding.reduction import (
    MIN_FITTED_PER_DIMENSION,
    Reduction,
    evenly_distributed,
)
from stream_app.tools.embedding.vector_store import VectorStore
from stream_app.tools.report_file import check_writable, write_report
from topics.events import CatalogItem

_PRINTED_PROBLEMS = 5
_OUTGROWN = 10


def run(options: EmbedOptions) -> None:
    """Compute missing embeddings, write the events and print the counts; exit status 130 if interrupted.

    Raises
    ------
    UserError
        If an option is missing or wrong, a file cannot be read or written, or a package is not installed.
    """
    catalog, output = _check(options)
    with ExitStack() as stack:
        folder = options.store or output.with_name(f"{output.name}.vectors")
        pictures, texts = _open_pictures(options, folder, stack), _open_texts(options, folder, stack)
        embedder = CatalogEmbedder(pictures, texts)
        try:
            _encode(embedder, options, catalog)
            reductions = [
                None if each is None else _reduction(name, each, keys, options)
                for name, each, keys in (
                    ("Pictures", pictures, embedder.image_keys),
                    ("Texts", texts, embedder.text_keys),
                )
            ]
            _write(
                embedder.entries(read_catalog(catalog, options.limit), *reductions), embedder.counts, output
            )
        except KeyboardInterrupt:
            typer.echo(
                f"Interrupted after {embedder.counts.pictures_computed:,} pictures and "
                f"{embedder.counts.texts_computed:,} texts; {output} is not written. The same command goes on from "
                "there.",
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


def _encode(embedder: CatalogEmbedder, options: EmbedOptions, catalog: Path) -> None:
    total = count_rows(catalog, options.limit)
    with open_progress()("encoding", total) as update:
        for done in embedder.encode(read_catalog(catalog, options.limit)):
            update(done)


def _reduction(
    name: str, encoding: PictureEncoding | TextEncoding, keys: Iterable[bytes | None], options: EmbedOptions
) -> Reduction | None:
    """The reduction of an earlier run; otherwise one that is fitted to this catalog, or None."""
    encoder, store = encoding.encoder, encoding.store
    if not options.dimensions:
        return None
    dimensions = min(options.dimensions, encoder.dimensions)
    path = store.path.with_name(f"{encoder.fingerprint}-{dimensions}.reduction.npz")
    saved = Reduction.load(path)
    sample = evenly_distributed(key for key in keys if key is not None)
    if saved is not None:
        if len(sample) >= _OUTGROWN * saved.fitted_to:
            typer.echo(
                f"{name}: the directions of embeddings were fitted to {saved.fitted_to:,} different ones, now there "
                f"are {_OUTGROWN} times as many or more. To fit them anew, remove {path}, run the command again, "
                "and send the whole catalog.",
                err=True,
            )
        return saved
    vectors = [vector for key in sample if (vector := store.find(key)) is not None and vector.any()]
    if len(vectors) < MIN_FITTED_PER_DIMENSION * dimensions:
        typer.echo(
            f"{name}: {len(vectors):,} different ones are too few to shorten vectors to {dimensions} dimensions; "
            f"they are written with {encoder.dimensions:,}.",
            err=True,
        )
        return None
    reduction = Reduction.fit(np.stack(vectors), dimensions)
    if options.limit is None:  # a part of the catalog must not set the directions of later runs
        reduction.save(path)
    typer.echo(
        f"{name}: vectors are centered and shortened from {encoder.dimensions:,} to {dimensions} dimensions, "
        f"fitted to {len(vectors):,} different ones. Embeddings of another fit "
        "are not comparable with these.",
        err=True,
    )
    return reduction


def _write(entries: Iterable[CatalogItem], counts: EmbeddingCounts, output: Path) -> None:
    """Write the events into a file beside the output, which replaces it at the end: it is whole at any time."""
    unfinished = output.with_name(f"{output.name}.unfinished")
    try:
        with unfinished.open("wb") as stream, open_progress()("writing", counts.entries) as update:
            for done, entry in enumerate(entries):
                stream.write(catalog_line(entry))
                update(done)
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
    for name, count in (
        ("pictures", counts.pictures_without_direction),
        ("texts", counts.texts_without_direction),
    ):
        if count:
            typer.echo(
                f"No embedding for the {name} of {count:,} entries: the encoder gives zeros, or values that are not "
                "finite.",
                err=True,
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
