"""The feeder in a thread of its own, held back when the workers cannot follow."""

import threading
from collections.abc import Iterable
from typing import Final

from stream_app.kafka.event_sender import EventSender
from stream_app.tools.feeds.feeder import Feeder, FeedStats
from stream_app.tools.feeds.rows import Row

MAX_BACKLOG: Final = 4_000
"""Most events sent without an outcome; then feeding waits, at whatever rate.

Enough for the workers to be busy between two looks at what they have done, and little more: what waits here
counts as freshness.
"""

_STOP_SECONDS: Final = 15.0


class FeederThread:
    """Feeds rows until they end or it is told to stop.

    Parameters
    ----------
    sender
        Where records go.
    rows
        What is fed.
    rate
        Events a second; 0 goes as fast as the workers follow.
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
        """What was fed so far."""
        return self._feeder.stats

    @property
    def done(self) -> bool:
        """Whether everything is fed and acknowledged.

        Raises
        ------
        UserError
            What ended the feeding, if it was an error.
        """
        if self._error is not None:
            raise self._error
        return self._thread.ident is not None and not self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def set_finished(self, events: int) -> None:
        """Say how many events have an outcome by now; makes room."""
        self._finished = events

    def stop_feeding(self) -> None:
        """Take no further row; what was sent is still seen through."""
        self._stop.set()

    def stop(self) -> None:
        """End it and wait for the thread."""
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
