"""Generated users with a schedule: start times of sessions, and time between steps."""

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


class ScheduledUser(GeneratedUser):
    """A generated user with scheduled sessions; implements `SimulatedUser`.

    Parameters
    ----------
    number
        Number of the user, from 0.
    begin, end
        Simulated time span in seconds.
    run
        Prefix of user and event ids.

    Attributes
    ----------
    next_time
        Time of the next step, seconds since the epoch; None after the last session.

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
        super().__init__(world, number, prefix=f"{user_id}-", user_id=user_id)
        self._schedule_rng = np.random.default_rng((world.seed, 3, number))
        n_sessions = self._schedule_rng.poisson((end - begin) / DAY * USER_SESSIONS_PER_DAY)
        self._start_times: list[float] = sorted(
            self._schedule_rng.uniform(begin, end, n_sessions).tolist(), reverse=True
        )
        self.next_time: float | None = begin
        self._schedule_session(begin)

    def step(self, displayed: RecommendationList | None) -> Step:
        """Examine the list and act."""
        now = self.next_time or 0.0
        step = self.act(displayed, round(now * 1_000))
        self.next_time = now + self._schedule_rng.exponential(MEAN_STEP_SECONDS)
        if not self.in_session:
            self._schedule_session(self.next_time)
        return step

    def _schedule_session(self, now: float) -> None:
        """Start the next session at its time, or at `now` if that has passed."""
        if not self._start_times:
            self.next_time = None
            return
        self.next_time = max(now, self._start_times.pop())
        self.start_session(self.next_time)
