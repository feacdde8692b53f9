"""A shop whose items follow each other in rings, and a two-tower model that a trainer learned there."""

from typing import Any

import numpy as np

from stream_app.models.item_index import ItemIndex
from stream_app.models.two_tower import TwoTower
from stream_app.models.two_tower_network import NetworkShape
from stream_app.training.two_tower_training import TrainingConfig, TwoTowerTraining
from topics.records import Kind

N_ITEMS = 60
SHAPE = NetworkShape(n_factors=16, hidden=16, context_length=8)
CONFIG = TrainingConfig(rows=16, negatives=64, new_interactions=64, item_rate=0.03, dense_rate=0.003)


def ring_items(start: int, length: int) -> list[str]:
    """Item n is followed by item n + 1."""
    return [f"i{(start + at) % N_ITEMS}" for at in range(length)]


class TrainedShop:
    """Sessions along a ring of items, learned by a trainer."""

    def __init__(
        self, n_sessions: int = 200, config: TrainingConfig = CONFIG, shape: NetworkShape = SHAPE
    ) -> None:
        self.training = TwoTowerTraining(shape, config)
        self.n_sessions = 0
        self.losses: list[float] = []
        self.add_sessions(n_sessions)

    def add_sessions(self, n: int) -> None:
        rng = np.random.default_rng(self.n_sessions)
        for _ in range(n):
            ts = 7_200.0 * self.n_sessions
            for at, item in enumerate(ring_items(int(rng.integers(N_ITEMS)), 6)):
                self.training.add(f"user {self.n_sessions}", item, Kind.VIEW, ts + 40.0 * at)
            self.n_sessions += 1

    def learn(self, n_steps: int) -> "TrainedShop":
        self.losses += [self.training.step() for _ in range(n_steps)]
        return self

    def model(self, **parameters: Any) -> TwoTower:
        """A model with the weights, over an index of its own."""
        index = ItemIndex(10_000)
        for at in range(N_ITEMS):
            index.index(f"i{at}", 0.0)
        model = TwoTower(index, **parameters)
        model.adopt(self.training.weights(), "1")
        return model
