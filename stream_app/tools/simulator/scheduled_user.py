"""Generated shoppers who come by themselves: when their visits begin, and how fast they go on."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from stream_app.tools.simulator.generated_user import GeneratedUser
from stream_app.tools.simulator.preference_world import DAY, PreferenceWorld
from stream_app.tools.simulator.simulated_user import Step
from topics.records import RecommendationList

VISITS_PER_DAY: Final = 0.5
"""Visits of a shopper a day, on average; they come as a Poisson process."""

MEAN_STEP_SECONDS: Final = 40.0
"""Seconds between two steps, on average; exponential."""


class ScheduledUser:
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
    >>> shopper = ScheduledUser(PreferenceWorld(50, seed=7), 1, begin=0.0, end=10 * DAY)
    >>> first = shopper.next_time
    >>> len(shopper.step(None).events), shopper.next_time > first
    (1, True)
    """

    def __init__(
        self, world: PreferenceWorld, number: int, *, begin: float, end: float, run: str = ""
    ) -> None:
        user_id = f"{run}user-{number}"
        self._user = GeneratedUser(world, number, prefix=f"{user_id}-", user_id=user_id)
        self._rng = np.random.default_rng((world.seed, 3, number))
        visits = self._rng.poisson((end - begin) / DAY * VISITS_PER_DAY)
        self._visits: list[float] = sorted(self._rng.uniform(begin, end, visits).tolist(), reverse=True)
        self._next_time: float | None = begin
        self._schedule_visit(begin)

    @property
    def user_id(self) -> str:
        """Who."""
        return self._user.user_id

    @property
    def next_time(self) -> float | None:
        """When the next step is."""
        return self._next_time

    @property
    def session_items(self) -> Sequence[str]:
        """Items of the visit."""
        return self._user.session_items

    @property
    def segments(self) -> Sequence[str]:
        """Their country."""
        return self._user.segments

    @property
    def current_item(self) -> str | None:
        """The item they are looking at."""
        return self._user.current_item

    def step(self, displayed: RecommendationList | None) -> Step:
        """Look, and go on."""
        now = self._next_time or 0.0
        step = self._user.act(displayed, round(now * 1_000))
        self._next_time = now + self._rng.exponential(MEAN_STEP_SECONDS)
        if not self._user.in_session:
            self._schedule_visit(self._next_time)
        return step

    def _schedule_visit(self, now: float) -> None:
        """The next visit begins in its time; one that should have begun already begins at once."""
        if not self._visits:
            self._next_time = None
            return
        self._next_time = max(now, self._visits.pop())
        self._user.start_session(self._next_time)
