"""When a run of the demo is over; time comes in as an argument."""

from typing import Final

from stream_app.tools.environment.worker_metrics import WorkerMetrics

CUT_SHORT_TIMEOUT: Final = 10.0
"""Seconds for what is on its way, once a run is cut short."""

STALL_TIMEOUT: Final = 60.0
"""Seconds in which nothing moves, before a log counts as stuck."""

_STABLE_POLLS: Final = 2


class StopCondition:
    """Decides, look by look, whether there is anything left to wait for.

    A run is over when everything fed has an outcome, no shopper waits for a list and the models have caught
    up, and nothing moves for two looks. Cut short (its seconds are over, or it was interrupted), it waits
    `CUT_SHORT_TIMEOUT` for that; interrupted again, it waits no longer.

    Parameters
    ----------
    started
        When feeding began, seconds of a monotonic clock.
    seconds
        When it is cut short, if ever.

    Attributes
    ----------
    cut_short
        Whether feeding is to end now.
    phase
        What is being done, in words.
    last_progress
        The last look that found anything moved.

    Examples
    --------
    >>> stop_condition = StopCondition(started=0.0, seconds=None)
    >>> stop_condition.is_met(1.0, WorkerMetrics(accepted=9.0), sent=10, feeding_done=True, interrupts=0)
    False
    >>> done = WorkerMetrics(accepted=10.0)
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
        self, now: float, worker_metrics: WorkerMetrics, *, sent: int, feeding_done: bool, interrupts: int
    ) -> bool:
        """Take one look.

        Parameters
        ----------
        now
            Seconds of the same clock.
        worker_metrics
            Since feeding began.
        sent
            Events sent.
        feeding_done
            Whether everything is fed and acknowledged.
        interrupts
            Signals so far.
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
        self.phase = "finishing what is on its way"
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
