"""Contexts, weights and checkpoints of the two-tower model, made without a trainer."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from stream_app.models.base import Context
from stream_app.models.checkpoint import Manifest, encode_checkpoint
from stream_app.models.two_tower import TwoTower
from stream_app.models.two_tower_network import NetworkShape, TrainedWeights, first_parameters

SMALL_SHAPE: Final = NetworkShape(n_factors=16, hidden=8, context_length=6)


def context_of(model: TwoTower, *item_ids: str) -> Context:
    """A user who viewed some items, 40 seconds apart."""
    items = np.array(model.index.find_all(item_ids), np.int32)
    times = 40.0 * np.arange(len(items), dtype=np.float64)
    return Context("ann", items, times, 0, (), float(times[-1]) if len(times) else 0.0)


def random_weights(
    item_ids: Sequence[str], shape: NetworkShape = SMALL_SHAPE, seed: int = 3
) -> TrainedWeights:
    """Weights of a trainer that has learned nothing: random vectors, and the first parameters."""
    vectors = (
        np.random.default_rng(seed).normal(0.0, 1.0, (len(item_ids), shape.n_factors)).astype(np.float32)
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return TrainedWeights(shape, first_parameters(shape, seed), list(item_ids), vectors)


def checkpoint(
    item_ids: Sequence[str],
    *,
    version: int = 1,
    seed: int = 3,
    hit_rate: float | None = None,
    created_at: float = 0.0,
) -> bytes:
    """A checkpoint with random weights."""
    manifest = Manifest(version=version, created_at=created_at, hit_rate=hit_rate)
    return encode_checkpoint(random_weights(item_ids, seed=seed), manifest)
