"""Generated shoppers who come by themselves: when their visits begin, and how fast they go on."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from stream_app.tools.simulator.generated_user import GeneratedShopper
from stream_app.tools.simulator.preference_world import DAY, World
from stream_app.tools.simulator.simulated_user import Step
from topics.records import RecommendationList

VISITS_A_DAY: Final = 0.5
"""Visits of a shopper a day, on average; they come as a Poisson process."""

BETWEEN: Final = 40.0
"""Seconds between two steps, on average; exponential."""


class ComingShopper:
    """A generated shopper with visits of their own, a `stream_app.tools.simulator.simulated_user.Shopper`.

    Parameters
    ----------
    world
        The shop.
    number
        Theirs, from 0.
    begin, end
        When the shop is open, seconds.
    run
        Put before ids.

    Examples
    --------
    >>> shopper = ComingShopper(World(50, seed=7), 1, begin=0.0, end=10 * DAY)
    >>> first = shopper.due
    >>> len(shopper.step(None).events), shopper.due > first
    (1, True)
    """

    def __init__(self, world: World, number: int, *, begin: float, end: float, run: str = "") -> None:
        user_id = f"{run}shopper-{number}"
        self._shopper = GeneratedShopper(world, number, prefix=f"{user_id}-", user_id=user_id)
        self._rng = np.random.default_rng((world.seed, 3, number))
        visits = self._rng.poisson((end - begin) / DAY * VISITS_A_DAY)
        self._visits: list[float] = sorted(self._rng.uniform(begin, end, visits).tolist(), reverse=True)
        self._next: float | None = begin
        self._await_visit(begin)

    @property
    def user_id(self) -> str:
        """Who."""
        return self._shopper.user_id

    @property
    def due(self) -> float | None:
        """When the next step is."""
        return self._next

    @property
    def session_items(self) -> Sequence[str]:
        """Items of the visit."""
        return self._shopper.session_items

    @property
    def segments(self) -> Sequence[str]:
        """Their country."""
        return self._shopper.segments

    @property
    def at(self) -> str | None:
        """The item they are looking at."""
        return self._shopper.at

    def step(self, shown: RecommendationList | None) -> Step:
        """Look, and go on."""
        now = self._next or 0.0
        step = self._shopper.act(shown, round(now * 1_000))
        self._next = now + self._rng.exponential(BETWEEN)
        if not self._shopper.in_visit:
            self._await_visit(self._next)
        return step

    def _await_visit(self, now: float) -> None:
        """The next visit begins in its time; one that should have begun already begins at once."""
        if not self._visits:
            self._next = None
            return
        self._next = max(now, self._visits.pop())
        self._shopper.open_visit(self._next)
