"""``headrace embed``: embeddings of the pictures and texts of a catalog, and a plot of them."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command, run_command, with_options
from stream_app.tools.cli.shared_options import Limit

HELP = (
    "Compute the embeddings of a catalog's pictures and texts, and write its events with them.\n\n"
    "The output has one catalog event per line, in the order of the catalog, for `headrace replay`. Pictures are "
    "files named by the item id (`i42.jpg`), encoded by `efficientnet-lite0` or another network; texts by "
    "`universal` (16 languages) or `wordllama` (English), whose weights packages have, by an ONNX network, or by a "
    "folder of word vectors. Nothing is downloaded. An "
    "item whose picture is missing or damaged is written, counted and reported.\n\n"
    "Ctrl-C loses nothing that was computed: the same command goes on from there, and after a change of the "
    "catalog only new pictures and texts are encoded. Computed vectors, and the directions of written "
    "embeddings, are in the folder of --store: use the same one for all runs of a shop.\n\n"
    "\b\nExamples:\n"
    "  headrace embed --catalog catalog.jsonl --output embedded.jsonl \\\n"
    "      --images pictures --encoder efficientnet-lite0\n"
    "  headrace embed --catalog catalog.jsonl.gz --output embedded.jsonl \\\n"
    "      --text-encoder universal\n"
    "  headrace embed plot embedded.jsonl --output items.png\n\n"
    "Texts need the extra `text`, networks the extra `onnx`; docs/encoders.md explains the encoders."
)
PLOT_HELP = (
    "Plot the item space: the two main directions of all items' vectors, colored by category.\n\n"
    "Vectors are those of an output of `headrace embed`, of a checkpoint of `headrace trainer` (in the folder "
    "`two-tower` of the store), or of another safetensors file with a matrix (`vectors` or `item_vectors`) and the "
    "item ids as a JSON list in its metadata (`ids`); categories of such files come from --catalog.\n\n"
    "\b\nExamples:\n"
    "  headrace embed plot embedded.jsonl --output items.png\n"
    "  headrace embed plot two-tower-000000000007-3f2a.safetensors --catalog catalog.jsonl --output items.svg\n\n"
    "Needs the extra `evaluate`."
)


class PixelScaling(StrEnum):
    """Values of ``--scaling``; `stream_app.encoders.pictures.Scaling` has the same."""

    IMAGENET = "imagenet"
    CLIP = "clip"
    UNIT = "unit"
    SYMMETRIC = "symmetric"
    BYTES = "bytes"


class EmbeddingField(StrEnum):
    """Values of ``--field``."""

    TEXT = "text"
    IMAGE = "image"


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedOptions:
    """What to encode, by what, and where to write it."""

    context: typer.Context
    catalog: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Catalog events, one JSON object per line, plain or gzip; required."
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Write the events with embeddings here; required."),
    ] = None
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the pictures, named by item ids; needs --encoder."),
    ] = None
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Encoder for pictures: efficientnet-lite0, or a file FILE.onnx; needs --images.",
        ),
    ] = None
    layer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Tensor of the network for pictures to use as the embedding; by default its first output.",
        ),
    ] = None
    scaling: Annotated[
        PixelScaling,
        typer.Option(
            help="Values of pixels for the network: by statistics of ImageNet or CLIP, 0 to 1, -1 to 1, 0 to 255."
        ),
    ] = PixelScaling.IMAGENET
    batch: Annotated[
        int,
        typer.Option(
            min=1, max=256, metavar="N", help="Pictures per run of the network; may help with threads."
        ),
    ] = 1
    text_encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Encoder for texts: universal, wordllama, a file FILE.onnx, or a folder of word vectors.",
        ),
    ] = None
    dimensions: Annotated[
        int,
        typer.Option(
            min=0,
            max=4_096,
            metavar="N",
            help="Length of written embeddings: the main directions of this catalog; 0 writes vectors as they are.",
        ),
    ] = 128
    store: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of computed vectors, made if it does not exist; by default OUTPUT.vectors.",
        ),
    ] = None
    threads: Annotated[int, typer.Option(min=1, max=256, metavar="N", help="Threads of ONNX Runtime.")] = 1
    limit: Limit = None
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Write all counts, and each problem with its line, here."),
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PlotEmbeddingsOptions:
    """Which vectors to plot, and where."""

    vectors: Annotated[
        Path, typer.Argument(metavar="FILE", help="An output of `headrace embed`, or a safetensors file.")
    ]
    output: Annotated[
        Path, typer.Option(metavar="FILE.png", help="The plot, as PNG, SVG or PDF by its name.")
    ]
    catalog: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Catalog events with the categories, for a safetensors file."),
    ] = None
    field: Annotated[
        EmbeddingField | None,
        typer.Option(help="Which embedding of catalog events; by default the one that more items have."),
    ] = None


def register(cli: typer.Typer) -> None:
    """Add the group; without a subcommand it computes embeddings."""
    group = typer.Typer(invoke_without_command=True, help=HELP)
    group.callback()(with_options(EmbedOptions, _embed))
    add_command(group, "plot", "embed_plot:run", PlotEmbeddingsOptions, help=PLOT_HELP)
    cli.add_typer(group, name="embed")


def _embed(options: EmbedOptions) -> None:
    if options.context.invoked_subcommand is None:
        run_command("embed:run", options)
