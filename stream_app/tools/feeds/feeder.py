"""Feeding rows to an outbox at a rate, with a tally that another thread may read."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from stream_app.kafka.event_records import MAX_RECORD_BYTES, event_record
from stream_app.kafka.event_sender import Outbox
from stream_app.tools.feeds.pacing import Pacer
from stream_app.tools.feeds.rows import Ignored, Mapped, Row, Unreadable, unreadable_record
from topics.events import CatalogItem, UserEvent

PROBLEMS_KEPT: Final = 5
_RECENT_EVENTS: Final = 256


@dataclass(slots=True)
class Tally:
    """What was fed so far; each row counts as soon as it is offered.

    Attributes
    ----------
    rows
        Rows taken: sent + ignored.
    sent
        Records handed to the outbox, unreadable rows among them.
    catalog
        Of those, descriptions of items, which are no shopper's events.
    ignored
        Rows of kinds that Headrace has no use for, by kind.
    unreadable
        Rows sent as they stood, to end among the dead letters.
    problems
        The first few of them: line and sentence.
    users
        Distinct shoppers in what was sent.
    recent
        The newest events of shoppers, newest last.
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
    """Feeds rows; `stop` ends it between two of them.

    Parameters
    ----------
    outbox
        Where records go.
    rate
        Events a second; 0 goes as fast as it can.
    stop
        Set it from another thread to end the feeding.
    has_room
        Asked before each record; while it says no, the feeder waits.
    monotonic
        The clock of the schedule.
    sleep
        Waits so many seconds or until `stop` is set; by default on `stop`.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        rate: float = 0,
        stop: threading.Event | None = None,
        has_room: Callable[[], bool] = lambda: True,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.tally: Final = Tally()
        self._outbox = outbox
        self._pacer = Pacer(rate)
        self._stop = stop if stop is not None else threading.Event()
        self._has_room = has_room
        self._monotonic = monotonic
        self._sleep = sleep if sleep is not None else self._stop.wait

    def feed(self, rows: Iterable[Row]) -> None:
        """Feed all rows, or those before `stop`; returns without waiting for acknowledgements.

        Raises
        ------
        UserError
            If the outbox cannot send.
        """
        for row in rows:
            if isinstance(row, Ignored):
                self.tally.ignored[row.kind] += 1
                self.tally.rows += 1
                continue
            if not self._turn():
                return
            if isinstance(row, Mapped):
                self._send(row)
            else:
                self._send_unreadable(row)
            self.tally.sent += 1
            self.tally.rows += 1

    def _turn(self) -> bool:
        """Wait for the next place in the schedule; False if stopped meanwhile."""
        wait = self._pacer.wait(self._monotonic())
        if wait > 0:
            self._sleep(wait)
        while not self._stop.is_set() and not self._has_room():
            self._sleep(0.005)
        return not self._stop.is_set()

    def _send(self, row: Mapped) -> None:
        try:
            record = event_record(row.event)
        except (ValueError, OverflowError) as error:  # a number or a character that JSON cannot hold
            self._send_unreadable(
                Unreadable(row.line, repr(row.event).encode("utf-8", "replace"), str(error))
            )
            return
        if len(record.value) > MAX_RECORD_BYTES:
            self._send_unreadable(Unreadable(row.line, record.value, "too long for Kafka", record.topic))
            return
        self._outbox.send(record)
        if isinstance(row.event, CatalogItem):
            self.tally.catalog += 1
        else:
            self.tally.users.add(row.event.user_id)
            self.tally.recent.append(row.event)

    def _send_unreadable(self, row: Unreadable) -> None:
        self._outbox.send(unreadable_record(row))
        self.tally.unreadable += 1
        if len(self.tally.problems) < PROBLEMS_KEPT:
            self.tally.problems.append((row.line, row.problem))
