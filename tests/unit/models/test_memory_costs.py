"""Unit costs of the memory budget, compared with what the models hold."""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import pytest

from stream_app.models.memory_costs import MODEL_COSTS, SESSION_STORE_COST, SHARED_COST, MemoryCost
from stream_app.models.model_set import ModelSet
from stream_app.models.registry import MODELS, TRAINED_MODELS
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Line, Source

EVENTS = 4
# powers of two, so that no row is allocated ahead
FEW, MANY = 1_024, 4_096
ROUNDING = 200_000

SHARED = ("items", "sessions", "outliers")
# The first of the models on the session store reports it.
NAMES = ["session_knn", *sorted({*MODEL_COSTS} - {"two_tower"})]
TABLES_OF_ROWS = [name for name in NAMES if name == "session_knn" or MODEL_COSTS[name].fixed < 1_000_000]
"""Models whose memory is mostly that of their users and items, also in a small shop."""


def filled(users: int, items: int) -> Mapping[str, int]:
    """Bytes by part of models that know so many users, each with `EVENTS` interactions, and items."""
    models = ModelSet(NAMES, max_users=users, max_items=items)
    for item in range(items):
        title = f"A word{item % 97} of word{item % 89} and word{item % 83} with word{item % 1009}"
        models.learn_catalog(
            CatalogItem(
                ts=0,
                item_id=f"item-{item:06d}",
                title=title,
                categories=["a", f"b{item % 50}"],
                brand=f"brand{item % 200}",
                price=10.0 + item,
            )
        )
    chosen = (items * np.random.default_rng(7).random(users * EVENTS) ** 2).astype(int)
    for number in range(users * EVENTS):
        item = number if number < items else int(chosen[number])
        kind = Kind.PURCHASE if number % 20 == 0 else Kind.VIEW
        user, ts = f"user-{number // EVENTS:06d}", 1e9 + number
        models.learn(Interaction(Source.CLICK, 0, number, ts, user, kind, (Line(f"item-{item:06d}"),)))
    return models.memory()


class Shops(NamedTuple):
    """What models hold in three shops."""

    small: Mapping[str, int]
    more_users: Mapping[str, int]
    large: Mapping[str, int]

    def cost(self, *parts: str) -> MemoryCost:
        """Cost of one more user and of one more item."""
        small, more_users, large = (sum(shop[part] for part in parts) for shop in self)
        return MemoryCost((more_users - small) // (MANY - FEW), (large - more_users) // (MANY - FEW))


@pytest.fixture(scope="module")
def shops() -> Shops:
    # In processes of their own: this one may give tables memory that it has written before.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as processes:
        return Shops(*processes.map(filled, (FEW, MANY, MANY), (FEW, FEW, MANY)))


def cost_of(part: str) -> MemoryCost:
    return SESSION_STORE_COST if part == "session_knn" else MODEL_COSTS[part]


@pytest.mark.parametrize("name", NAMES)
def test_no_model_holds_more_than_stated(name: str, shops: Shops) -> None:
    cost = cost_of(name)
    assert shops.large[name] <= cost.fixed + MANY * (cost.per_user + cost.per_item) + ROUNDING


@pytest.mark.parametrize("name", TABLES_OF_ROWS)
def test_a_user_and_an_item_cost_what_is_stated(name: str, shops: Shops) -> None:
    stated, found = cost_of(name), shops.cost(name)
    # some bytes more or less matter to no budget
    assert found.per_user <= stated.per_user + 20
    assert found.per_item <= stated.per_item + 20
    assert stated.per_user <= 1.5 * found.per_user + 100
    assert stated.per_item <= 1.5 * found.per_item + 100


def test_what_the_models_share_costs_what_is_stated(shops: Shops) -> None:
    found = shops.cost(*SHARED)
    assert found.per_user <= SHARED_COST.per_user <= 1.3 * found.per_user
    assert found.per_item <= SHARED_COST.per_item <= 1.3 * found.per_item


def test_every_model_has_a_cost() -> None:
    on_session_store = {"session_knn", "sequential_rules", "two_hop"}
    assert {*MODELS, *TRAINED_MODELS} == {*MODEL_COSTS, *on_session_store}
