"""The arrays of the memory of `stream_app.ranking.search.results_ranker`: growth, deletion, and saved states.

Row 0 stands for an unknown user or item.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_app.models.array_types import Items
from stream_app.models.columns import MIN_ROWS, grow
from stream_app.ranking.kernels.results_memory import (
    INTERACTIONS,
    MAX_PAGES,
    MAX_RANKED,
    PAGE_LENGTH,
    InteractionColumn,
    ItemColumn,
    PageColumn,
    RankCount,
    ResultsMemory,
    TimeColumn,
    UserColumn,
)


def empty_memory() -> ResultsMemory:
    """Make a memory of no users and no items."""
    return ResultsMemory(
        np.zeros((MIN_ROWS, len(UserColumn))),
        np.zeros((MIN_ROWS, INTERACTIONS, len(InteractionColumn)), np.int32),
        np.zeros((MIN_ROWS, INTERACTIONS, len(TimeColumn))),
        np.zeros((MIN_ROWS, MAX_PAGES, PageColumn.FIRST_ITEM + PAGE_LENGTH), np.int32),
        np.zeros((MIN_ROWS, PAGE_LENGTH + 1), np.int32),
        np.zeros((MIN_ROWS, PAGE_LENGTH), np.float32),
        np.zeros((MIN_ROWS, len(ItemColumn))),
        np.zeros((MAX_RANKED, len(RankCount))),
    )


def grow_memory(memory: ResultsMemory, users: int, items: int) -> ResultsMemory:
    """Return the memory with at least so many rows of users and of items."""
    return ResultsMemory(
        grow(memory.users, users),
        grow(memory.interactions, users),
        grow(memory.times, users),
        grow(memory.pages, users),
        grow(memory.found_items, users),
        grow(memory.found_prices, users),
        grow(memory.items, items),
        memory.rank_counts,
    )


def drop_users(memory: ResultsMemory, rows: Items) -> None:
    """Clear the rows of users."""
    of_users: tuple[NDArray[Any], ...] = memory[:6]
    for part in of_users:
        part[rows] = 0


def drop_items(memory: ResultsMemory, rows: Items) -> None:
    """Clear the rows of items, and what users did with them."""
    dropped = np.zeros(len(memory.items), np.bool_)
    dropped[rows] = True
    memory.items[dropped] = 0
    memory.interactions[dropped[memory.interactions[:, :, InteractionColumn.ITEM]]] = 0
    displayed_rows = memory.pages[:, :, PageColumn.FIRST_ITEM :]
    displayed_rows[dropped[displayed_rows]] = 0
    found_items = memory.found_items[:, 1:]
    found_items[dropped[found_items]] = 0
    last = memory.users[:, UserColumn.LAST_ITEM]
    last[dropped[last.astype(np.int64)]] = 0


def memory_state(memory: ResultsMemory, users: int, items: int) -> dict[str, NDArray[Any]]:
    """Copies of the first rows of users and of items, by field."""
    of_users: dict[str, NDArray[Any]] = {
        name: getattr(memory, name)[:users].copy() for name in ResultsMemory._fields[:6]
    }
    return {
        **of_users,
        "items": memory.items[:items].copy(),
        "rank_counts": memory.rank_counts.copy(),
    }


def restore_memory(memory: ResultsMemory, saved: Mapping[str, Any]) -> None:
    """Load the result of `memory_state` into a memory that is large enough."""
    for name, part in memory._asdict().items():
        part[: len(saved[name])] = saved[name]
