"""The memory of a worker: a budget, and what fits into it."""

from typing import Annotated, Final, NamedTuple

from pydantic import Field

from state.row_store_memory import DEFAULT_MEMORY
from stream_app.models.memory_costs import models_cost
from stream_app.settings.base import SettingsGroup

MIB: Final = 1 << 20

PROCESS_BYTES: Final = 440 * MIB
"""Interpreter, libraries, compiled kernels, connections, and rows in the cache of the table."""

LEARNERS_BYTES: Final = 110 * MIB
"""Rankers, policies, impressions and reactions; all have bounds of their own."""

LIST_BYTES: Final = 2_300
"""A retained list with its features, and a truncated one."""

PENDING_BYTES: Final = 400
"""A user whose list waits to be published, or to be ranked again."""

ROW_STORE_SHARE: Final = 0.08
"""Share of the budget for the buffers of the users table."""

_MIN_ROW_STORE: Final = 64 * MIB
_MIN_SHARE: Final = 0.01


class Capacities(NamedTuple):
    """What a worker may keep in memory."""

    max_items: int
    max_users: int
    retained_lists: int
    max_pending: int
    row_store_bytes: int = DEFAULT_MEMORY  # buffers of the users table, of all partitions


class MemorySettings(SettingsGroup):
    """The memory budget."""

    memory_budget: Annotated[int, Field(ge=0)] = Field(
        0,
        description="Memory of a worker, in MiB: HEADRACE_MAX_USERS, HEADRACE_MAX_ITEMS, HEADRACE_RETAINED_LISTS and "
        "HEADRACE_MAX_PENDING are reduced by one factor until they fit; 0 leaves them as they are "
        "(docs/operating.md).",
    )


def fit(budget: int, models: list[str], wanted: Capacities) -> Capacities:
    """Reduce what a worker may keep until it fits.

    Depends on nothing that differs between workers, since they must evict the same users and items.

    Parameters
    ----------
    budget
        In MiB; 0 for none.
    models
        Names of the models.
    wanted
        What is kept if there is room.

    Raises
    ------
    ValueError
        If next to nothing fits.

    Examples
    --------
    >>> wanted = Capacities(200_000, 1_000_000, 100_000, 1_000_000)
    >>> fit(8192, ["popularity"], wanted).max_users, fit(1280, ["popularity"], wanted).max_users < 1_000_000
    (1000000, True)
    >>> fit(300, ["popularity"], wanted)
    Traceback (most recent call last):
    ValueError: a worker with these models takes 641 MiB before it knows a user
    """
    if not budget:
        return wanted
    row_store = max(_MIN_ROW_STORE, int(budget * MIB * ROW_STORE_SHARE))
    cost = models_cost(models)
    fixed = PROCESS_BYTES + LEARNERS_BYTES + cost.fixed + row_store
    needed = (
        wanted.max_users * cost.per_user
        + wanted.max_items * cost.per_item
        + wanted.retained_lists * LIST_BYTES
        + wanted.max_pending * PENDING_BYTES
    )
    share = min(1.0, (budget * MIB - fixed) / needed)
    if share < _MIN_SHARE:
        raise ValueError(f"a worker with these models takes {fixed // MIB} MiB before it knows a user")
    items, users, lists, pending, _ = (max(1, int(share * each)) for each in wanted)
    return Capacities(items, users, lists, pending, row_store)
