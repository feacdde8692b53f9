"""Send rows to Kafka at a rate; another thread may read the statistics."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from stream_app.kafka.event_records import MAX_RECORD_BYTES, event_record
from stream_app.kafka.event_sender import EventSender
from stream_app.tools.feeds.pacing import Pacer
from stream_app.tools.feeds.rows import EventRow, IgnoredRow, Row, UnreadableRow, unreadable_record
from topics.events import CatalogItem, UserEvent

MAX_PROBLEMS: Final = 5
_RECENT_EVENTS: Final = 256


@dataclass(slots=True)
class FeedStats:
    """Rows fed so far; a row counts once it was passed to the producer.

    Attributes
    ----------
    rows
        Rows processed: sent + ignored.
    sent
        Records passed to the producer, unreadable rows included.
    catalog
        Sent catalog entries, which are not user events.
    ignored
        Rows of kinds that Headrace does not use, by kind.
    unreadable
        Rows sent unchanged, to become dead letters.
    problems
        Line and problem of the first unreadable rows, at most `MAX_PROBLEMS`.
    users
        Distinct users of the sent events.
    recent
        The newest user events, newest last.
    """

    rows: int = 0
    sent: int = 0
    catalog: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    problems: list[tuple[int, str]] = field(default_factory=list)
    users: set[str] = field(default_factory=set)
    recent: deque[UserEvent] = field(default_factory=lambda: deque(maxlen=_RECENT_EVENTS))

    @property
    def total_ignored(self) -> int:
        """Rows not sent."""
        return self.ignored.total()


class Feeder:
    """Send rows; `stop` ends the feed between two rows.

    Parameters
    ----------
    rate
        Events per second; 0 sends as fast as possible.
    stop
        Another thread sets it to end the feed.
    has_capacity
        Back-pressure: the feeder waits while it returns False.
    monotonic
        The clock of the schedule.
    sleep
        Waits this number of seconds or until `stop` is set; by default `stop.wait`.
    """

    def __init__(
        self,
        sender: EventSender,
        *,
        rate: float = 0,
        stop: threading.Event | None = None,
        has_capacity: Callable[[], bool] = lambda: True,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.stats: Final = FeedStats()
        self._sender = sender
        self._pacer = Pacer(rate)
        self._stop = stop if stop is not None else threading.Event()
        self._has_capacity = has_capacity
        self._monotonic = monotonic
        self._sleep = sleep if sleep is not None else self._stop.wait

    def feed(self, rows: Iterable[Row]) -> None:
        """Send all rows, or those before `stop`; do not wait for acknowledgements.

        Raises
        ------
        UserError
            If the sender fails.
        """
        for row in rows:
            if isinstance(row, IgnoredRow):
                self.stats.ignored[row.kind] += 1
                self.stats.rows += 1
                continue
            if not self._wait_for_slot():
                return
            if isinstance(row, EventRow):
                self._send(row)
            else:
                self._send_unreadable(row)
            self.stats.sent += 1
            self.stats.rows += 1

    def _wait_for_slot(self) -> bool:
        """Wait for the next slot of the schedule; False if stopped meanwhile."""
        wait = self._pacer.wait(self._monotonic())
        if wait > 0:
            self._sleep(wait)
        while not self._stop.is_set() and not self._has_capacity():
            self._sleep(0.005)
        return not self._stop.is_set()

    def _send(self, row: EventRow) -> None:
        try:
            record = event_record(row.event)
        except (ValueError, OverflowError) as error:  # a number or character that JSON cannot represent
            self._send_unreadable(
                UnreadableRow(row.line, repr(row.event).encode("utf-8", "replace"), str(error))
            )
            return
        if len(record.value) > MAX_RECORD_BYTES:
            self._send_unreadable(UnreadableRow(row.line, record.value, "too long for Kafka", record.topic))
            return
        self._sender.send(record)
        if isinstance(row.event, CatalogItem):
            self.stats.catalog += 1
        else:
            self.stats.users.add(row.event.user_id)
            self.stats.recent.append(row.event)

    def _send_unreadable(self, row: UnreadableRow) -> None:
        self._sender.send(unreadable_record(row))
        self.stats.unreadable += 1
        if len(self.stats.problems) < MAX_PROBLEMS:
            self.stats.problems.append((row.line, row.problem))
