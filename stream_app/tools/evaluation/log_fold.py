"""Fold the rows of a log as a worker folds its events."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from state.dedup import RecordId
from state.fold import FoldOutcome, fold
from state.row import EMPTY_ROW, UserRow
from stream_app.kafka.event_records import event_record
from stream_app.models.model_set import ModelSet
from stream_app.tools.feeds.rows import EventRow, IgnoredRow, Row
from topics.codec import Limits, RejectedError, decode
from topics.event_types import BY_STRUCT
from topics.events import CatalogItem, UserEvent
from topics.records import Source

_NO_AGE_LIMITS: Final = Limits(max_future=0.0, max_age=0.0)  # the reception time is the event time

OnAccepted = Callable[[UserEvent, UserRow, UserRow], None]
"""Receives an accepted event and the user's row before and after it, before the models learn the event."""


class LogFold:
    """Decode and check events from their JSON, fold them into the users' rows, let the models learn them.

    Parameters
    ----------
    models
        Learn every accepted interaction and catalog entry.
    session_gap
        Seconds of inactivity that close a session.
    on_accepted
        Called with each accepted event before it is learned.

    Attributes
    ----------
    events
        Rows by outcome: accepted, duplicate, catalog, rejected (a worker would write them to the dead letters),
        unreadable, ignored.

    Examples
    --------
    >>> from topics.events import Click
    >>> def print_event(event, row_before, row_after):
    ...     print(event.item_id, len(row_before.recent), len(row_after.recent), len(models.index))
    >>> models = ModelSet(["popularity"])
    >>> log = LogFold(models, 1800.0, print_event)
    >>> log.consume(EventRow(1, Click(event_id="1", user_id="ann", ts=1_000, item_id="shoe")))
    shoe 0 1 0
    >>> len(models.index), dict(log.events)
    (1, {'accepted': 1})
    """

    def __init__(self, models: ModelSet, session_gap: float, on_accepted: OnAccepted) -> None:
        self._models = models
        self._session_gap = session_gap
        self._on_accepted = on_accepted
        self._rows: dict[str, UserRow] = {}
        self._offsets: Counter[Source] = Counter()
        self.events: Counter[str] = Counter()

    def consume(self, row: Row) -> None:
        """Fold one row."""
        if not isinstance(row, EventRow):
            self.events["ignored" if isinstance(row, IgnoredRow) else "unreadable"] += 1
            return
        try:
            record = event_record(row.event)
            event = decode(record.value, type(row.event), received=row.event.time, limits=_NO_AGE_LIMITS)
        except (RejectedError, ValueError, OverflowError):
            self.events["rejected"] += 1
            return
        if isinstance(event, CatalogItem):
            self._models.learn_catalog(event)
            self.events["catalog"] += 1
        else:
            source = BY_STRUCT[type(event)].source
            record_id = RecordId(source, 0, self._offsets[source])
            self._offsets[source] += 1
            self.events[str(self._fold(event, record_id))] += 1

    def _fold(self, event: UserEvent, record_id: RecordId) -> FoldOutcome:
        row_before = self._rows.get(event.user_id, EMPTY_ROW)
        row_after, outcome, interaction = fold(row_before, event, record_id, self._session_gap)
        if outcome is FoldOutcome.ACCEPTED:
            self._on_accepted(event, row_before, row_after)
        self._rows[event.user_id] = row_after
        if interaction is not None:
            self._models.learn(interaction)
        return outcome
