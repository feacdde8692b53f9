"""An index of 100 items, observations and contexts for the factor models, and what they learn of two groups."""

import numpy as np

from stream_app.models.base import Context, Model, Observation
from stream_app.models.item_index import ItemIndex
from topics.records import Kind


def observation(
    user: str, item: int, weight: float = 1.0, *, repeat: bool = False, previous: tuple[int, ...] = ()
) -> Observation:
    before = np.array(previous, np.int32)
    return Observation(user, item, 0.0, Kind.VIEW, weight, (), 1, repeat, before, np.zeros(len(before)))


def context(user: str, *items: int) -> Context:
    return Context(user, np.array(items, np.int32), np.zeros(len(items)), 0, (), 0.0)


def make_index(capacity: int = 300) -> ItemIndex:
    index = ItemIndex(capacity)
    for number in range(100):
        index.index(f"i{number}", 0.0)
    return index


def share_of_own_group(model: Model, n_users: int = 20, k: int = 8) -> float:
    """The share of right items among the best, after even users chose even items and odd ones odd items."""
    rng = np.random.default_rng(0)
    for _ in range(4000):
        user = int(rng.integers(n_users))
        model.learn(observation(f"u{user}", 2 * int(rng.integers(10)) + user % 2))
    n_correct = 0
    for user in range(n_users):
        best: list[int] = model.candidates(context(f"u{user}"), k).items.tolist()
        n_correct += sum(item % 2 == user % 2 for item in best)
    return n_correct / (n_users * k)
