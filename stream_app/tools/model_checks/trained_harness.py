"""A model that a trainer learns, with weights that stand for what it has learned."""

from typing import Final

import numpy as np

from stream_app.models.id_index import stable_hash
from stream_app.models.two_tower import TwoTower
from stream_app.models.two_tower_network import NetworkShape, TrainedWeights, first_parameters
from stream_app.tools.model_checks.harness import Event, ModelHarness

_SHAPE: Final = NetworkShape(n_factors=16, hidden=8)
_SEED: Final = 7


class TrainedHarness(ModelHarness):
    """A two-tower model that adopts weights with all items of the index after each part of a stream.

    The vector of an item depends on its id alone, and the parameters are the first ones of a trainer.
    """

    tolerance = 1e-5  # the search and `score` take the exponential by different routines

    def learn(self, *events: Event) -> "TrainedHarness":
        """Let the index see the events, and the model adopt weights with its items."""
        for event in events:
            self.observe(event)
        model = self.model
        if isinstance(model, TwoTower) and len(self.index):
            numbers = np.flatnonzero(self.index.used[: self.index.size])
            model.adopt(_weights(sorted(self.index.ids_of(numbers.tolist()))), str(len(self.index)))
        return self


def _weights(item_ids: list[str]) -> TrainedWeights:
    vectors = np.array(
        [np.random.default_rng(stable_hash(each)).normal(size=_SHAPE.n_factors) for each in item_ids]
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return TrainedWeights(_SHAPE, first_parameters(_SHAPE, _SEED), item_ids, vectors.astype(np.float32))
