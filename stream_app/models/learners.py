"""Protocols of components that learn next to the models, as part of the same fold."""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Protocol, runtime_checkable

from stream_app.models.array_types import Items
from stream_app.models.model_state import State
from topics.events import CatalogItem
from topics.records import Interaction, Reward


class Learner(Protocol):
    """Learns from whole interactions, such as a fusion.

    It learns before the models, so that it sees them in the state from which a list would have been made.
    """

    name: ClassVar[str]
    """Name in states and in memory reports."""

    def on_interaction(self, interaction: Interaction) -> None:
        """Learn an interaction, which the models learn next; erasures are not passed."""

    def forget_user(self, user: str) -> None:
        """Drop the data of a user."""

    def forget_items(self, items: Items) -> None:
        """Drop the data of items, whose indices may be given to other items."""

    def state(self) -> State:
        """Everything learned, as plain data."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load the result of `state`; ValueError if it is incompatible."""

    def memory(self) -> int:
        """Bytes held, to within a few percent."""


@runtime_checkable
class RewardLearner(Protocol):
    """A `Learner` that also learns from rewards.

    Impressions and outcomes are folded separately: a reward names the items newly known to have been displayed (each
    item of a list in one reward at most), and, except for an impression, the item that earned it.
    """

    def on_reward(self, reward: Reward) -> None:
        """Learn a reward; each is passed once, erasures are not."""


@runtime_checkable
class CatalogLearner(Protocol):
    """A `Learner` that also learns from the catalog."""

    def on_catalog(self, entry: CatalogItem) -> None:
        """Learn the newest entry of an item."""


@runtime_checkable
class TextHolder(Protocol):
    """A model or learner that stores texts that users typed."""

    def forget_private_texts(self) -> None:
        """Drop the texts that are not known to be of several users."""


def learns_rewards(learner: Learner) -> bool:
    """Whether a learner is a `RewardLearner`.

    A check against a protocol takes several microseconds, and is needed for each reward and learner: it is made once
    per class.
    """
    return _has_reward_methods(type(learner))


@cache
def _has_reward_methods(kind: type[Learner]) -> bool:
    return issubclass(kind, RewardLearner)
