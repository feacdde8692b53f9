"""Events of many generated users, for benchmarks."""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from stream_app.tools.simulator.generated_user import GeneratedUser
from stream_app.tools.simulator.preference_world import PreferenceWorld
from stream_app.tools.simulator.simulated_user import ShopEvent

N_ITEMS: Final = 2_000
"""Items of the events."""


def benchmark_items(items: int = N_ITEMS, seed: int = 7) -> list[str]:
    """Ids of the items of `benchmark_events`."""
    return list(PreferenceWorld(items, seed).catalog.ids)


def benchmark_events(
    count: int,
    *,
    clock: Callable[[], float],
    users: int = 5_000,
    items: int = N_ITEMS,
    seed: int = 7,
    run: str = "",
) -> Iterator[ShopEvent]:
    """Events of generated users without lists, spread evenly over the users.

    Each round has one event of each user in random order, so that consecutive events belong to different users. A
    user whose session ended starts a new one in the next round.

    Parameters
    ----------
    clock
        Returns the time of each event, seconds since the epoch.
    run
        Part of the event ids, so that a second run's events are no duplicates of the first.

    Examples
    --------
    >>> events = list(benchmark_events(1_000, clock=lambda: 0.0, users=100, items=50))
    >>> len(events), len({event.user_id for event in events}), len({event.event_id for event in events})
    (1000, 100, 1000)
    """
    rng = np.random.default_rng((seed, 5))
    world = PreferenceWorld(items, seed)
    prefix = f"load-{seed}-{run}-"
    users_by_number: dict[int, GeneratedUser] = {}
    order: list[int] = []
    for _ in range(count):
        order = order or rng.permutation(users).tolist()
        number = order.pop()
        user = users_by_number.get(number)
        if user is None:
            user = users_by_number[number] = GeneratedUser(
                world, number, prefix=prefix, user_id=f"user-{number}", country="FR", channel="web"
            )
        now = clock()
        if not user.in_session:
            user.start_session(now)
        [event] = user.act(None, round(now * 1_000)).events
        yield event
