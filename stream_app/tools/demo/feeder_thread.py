"""The feeder in a thread, with back-pressure from the workers."""

import threading
from collections.abc import Iterable
from typing import Final

from stream_app.kafka.event_sender import EventSender
from stream_app.tools.feeds.feeder import Feeder, FeedStats
from stream_app.tools.feeds.rows import Row

MAX_BACKLOG: Final = 4_000
"""Most events in flight (sent, without an outcome); at this bound the feeder waits, at any rate.

Enough to keep the workers busy between two polls of their metrics, and little more: time spent in this queue counts
as freshness.
"""

_STOP_SECONDS: Final = 15.0


class FeederThread:
    """Feeds rows until they end or `stop_feeding` is called.

    Parameters
    ----------
    rate
        Events per second; 0 feeds as fast as the workers consume.
    """

    def __init__(self, sender: EventSender, rows: Iterable[Row], rate: float) -> None:
        self._sender = sender
        self._rows = rows
        self._stop = threading.Event()
        self._feeder = Feeder(sender, rate=rate, stop=self._stop, has_capacity=self._has_capacity)
        self._finished = 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)

    @property
    def stats(self) -> FeedStats:
        """Counts of the rows fed so far."""
        return self._feeder.stats

    @property
    def done(self) -> bool:
        """Whether all rows are sent and acknowledged.

        Raises
        ------
        UserError
            The error that ended the feeding, if any.
        """
        if self._error is not None:
            raise self._error
        return self._thread.ident is not None and not self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def set_finished(self, events: int) -> None:
        """Set the number of events that have an outcome, which frees capacity."""
        self._finished = events

    def stop_feeding(self) -> None:
        """Send no further row; events in flight are still flushed."""
        self._stop.set()

    def stop(self) -> None:
        """Stop feeding and join the thread."""
        self.stop_feeding()
        if self._thread.ident is not None:
            self._thread.join(_STOP_SECONDS)

    def _has_capacity(self) -> bool:
        return self.stats.sent - self._finished < MAX_BACKLOG

    def _run(self) -> None:
        try:
            self._feeder.feed(self._rows)
            self._sender.flush()
        except BaseException as error:  # noqa: BLE001  # raised again in the main thread
            self._error = error
