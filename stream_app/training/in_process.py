"""A trainer in the process of an evaluation: it learns from the same fold, and publishes as a trainer does."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from stream_app.models.base import Items
from stream_app.models.model_state import State
from stream_app.models.two_tower import TwoTower
from stream_app.training.two_tower_training import TwoTowerTraining
from topics.events import CatalogItem
from topics.records import Interaction

_FIRST_PUBLICATION: Final = 500
"""Interactions before the first weights, and at least between two: about those of 10 s in a shop of some size."""


class InProcessTrainer:
    """A learner that trains a two-tower model, one step for each so many interactions.

    Parameters
    ----------
    model
        Gets new weights after each `publish_interval` interactions, and after a quarter of all so far while these are
        few: what is learned meanwhile is not seen by lists and by the fusion, as with a trainer of its own process.

    Attributes
    ----------
    n_published
        Versions of the weights so far.
    """

    name: ClassVar[str] = "two_tower_trainer"

    def __init__(self, model: TwoTower, training: TwoTowerTraining, publish_interval: int = 10_000) -> None:
        self._model = model
        self.training = training
        self._publish_interval = publish_interval
        self._n_unlearned = 0
        self._n_unpublished = 0
        self.n_published = 0

    def on_interaction(self, interaction: Interaction) -> None:
        """Add an interaction, take a step and publish if it is time."""
        training = self.training
        before = training.n_interactions
        for line in interaction.lines:
            training.add(
                interaction.user_id, line.item_id, interaction.kind, interaction.ts, interaction.segments
            )
        added = training.n_interactions - before
        self._n_unlearned += added
        self._n_unpublished += added
        if self._n_unlearned >= training.config.new_interactions:
            self._n_unlearned = 0
            training.learn_new()
        due = max(_FIRST_PUBLICATION, training.n_interactions // 4)
        if self._n_unpublished >= min(due, self._publish_interval):
            self.publish()

    def on_catalog(self, entry: CatalogItem) -> None:
        """Add a catalog entry."""
        self.training.add_catalog(entry)

    def publish(self) -> None:
        """Replace the weights of the model, but by none that learned nothing."""
        if not self.training.n_steps:
            # a trainer that waits for interactions learns what it has
            self.training.learn_new()
        if not self.training.n_steps:
            return
        self._n_unpublished = 0
        self.n_published += 1
        self._model.adopt(self.training.weights(), str(self.n_published))

    def forget_user(self, user: str) -> None:
        """Drop the sequences of a user."""
        self.training.forget_user(user)

    def forget_items(self, items: Items) -> None:
        """Do nothing: the items of the trainer have an index of their own."""

    def state(self) -> State:
        """Nothing: an evaluation is not resumed."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""

    def memory(self) -> int:
        """Bytes of the item vectors, their moments and averages, and of the contents."""
        return 4 * self.training.vectors.nbytes + self.training.contents.memory()
