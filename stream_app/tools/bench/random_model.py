"""A two-tower model that has learned nothing, of the usual size: it costs as much as a trained one."""

import time
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from state.checkpoint_store import CheckpointStore
from stream_app.kafka.event_records import ProducerRecord
from stream_app.kafka.kafka_event_sender import KafkaEventSender
from stream_app.models.checkpoint import Manifest, encode_checkpoint
from stream_app.models.two_tower import TwoTower
from stream_app.models.two_tower_network import NetworkShape, TrainedWeights, first_parameters
from topics.catalog import MODELS
from topics.kafka_connection import Broker

_SEED: Final = 7


def random_weights(item_ids: Sequence[str], shape: NetworkShape = NetworkShape()) -> TrainedWeights:  # noqa: B008  # immutable
    """Random item vectors, and the first parameters.

    Examples
    --------
    >>> random_weights(["pan", "pot"]).vectors.shape
    (2, 64)
    """
    vectors = (
        np.random.default_rng(_SEED).normal(0.0, 1.0, (len(item_ids), shape.n_factors)).astype(np.float32)
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return TrainedWeights(shape, first_parameters(shape, _SEED), list(item_ids), vectors)


def announce_random_model(broker: Broker, store: CheckpointStore, item_ids: Sequence[str]) -> None:
    """Write a checkpoint with random weights, and announce it to the workers."""
    now = time.time()
    content = encode_checkpoint(random_weights(item_ids), Manifest(version=1, created_at=now))
    announcement = store.write(1, content, created_at=now)
    sender = KafkaEventSender(broker)
    try:
        sender.send(ProducerRecord(MODELS.name, TwoTower.name.encode(), msgspec.json.encode(announcement)))
        sender.flush()
    finally:
        sender.close()
