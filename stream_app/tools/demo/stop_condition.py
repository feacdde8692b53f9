"""When a demo run ends; the time is an argument."""

from typing import Final

from stream_app.tools.environment.worker_metrics import ScrapedMetrics

CUT_SHORT_TIMEOUT: Final = 10.0
"""Seconds to wait for in-flight events once a run is cut short."""

STALL_TIMEOUT: Final = 60.0
"""Seconds without progress after which a run counts as stalled."""

_STABLE_POLLS: Final = 2


class StopCondition:
    """Decides at each poll whether the run is finished.

    A run ends when all events have an outcome, no user is pending, replicas have no lag, and two polls see no change.
    Cut short (by its duration or a signal), it waits at most `CUT_SHORT_TIMEOUT` for that; a second signal ends it at
    once.

    Parameters
    ----------
    started
        Start of feeding, monotonic time in seconds.
    seconds
        Duration after which the run is cut short; None for no limit.

    Attributes
    ----------
    cut_short
        Whether feeding must stop.
    phase
        Phase of the run, for the screen.
    last_progress
        Time of the last poll that saw a change.

    Examples
    --------
    >>> stop_condition = StopCondition(started=0.0, seconds=None)
    >>> stop_condition.is_met(1.0, ScrapedMetrics(accepted=9.0), sent=10, feeding_done=True, interrupts=0)
    False
    >>> done = ScrapedMetrics(accepted=10.0)
    >>> [stop_condition.is_met(at, done, sent=10, feeding_done=True, interrupts=0) for at in (2.0, 3.0, 4.0)]
    [False, False, True]
    >>> stop_condition.last_progress
    2.0
    """

    def __init__(self, started: float, seconds: float | None) -> None:
        self.cut_short = False
        self.phase = "feeding"
        self.last_progress = started
        self._deadline = started + seconds if seconds is not None else float("inf")
        self._cut_short_at = 0.0
        self._n_stable = 0
        self._last_state: tuple[float, ...] = ()

    def is_met(
        self, now: float, worker_metrics: ScrapedMetrics, *, sent: int, feeding_done: bool, interrupts: int
    ) -> bool:
        """Poll once.

        Parameters
        ----------
        now
            Monotonic time in seconds.
        worker_metrics
            Metrics since the start of feeding.
        feeding_done
            Whether all rows are sent and acknowledged.
        interrupts
            Signals received so far.
        """
        state = (
            worker_metrics.n_finished,
            worker_metrics.user_lists,
            worker_metrics.pending_users,
            worker_metrics.replica_lag,
        )
        unchanged = state == self._last_state
        if not unchanged:
            self.last_progress, self._last_state = now, state
        if not self.cut_short and (interrupts or now >= self._deadline):
            self.cut_short, self._cut_short_at = True, now
        if not feeding_done and not self.cut_short:
            return False
        self.phase = "draining in-flight events"
        n_unfinished = sent - worker_metrics.n_finished
        stable = (
            feeding_done
            and unchanged
            and n_unfinished <= 0
            and worker_metrics.pending_users == 0
            and worker_metrics.replica_lag == 0
        )
        self._n_stable = self._n_stable + 1 if stable else 0
        if self._n_stable >= _STABLE_POLLS or interrupts > 1:
            return True
        if self.cut_short:
            return now - self._cut_short_at > CUT_SHORT_TIMEOUT
        return now - self.last_progress > STALL_TIMEOUT
