"""When a run of the demo is over; time comes in as an argument."""

from typing import Final

from stream_app.tools.environment.worker_metrics import Figures

CUT_PATIENCE: Final = 10.0
"""Seconds for what is on its way, once a run is cut short."""

STALL_PATIENCE: Final = 60.0
"""Seconds in which nothing moves, before a log counts as stuck."""

_SETTLED_LOOKS: Final = 2


class Ending:
    """Decides, look by look, whether there is anything left to wait for.

    A run is over when everything fed has an outcome, no shopper waits for a list and the models have caught
    up, and nothing moves for two looks. Cut short (its seconds are over, or it was interrupted), it waits
    `CUT_PATIENCE` for that; interrupted again, it waits no longer.

    Parameters
    ----------
    started
        When feeding began, seconds of a monotonic clock.
    seconds
        When it is cut short, if ever.

    Attributes
    ----------
    cut
        Whether feeding is to end now.
    phase
        What is being done, in words.
    worked_until
        The last look that found anything moved.

    Examples
    --------
    >>> ending = Ending(started=0.0, seconds=None)
    >>> ending.reached(1.0, Figures(accepted=9.0), sent=10, fed=True, interrupts=0)
    False
    >>> done = Figures(accepted=10.0)
    >>> [ending.reached(at, done, sent=10, fed=True, interrupts=0) for at in (2.0, 3.0, 4.0)]
    [False, False, True]
    >>> ending.worked_until
    2.0
    """

    def __init__(self, started: float, seconds: float | None) -> None:
        self.cut = False
        self.phase = "feeding"
        self.worked_until = started
        self._ends_at = started + seconds if seconds is not None else float("inf")
        self._cut_at = 0.0
        self._settled = 0
        self._before: tuple[float, ...] = ()

    def reached(self, now: float, figures: Figures, *, sent: int, fed: bool, interrupts: int) -> bool:
        """Take one look.

        Parameters
        ----------
        now
            Seconds of the same clock.
        figures
            Since feeding began.
        sent
            Events sent.
        fed
            Whether everything is fed and acknowledged.
        interrupts
            Signals so far.
        """
        moved = (figures.finished, figures.lists_of_shoppers, figures.dirty_users, figures.lag_messages)
        still = moved == self._before
        if not still:
            self.worked_until, self._before = now, moved
        if not self.cut and (interrupts or now >= self._ends_at):
            self.cut, self._cut_at = True, now
        if not fed and not self.cut:
            return False
        self.phase = "finishing what is on its way"
        left = sent - figures.finished
        settled = fed and still and left <= 0 and figures.dirty_users == 0 and figures.lag_messages == 0
        self._settled = self._settled + 1 if settled else 0
        if self._settled >= _SETTLED_LOOKS or interrupts > 1:
            return True
        if self.cut:
            return now - self._cut_at > CUT_PATIENCE
        return now - self.worked_until > STALL_PATIENCE
