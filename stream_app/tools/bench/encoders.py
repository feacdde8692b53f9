"""``make bench-encoders``: encoders of texts compared with TF-IDF, and their cost.

The measure is the hit rate for chosen items without interactions: in a generated shop (`worded_shop`), by the share
of items that have the usual words, and for films (`movies`). Output is two tables and ``build/encoders.json``.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from stream_app.encoders.image_encoders import PACKAGED_ENCODER, open_image_encoder
from stream_app.encoders.pictures import Scaling, read_picture
from stream_app.encoders.text_encoders import open_text_encoder
from stream_app.models.array_types import Matrix, Scores
from stream_app.models.base import Context
from stream_app.models.content import Content
from stream_app.models.item_content import ItemContent
from stream_app.models.item_index import ItemIndex
from stream_app.models.text_encoder import TextEncoder, item_text
from stream_app.tools.bench.movies import read_movies
from stream_app.tools.bench.worded_shop import ColdChoice, WordedShop
from stream_app.tools.console import print_table, run_script
from stream_app.tools.embedding.catalog_embedder import catalog_line
from stream_app.tools.embedding.reduction import Reduction
from stream_app.tools.evaluation.bootstrap import ClusterBootstrap, ConfidenceInterval
from topics.events import CatalogItem

K: Final = 20
"""Length of the lists."""

DIMENSIONS: Final = 128
"""Length of shortened vectors, the default of `headrace embed`."""

USUAL_NAMES: Final = (1.0, 0.5, 0.0)
"""Shares of usual names."""

_DECAY: Final = 0.8  # from a context item to the next older one, as in `Content`
_TFIDF: Final = "TF-IDF (content)"
_BOUND: Final = "bound: type and style known"

HitRates = dict[str, ConfidenceInterval]
"""Hit rate by name of the ranking."""

Rank = Callable[[Sequence[int]], Scores]
"""Scores of all items for the items of a context, the newest first."""


def tfidf_rank(entries: Sequence[CatalogItem]) -> Rank:
    """Scores of the content model."""
    index = ItemIndex(len(entries) + 1)
    model = Content(index)
    numbers = np.array([index.index(entry.item_id, 0.0) for entry in entries], np.int32)
    for number, entry in zip(numbers.tolist(), entries, strict=True):
        model.learn_catalog(number, entry)

    def rank(context: Sequence[int]) -> Scores:
        items = numbers[list(context)]
        return model.score(Context("u", items, np.zeros(len(items)), 0, (), 0.0), numbers)

    return rank


def vector_rank(vectors: Matrix) -> Rank:
    """Cosines with the decayed mean of the context's vectors."""

    def rank(context: Sequence[int]) -> Scores:
        weights = np.power(_DECAY, np.arange(len(context))).astype(np.float32)
        scores: Scores = vectors @ (weights @ vectors[list(context)])
        return scores

    return rank


def hits(rank: Rank, choices: Sequence[ColdChoice]) -> NDArray[np.float64]:
    """For each choice, whether the chosen item is among the best `K` that are not in the context."""
    found = np.zeros(len(choices))
    for number, (context, chosen) in enumerate(choices):
        scores = rank(context).astype(np.float64)
        scores[list(context)] = -np.inf
        # among items of the same score the rank is random: a model that knows nothing has the rate of a random list
        better = np.count_nonzero(scores > scores[chosen])
        equal = np.count_nonzero(scores == scores[chosen])
        found[number] = np.clip((K - better) / equal, 0.0, 1.0)
    return found


def text_arms(encoder: TextEncoder, entries: Sequence[CatalogItem], seed: int) -> dict[str, Rank]:
    """The compared rankings by name."""
    text = encoder.encode([item_text(entry) for entry in entries])
    unknown = np.random.default_rng(seed).normal(size=text.shape).astype(np.float32)
    return {
        _TFIDF: tfidf_rank(entries),
        f"text by {encoder.name}": vector_rank(text),
        f"centered, {DIMENSIONS} dimensions": vector_rank(Reduction.fit(text, DIMENSIONS).apply(text)),
        "categories, brand, price": vector_rank(ItemContent().vectors(entries)),
        "random vectors": vector_rank(unknown),
    }


def measure_shop(encoder: TextEncoder, items: int, choices: int, seed: int) -> dict[str, HitRates]:
    """Hit rates in generated shops, by the share of usual names."""
    results = {}
    for usual in USUAL_NAMES:
        shop = WordedShop(items, usual_names=usual, seed=seed)
        arms = text_arms(encoder, shop.entries, seed) | {_BOUND: vector_rank(shop.true_vectors())}
        results[f"{usual:.0%} usual words"] = hit_rates(arms, shop.cold_choices(choices), seed)
    return results


def measure_pictures(encoder: TextEncoder, items: int, choices: int, seed: int) -> dict[str, HitRates]:
    """Hit rates by drawn pictures, alone and with texts half of whose names are drawn."""
    shop = WordedShop(items, usual_names=0.5, seed=seed)
    network = open_image_encoder(PACKAGED_ENCODER)
    pictures = list(shop.pictures())
    images = np.concatenate([network.encode([network.read(picture)]) for picture in pictures])
    pixels = np.stack([read_picture(picture, 16, 16, Scaling.UNIT).ravel() for picture in pictures])
    text = encoder.encode([item_text(entry) for entry in shop.entries])
    short_images, short_text = (Reduction.fit(each, DIMENSIONS).apply(each) for each in (images, text))
    arms = {
        _TFIDF: tfidf_rank(shop.entries),
        f"picture by {PACKAGED_ENCODER}": vector_rank(images),
        "picture, centered": vector_rank(short_images),
        "pixels, centered": vector_rank(Reduction.fit(pixels, DIMENSIONS).apply(pixels)),
        "text, centered": vector_rank(short_text),
        "text and picture, centered": vector_rank(np.hstack((short_text, short_images))),
        _BOUND: vector_rank(shop.true_vectors()),
    }
    return {"50% usual words, and pictures": hit_rates(arms, shop.cold_choices(choices), seed)}


def measure_movies(encoder: TextEncoder, folder: Path, choices: int, seed: int) -> dict[str, HitRates]:
    """Hit rates for films without ratings, by their titles, years and genres."""
    movies = read_movies(folder)
    drawn = movies.cold_choices(choices, seed=seed)
    return {"films": hit_rates(text_arms(encoder, movies.entries, seed), drawn, seed)}


def hit_rates(arms: dict[str, Rank], choices: Sequence[ColdChoice], seed: int) -> HitRates:
    """Hit rate of each arm with its 95 % interval, for which chosen items are resampled: they differ most."""
    found = {name: hits(rank, choices) for name, rank in arms.items()}
    chosen = np.array([choice.chosen for choice in choices], np.int64)
    intervals = ClusterBootstrap(chosen, seed=seed).intervals(np.column_stack([*found.values()]))
    return dict(zip(found, intervals, strict=True))


def measure_costs(encoder: TextEncoder, entries: Sequence[CatalogItem]) -> dict[str, float]:
    """Microseconds per entry: encoding its text, decoding its event, and making its content vector."""
    texts = [item_text(entry) for entry in entries]
    vectors = Reduction.fit(encoder.encode(texts), DIMENSIONS).apply(encoder.encode(texts))
    rows: list[list[float]] = vectors.round(5).tolist()
    embedded = [
        msgspec.structs.replace(entry, text_embedding=row, image_embedding=row)
        for entry, row in zip(entries, rows, strict=True)
    ]
    decoder = msgspec.json.Decoder(CatalogItem)
    lines, embedded_lines = ([catalog_line(entry) for entry in each] for each in (entries, embedded))
    content, with_embeddings = ItemContent(), ItemContent(DIMENSIONS, DIMENSIONS)
    runs: dict[str, Callable[[], object]] = {
        f"text by {encoder.name}": lambda: encoder.encode(texts),
        "decode an event without embeddings": lambda: [decoder.decode(line) for line in lines],
        f"decode an event with two of {DIMENSIONS}": lambda: [
            decoder.decode(line) for line in embedded_lines
        ],
        "item content without embeddings": lambda: content.vectors(entries),
        f"item content with two of {DIMENSIONS}": lambda: with_embeddings.vectors(embedded),
    }
    return {name: _microseconds(run, len(entries)) for name, run in runs.items()}


def _microseconds(run: Callable[[], object], entries: int) -> float:
    best = min(_seconds(run) for _ in range(5))
    return best / entries * 1e6


def _seconds(run: Callable[[], object]) -> float:
    started = time.thread_time()
    run()
    return time.thread_time() - started


def print_hit_rates(results: dict[str, HitRates], title: str) -> None:
    """A row per arm, a column per catalog."""
    table = Table(title=title)
    table.add_column("")
    for column in results:
        table.add_column(column, justify="right")
    for name in next(iter(results.values())):
        table.add_row(name, *(_format_rate(rates.get(name)) for rates in results.values()))
    print_table(table)


def _format_rate(rate: ConfidenceInterval | None) -> str:
    return "" if rate is None else f"{rate.mean:.3f} ({rate.low:.3f} to {rate.high:.3f})"


def main(
    encoder: Annotated[str, typer.Option(help="The text encoder, as in `headrace embed`.")] = "universal",
    movies: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of ml-100k, to measure with films, too.")
    ] = None,
    items: Annotated[int, typer.Option(min=100, help="Items of the generated shop.")] = 2_000,
    choices: Annotated[int, typer.Option(min=10, help="Choices of items without interactions.")] = 2_000,
    seed: Annotated[int, typer.Option(help="Of the shop and of the choices.")] = 7,
    report: Annotated[Path, typer.Option(metavar="FILE.json", help="Results.")] = Path("build/encoders.json"),
) -> None:
    """Compare an encoder of texts with TF-IDF on items without interactions."""
    opened = open_text_encoder(encoder)
    results = measure_shop(opened, items, choices, seed)
    pictures = measure_pictures(opened, items, choices, seed)
    if movies is not None:
        results |= measure_movies(opened, movies, choices, seed)
    costs = measure_costs(opened, WordedShop(items, usual_names=0.0, seed=seed).entries)
    print_hit_rates(results, f"hit rate at {K} for items without interactions, {choices:,} choices")
    print_hit_rates(pictures, "the same with drawn pictures")
    cost_table = Table("", "µs per entry", title="CPU time")
    for name, value in costs.items():
        cost_table.add_row(name, f"{value:.1f}")
    print_table(cost_table)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_bytes(
        msgspec.json.format(msgspec.json.encode({"hit_rates": results | pictures, "microseconds": costs}))
    )


if __name__ == "__main__":
    run_script(main, "bench encoders")
