"""Schedule events at a rate."""

from typing import Final

BURST_SECONDS: Final = 0.005
"""After a stall, the backlog of this time is sent at once; the rest at the catch-up rate."""

CATCH_UP_FACTOR: Final = 1.25
"""Ratio of the catch-up rate to the rate."""


class Pacer:
    """Absolute deadlines, start + i / rate, so that small delays do not accumulate.

    After a stall the schedule is caught up at `CATCH_UP_FACTOR` times the rate, through a leaky bucket of
    `BURST_SECONDS`, not in one burst. Time is an argument.

    Parameters
    ----------
    rate
        Events per second; 0 for no limit.

    Examples
    --------
    >>> pacer = Pacer(10)
    >>> [round(pacer.wait(100.0), 2), round(pacer.wait(100.0), 2), round(pacer.wait(100.12), 2)]
    [0.0, 0.1, 0.08]
    """

    def __init__(self, rate: float) -> None:
        if not 0 <= rate < float("inf"):
            raise ValueError(f"a rate is 0 or more events per second, not {rate}")
        self._rate = rate
        self._start: float | None = None
        self._slots_reserved = 0
        self._bucket_empty_at = float("-inf")

    def wait(self, now: float) -> float:
        """Reserve the next slot of the schedule.

        Parameters
        ----------
        now
            Seconds of a monotonic clock.

        Returns
        -------
        float
            Seconds to wait before sending; 0 to send at once.
        """
        if not self._rate:
            return 0.0
        if self._start is None:
            self._start = now
        due = self._start + self._slots_reserved / self._rate
        self._slots_reserved += 1
        # The bucket: `_bucket_empty_at` is when it would be empty again; it may run BURST_SECONDS ahead of the clock.
        send_at = max(now, due, self._bucket_empty_at - BURST_SECONDS)
        self._bucket_empty_at = max(self._bucket_empty_at, send_at) + 1.0 / (CATCH_UP_FACTOR * self._rate)
        return send_at - now
