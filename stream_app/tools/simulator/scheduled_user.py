"""Generated users with a schedule: start times of sessions, and time between steps."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from stream_app.tools.simulator.generated_user import GeneratedUser
from stream_app.tools.simulator.preference_world import DAY, PreferenceWorld
from stream_app.tools.simulator.simulated_user import Step
from topics.records import RecommendationList

USER_SESSIONS_PER_DAY: Final = 0.5
"""Mean number of sessions per user and day, a Poisson process."""

MEAN_STEP_SECONDS: Final = 40.0
"""Mean seconds between two steps, exponentially distributed."""


class ScheduledUser:
    """A generated user with scheduled sessions; implements `SimulatedUser`.

    Parameters
    ----------
    number
        Number of the user, from 0.
    begin, end
        Simulated time span in seconds.
    run
        Prefix of user and event ids.

    Examples
    --------
    >>> user = ScheduledUser(PreferenceWorld(50, seed=7), 1, begin=0.0, end=10 * DAY)
    >>> first = user.next_time
    >>> len(user.step(None).events), user.next_time > first
    (1, True)
    """

    def __init__(
        self, world: PreferenceWorld, number: int, *, begin: float, end: float, run: str = ""
    ) -> None:
        user_id = f"{run}user-{number}"
        self._user = GeneratedUser(world, number, prefix=f"{user_id}-", user_id=user_id)
        self._rng = np.random.default_rng((world.seed, 3, number))
        n_sessions = self._rng.poisson((end - begin) / DAY * USER_SESSIONS_PER_DAY)
        self._start_times: list[float] = sorted(
            self._rng.uniform(begin, end, n_sessions).tolist(), reverse=True
        )
        self._next_time: float | None = begin
        self._schedule_session(begin)

    @property
    def user_id(self) -> str:
        """User id."""
        return self._user.user_id

    @property
    def next_time(self) -> float | None:
        """Time of the next step, seconds since the epoch; None after the last session."""
        return self._next_time

    @property
    def session_items(self) -> Sequence[str]:
        """The last items of the session."""
        return self._user.session_items

    @property
    def segments(self) -> Sequence[str]:
        """The country segment."""
        return self._user.segments

    @property
    def current_item(self) -> str | None:
        """The item of the current page."""
        return self._user.current_item

    def step(self, displayed: RecommendationList | None) -> Step:
        """Examine the list and act."""
        now = self._next_time or 0.0
        step = self._user.act(displayed, round(now * 1_000))
        self._next_time = now + self._rng.exponential(MEAN_STEP_SECONDS)
        if not self._user.in_session:
            self._schedule_session(self._next_time)
        return step

    def _schedule_session(self, now: float) -> None:
        """Start the next session at its time, or at `now` if that has passed."""
        if not self._start_times:
            self._next_time = None
            return
        self._next_time = max(now, self._start_times.pop())
        self._user.start_session(self._next_time)
