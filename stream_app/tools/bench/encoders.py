"""``make bench-encoders``: encoders of texts compared with TF-IDF, and their cost.

The measure is the hit rate for chosen items without interactions in a generated shop (`worded_shop`), by the share of
items that have the usual words. Output is two tables and ``build/encoders.json``.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from stream_app.encoders.text_encoders import open_text_encoder
from stream_app.models.array_types import Matrix, Scores
from stream_app.models.base import Context
from stream_app.models.content import Content
from stream_app.models.item_content import ItemContent
from stream_app.models.item_index import ItemIndex
from stream_app.models.text_encoder import TextEncoder, item_text
from stream_app.tools.bench.worded_shop import ColdChoice, WordedShop
from stream_app.tools.console import print_table, run_script
from stream_app.tools.evaluation.bootstrap import ClusterBootstrap
from topics.events import CatalogItem

K: Final = 20
"""Length of the lists."""

USUAL_NAMES: Final = (1.0, 0.5, 0.0)
"""Shares of usual names."""

_DECAY: Final = 0.8  # from a context item to the next older one, as in `Content`
_TFIDF: Final = "TF-IDF (content)"
_BOUND: Final = "bound: type and style known"

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
        # half of the items with the same score count as better: a model that knows nothing gets a random rank
        better = np.count_nonzero(scores > scores[chosen])
        equal = np.count_nonzero(scores == scores[chosen])
        found[number] = np.clip((K - better) / equal, 0.0, 1.0)
    return found


def arms(encoder: TextEncoder, shop: WordedShop, seed: int) -> dict[str, Rank]:
    """The compared rankings by name."""
    entries = shop.entries
    text = encoder.encode([item_text(entry) for entry in entries])
    unknown = np.random.default_rng(seed).normal(size=text.shape).astype(np.float32)
    without = ItemContent()
    return {
        _TFIDF: tfidf_rank(entries),
        f"text by {encoder.name}": vector_rank(text),
        f"text, category, price by {encoder.name}": vector_rank(ItemContent(encoder).vectors(entries)),
        "category and price": vector_rank(without.vectors(entries)),
        "random vectors": vector_rank(unknown),
        _BOUND: vector_rank(shop.true_vectors()),
    }


def measure_hit_rates(encoder: TextEncoder, items: int, choices: int, seed: int) -> dict[str, dict[str, Any]]:
    """Hit rate with its 95 % interval, and the ratio to TF-IDF, by share of usual names and arm."""
    results: dict[str, dict[str, Any]] = {}
    for usual in USUAL_NAMES:
        shop = WordedShop(items, usual_names=usual, seed=seed)
        drawn = shop.cold_choices(choices)
        found = {name: hits(rank, drawn) for name, rank in arms(encoder, shop, seed).items()}
        bootstrap = ClusterBootstrap(np.arange(choices), seed=seed)
        intervals = bootstrap.intervals(np.column_stack([*found.values()]))
        results[f"{usual:.0%}"] = {
            name: {"mean": each.mean, "low": each.low, "high": each.high}
            for name, each in zip(found, intervals, strict=True)
        }
    return results


def measure_costs(encoder: TextEncoder, entries: Sequence[CatalogItem]) -> dict[str, float]:
    """Microseconds per entry: the text's vector, and the vector of all parts without and with the text."""
    texts = [item_text(entry) for entry in entries]
    return {
        f"text by {encoder.name}": _microseconds(lambda: encoder.encode(texts), len(texts)),
        "item content without text": _microseconds(lambda: ItemContent().vectors(entries), len(entries)),
        f"item content with {encoder.name}": _microseconds(
            lambda: ItemContent(encoder).vectors(entries), len(entries)
        ),
    }


def _microseconds(run: Callable[[], object], entries: int) -> float:
    best = min(_seconds(run) for _ in range(5))
    return best / entries * 1e6


def _seconds(run: Callable[[], object]) -> float:
    started = time.thread_time()
    run()
    return time.thread_time() - started


def main(
    encoder: Annotated[str, typer.Option(help="The text encoder, as in `headrace embed`.")] = "universal",
    items: Annotated[int, typer.Option(min=100, help="Items of the shop.")] = 2_000,
    choices: Annotated[int, typer.Option(min=10, help="Choices of items without interactions.")] = 2_000,
    seed: Annotated[int, typer.Option(help="Of the shop and its choices.")] = 7,
    report: Annotated[Path, typer.Option(metavar="FILE.json", help="Results.")] = Path("build/encoders.json"),
) -> None:
    """Compare an encoder of texts with TF-IDF on items without interactions."""
    opened = open_text_encoder(encoder)
    results = measure_hit_rates(opened, items, choices, seed)
    costs = measure_costs(opened, WordedShop(items, usual_names=0.0, seed=seed).entries)
    table = Table(
        title=f"hit rate at {K} for items without interactions, {choices:,} choices among {items:,} items"
    )
    table.add_column("")
    for usual in results:
        table.add_column(f"{usual} usual words", justify="right")
    for name in results["100%"]:
        cells = [results[usual][name] for usual in results]
        table.add_row(
            name, *(f"{cell['mean']:.3f} ({cell['low']:.3f} to {cell['high']:.3f})" for cell in cells)
        )
    print_table(table)
    cost_table = Table("", "µs per entry", title="cost on one core, CPU time")
    for name, value in costs.items():
        cost_table.add_row(name, f"{value:.1f}")
    print_table(cost_table)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps({"hit_rates": results, "microseconds": costs}, indent=2) + "\n")


if __name__ == "__main__":
    run_script(main, "bench encoders")
