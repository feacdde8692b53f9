"""The arrays of the memory of `stream_app.ranking.search.results_ranker`."""

import numpy as np

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
