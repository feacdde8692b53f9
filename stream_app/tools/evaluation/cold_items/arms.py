"""The lists that are compared on items without interactions."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np

from stream_app.models.array_types import Matrix, Scores
from stream_app.models.base import NO_ITEM
from stream_app.models.item_content import ItemContent
from stream_app.models.model_set import ModelSet
from stream_app.ranking.allowed_items import allowed_items
from stream_app.ranking.ranker import Ranker
from stream_app.ranking.request import RankRequest
from stream_app.tools.evaluation.log_evaluation import model_context
from topics.events import CatalogItem

BASELINE: Final = "content by TF-IDF"
ALL_SCORED: Final = "content by TF-IDF, all items scored"
FUSED: Final = "fused"
FUSED_NEURAL: Final = "fused with two-tower"
WITHOUT_BONUS: Final = "fused with two-tower (no bonus)"

PUBLISH_INTERVAL: Final = 100
"""Interactions between two versions of the two-tower model: a trainer publishes one every 30 s."""

Recommend = Callable[[RankRequest], Sequence[str]]


class Arm(NamedTuple):
    """Lists of one kind."""

    models: ModelSet  # learns the log before each list
    recommend: Recommend  # ids of the listed items, best first


class RandomTexts:
    """An encoder that knows nothing: each text has a random vector, always the same.

    Examples
    --------
    >>> vectors = RandomTexts(64).encode(["pan", "pan", "pot"])
    >>> np.round(vectors @ vectors[0])[:2].tolist()
    [1.0, 1.0]
    """

    name: Final = "random"
    fingerprint: Final = "random"

    def __init__(self, dimensions: int) -> None:
        self.dimensions: Final = dimensions

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Draw a vector of length 1 for each text."""
        vectors = np.stack([self._vector(text) for text in texts])
        unit: Matrix = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def _vector(self, text: str) -> Scores:
        seed = int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
        return np.random.default_rng(seed).normal(size=self.dimensions).astype(np.float32)


def published(ranker: Ranker) -> Arm:
    """The list of a user as a worker publishes it, in the fused order."""
    return Arm(ranker.models, lambda request: [item.id for item in ranker.rank_user(request).items])


def single(models: ModelSet, name: str, k: int) -> Arm:
    """The candidates of one model."""
    model = next(each for each in models.models if each.name == name)

    def recommend(request: RankRequest) -> Sequence[str]:
        context = model_context(models, request)
        with allowed_items(models.index, request.excluded) as allowed:
            items = model.candidates(context, k + len(request.excluded)).items
            return models.index.ids_of(items[allowed[items]][:k].tolist())

    return Arm(models, recommend)


def scored(models: ModelSet, name: str, k: int) -> Arm:
    """The available items with the largest scores of one model, but for the user's recent ones."""
    model = next(each for each in models.models if each.name == name)

    def recommend(request: RankRequest) -> Sequence[str]:
        context = model_context(models, request)
        items = np.arange(models.index.size, dtype=np.int32)
        scores = model.score(context, items)
        scores[~models.index.available[items]] = 0.0
        scores[context.items[context.items >= 0]] = 0.0
        best = np.argsort(-scores, kind="stable")[:k]
        return models.index.ids_of(best[scores[best] > 0.0].tolist())

    return Arm(models, recommend)


def by_scores(
    models: ModelSet, entries: Sequence[CatalogItem], score: Callable[[Sequence[int]], Scores], k: int
) -> Arm:
    """The items with the largest scores, of those that have appeared; without the user's recent items.

    Parameters
    ----------
    score
        Scores of all items for the numbers of a user's recent items, the newest first.
    """
    numbers = {entry.item_id: number for number, entry in enumerate(entries)}

    def recommend(request: RankRequest) -> Sequence[str]:
        recent = [numbers[item] for item in reversed(request.items[request.session_start :])]
        if not recent:
            return []
        scores = score(recent).astype(np.float64)
        scores[recent] = -np.inf
        # items appear in the order of their numbers
        best = np.argsort(-scores[: len(models.index)], kind="stable")[:k]
        return [entries[number].item_id for number in best.tolist()]

    return Arm(models, recommend)


def two_tower_contents(dimensions: tuple[int, int]) -> dict[str, ItemContent | None]:
    """What the two-tower model learns of an item in each arm.

    Parameters
    ----------
    dimensions
        Lengths of the embeddings of texts and of pictures.

    Examples
    --------
    >>> contents = two_tower_contents((4, 3))
    >>> [part.name for part in contents["two-tower: text"].parts]
    ['text', 'categories', 'brand', 'price']
    """
    text, images = dimensions
    return {
        "two-tower: id only": None,
        "two-tower: categories, brand, price": ItemContent(),
        "two-tower: random features": ItemContent(RandomTexts(max(1, text + images))),
        "two-tower: text": ItemContent(text),
        "two-tower: pictures": ItemContent(image_dimensions=images),
        "two-tower: text and pictures": ItemContent(text, images),
    }


def has_interactions(models: ModelSet, item_id: str) -> bool:
    """Whether anyone interacted with an item."""
    item = models.index.find(item_id)
    return item != NO_ITEM and bool(np.isfinite(models.index.first_seen[item]))


def is_described(models: ModelSet, item_id: str) -> bool:
    """Whether the models know an item at all."""
    return models.index.find(item_id) != NO_ITEM
