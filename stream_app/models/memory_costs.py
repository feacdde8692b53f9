"""What items and users cost in memory, by model: the unit costs of `stream_app.settings.memory`.

They are those of full rows (a user with 32 events, an item with all the neighbors that are kept), so that what fits
by them fits always. ``tests/unit/models/test_memory_costs.py`` compares them with what the models hold.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple


class MemoryCost(NamedTuple):
    """Memory of a part, in bytes."""

    per_user: int = 0
    per_item: int = 0
    fixed: int = 0  # for any number of users and items


SHARED_COST: Final = MemoryCost(per_user=1_600, per_item=540, fixed=2_000_000)
"""Ids, sessions, repeated choices, outliers and facts of the catalog, which all models share."""

SESSION_STORE_COST: Final = MemoryCost(per_item=1_420, fixed=36_000_000)
"""Sessions and postings, which several models share."""

_FACTORS: Final = MemoryCost(per_user=290, per_item=90)

MODEL_COSTS: Final[dict[str, MemoryCost]] = {
    "popularity": MemoryCost(per_item=24, fixed=27_000_000),
    "item_to_item": MemoryCost(per_item=2_450),
    "item_vectors": MemoryCost(per_item=290, fixed=200_000),
    "content": MemoryCost(per_item=420, fixed=38_500_000),
    "search": MemoryCost(per_item=60, fixed=16_000_000),
    "trending": MemoryCost(per_item=130, fixed=14_500_000),
    "user_knn": MemoryCost(per_user=620, per_item=320, fixed=200_000),
    "biased_mf": _FACTORS,
    "bpr": _FACTORS,
    "repeats": MemoryCost(per_user=150, per_item=16, fixed=200_000),
    "two_tower": MemoryCost(per_user=280, per_item=340, fixed=2_000_000),
}
"""By name; models that share the session store cost what it costs, once."""

_ON_SESSION_STORE: Final = frozenset({"session_knn", "sequential_rules", "two_hop", "item_vectors"})

OTHER_MODEL: Final = MemoryCost(per_user=400, per_item=400, fixed=5_000_000)
"""What a model of River, or of another package, is taken to cost."""


def models_cost(names: Sequence[str]) -> MemoryCost:
    """Add up the costs of models, with what they share.

    Examples
    --------
    >>> alone, both = models_cost(["session_knn"]), models_cost(["session_knn", "two_hop"])
    >>> alone == both, models_cost(["popularity"]).per_item
    (True, 564)
    """
    costs = [SHARED_COST]
    if _ON_SESSION_STORE.intersection(names):
        costs.append(SESSION_STORE_COST)
    for name in names:
        if name in MODEL_COSTS:
            costs.append(MODEL_COSTS[name])
        elif name not in _ON_SESSION_STORE:
            costs.append(OTHER_MODEL)
    return MemoryCost(*map(sum, zip(*costs, strict=True)))
