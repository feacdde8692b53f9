"""The rows of a log, each taken the way an event takes in a worker."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from state.dedup import Place
from state.fold import Outcome, fold
from state.row import EMPTY_ROW, UserRow
from stream_app.kafka.event_records import event_record
from stream_app.models.model_set import ModelSet
from stream_app.tools.feeds.rows import Ignored, Mapped, Row
from topics.catalog import topic_of
from topics.codec import Limits, RejectedError, decode
from topics.events import CatalogItem, UserEvent

_ANY_AGE: Final = Limits(max_future=0.0, max_age=0.0)  # each event is held against its own time

Accepted = Callable[[UserEvent, UserRow, UserRow], None]
"""Told an accepted event with the shopper's row before and after it, just before the models learn it."""


class LogFold:
    """Decodes and checks events from their JSON, folds them into shoppers' rows, lets the models learn them.

    Parameters
    ----------
    models
        Learn.
    session_gap
        Seconds of inactivity that close a session.
    accepted
        Told of each event before it is learned.

    Attributes
    ----------
    events
        Rows by what became of them: accepted, duplicate, catalogue, rejected (a worker would write it to the dead
        letters), unreadable, ignored.

    Examples
    --------
    >>> from topics.events import Click
    >>> def told(event, before, after):
    ...     print(event.item_id, len(before.recent), len(after.recent), len(models.index))
    >>> models = ModelSet(["popularity"])
    >>> log = LogFold(models, 1800.0, told)
    >>> log.take(Mapped(1, Click(event_id="1", user_id="ann", ts=1_000, item_id="shoe")))
    shoe 0 1 0
    >>> len(models.index), dict(log.events)
    (1, {'accepted': 1})
    """

    def __init__(self, models: ModelSet, session_gap: float, accepted: Accepted) -> None:
        self._models = models
        self._session_gap = session_gap
        self._accepted = accepted
        self._rows: dict[str, UserRow] = {}
        self._offsets: Counter[str] = Counter()
        self.events: Counter[str] = Counter()

    def take(self, row: Row) -> None:
        """Take one row."""
        if not isinstance(row, Mapped):
            self.events["ignored" if isinstance(row, Ignored) else "unreadable"] += 1
            return
        spec = topic_of(type(row.event))
        try:
            record = event_record(row.event)
            event = decode(record.value, type(row.event), received=row.event.time, limits=_ANY_AGE)
        except (RejectedError, ValueError, OverflowError):
            self.events["rejected"] += 1
            return
        if isinstance(event, CatalogItem):
            self._models.learn_catalog(event)
            self.events["catalogue"] += 1
        elif isinstance(event, UserEvent) and spec.source is not None:
            place = Place(spec.source, 0, self._offsets[spec.name])
            self._offsets[spec.name] += 1
            self.events[str(self._fold(event, place))] += 1

    def _fold(self, event: UserEvent, place: Place) -> Outcome:
        before = self._rows.get(event.user_id, EMPTY_ROW)
        after, outcome, interaction = fold(before, event, place, self._session_gap)
        if outcome is Outcome.ACCEPTED:
            self._accepted(event, before, after)
        self._rows[event.user_id] = after
        if interaction is not None:
            self._models.learn(interaction)
        return outcome
