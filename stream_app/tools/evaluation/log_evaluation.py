"""The prequential harness: fold the rows of a log as a worker folds its events; measure, then learn.

`EventsEvaluation`, `RerankEvaluation` and the event-log trials of `headrace tune` are `LogEvaluation` classes.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from state.dedup import RecordId
from state.fold import FoldOutcome, fold, segments_of
from state.row import EMPTY_ROW, UserRow
from stream_app.kafka.event_records import event_record
from stream_app.models.base import Context
from stream_app.models.id_entrance import CONTEXT_LENGTH
from stream_app.models.model_set import ModelSet
from stream_app.ranking.request import RankRequest
from stream_app.ranking.row_request import make_rank_request
from stream_app.tools.feeds.rows import EventRow, IgnoredRow, Row
from stream_app.tools.progress import OpenProgress, no_progress
from topics.codec import Limits, RejectedError, decode
from topics.event_types import BY_STRUCT
from topics.events import CatalogItem, UserEvent
from topics.records import Interaction, Source

_NO_AGE_LIMITS: Final = Limits(max_future=0.0, max_age=0.0)  # the reception time is the event time

Results = TypeVar("Results")


class LogEvaluation(ABC, Generic[Results]):
    """Decode and check events from their JSON, fold them into the users' rows, measure, let the models learn.

    A subclass measures lists in `on_accepted`.

    Parameters
    ----------
    models, *further
        Learn every accepted interaction, after `on_accepted`, and every catalog entry.
    session_gap
        Seconds of inactivity that close a session.
    """

    def __init__(
        self,
        models: ModelSet,
        *further: ModelSet,
        session_gap: float,
        title: str = "",
        open_progress: OpenProgress = no_progress,
    ) -> None:
        self._models = models
        self._model_sets = (models, *further)
        self._session_gap = session_gap
        self._rows: dict[str, UserRow] = {}
        self._offsets: Counter[Source] = Counter()
        self._row_counts: Counter[str] = Counter()
        self._title = title
        self._open_progress = open_progress
        self._number_of_user: dict[str, int] = {}
        self._user_numbers: list[int] = []

    def run(self, rows: Iterable[Row], total: int) -> Results:
        """Consume every row and return the results."""
        with self._open_progress(self._title, total) as update_progress:
            for done, row in enumerate(rows, start=1):
                self.consume(row)
                update_progress(done)
        return self.results()

    def consume(self, row: Row) -> None:
        """Fold one row."""
        if not isinstance(row, EventRow):
            self._row_counts["ignored" if isinstance(row, IgnoredRow) else "unreadable"] += 1
            return
        try:
            record = event_record(row.event)
            event = decode(record.value, type(row.event), received=row.event.time, limits=_NO_AGE_LIMITS)
        except (RejectedError, ValueError, OverflowError):
            self._row_counts["rejected"] += 1
            return
        if isinstance(event, CatalogItem):
            for models in self._model_sets:
                models.learn_catalog(event)
            self._row_counts["catalog"] += 1
        else:
            source = BY_STRUCT[type(event)].source
            record_id = RecordId(source, 0, self._offsets[source])
            self._offsets[source] += 1
            self._row_counts[str(self._fold(event, record_id))] += 1

    def _fold(self, event: UserEvent, record_id: RecordId) -> FoldOutcome:
        row_before = self._rows.get(event.user_id, EMPTY_ROW)
        row_after, outcome, interaction = fold(row_before, event, record_id, self._session_gap)
        if outcome is FoldOutcome.ACCEPTED:
            self.on_accepted(event, row_before, row_after)
        self._rows[event.user_id] = row_after
        if interaction is not None:
            self.learn(interaction)
        return outcome

    def learn(self, interaction: Interaction) -> None:
        """Let the models learn an interaction."""
        for models in self._model_sets:
            models.learn(interaction)

    @abstractmethod
    def on_accepted(self, event: UserEvent, row_before: UserRow, row_after: UserRow) -> None:
        """Measure the lists of an event before the models learn it."""

    @abstractmethod
    def results(self) -> Results:
        """Results of the rows consumed so far.

        Raises
        ------
        UserError
            If there was no choice to measure.
        """

    def add_measured_list(self, user_id: str) -> None:
        """Count one measured list of a user."""
        self._user_numbers.append(self._number_of_user.setdefault(user_id, len(self._number_of_user)))

    @property
    def n_lists(self) -> int:
        """Number of measured lists."""
        return len(self._user_numbers)

    @property
    def users(self) -> NDArray[np.int64]:
        """User of each measured list, numbered from 0; the clusters of the bootstrap."""
        return np.array(self._user_numbers, np.int64)

    @property
    def row_counts(self) -> dict[str, int]:
        """Rows by outcome, sorted by name.

        Outcomes are accepted, duplicate, catalog, rejected (a worker would write the event to the dead letters),
        unreadable and ignored.
        """
        return dict(sorted(self._row_counts.items()))

    @property
    def row_summary(self) -> str:
        """Rows by outcome, for an error message."""
        return ", ".join(f"{count} {outcome}" for outcome, count in self._row_counts.items()) or "no rows"


def chosen_items(event: UserEvent) -> frozenset[str]:
    """The items of a click or purchase; empty for every other event."""
    event_type = BY_STRUCT[type(event)]
    if event_type.read is None or not event_type.is_choice:
        return frozenset()
    return frozenset(line.item_id for line in event_type.read(event).lines)


def choice_request(event: UserEvent, row: UserRow, models: ModelSet, buy_again: float = 0.0) -> RankRequest:
    """The request for a user's list just before an event.

    Parameters
    ----------
    event
        A click or purchase.
    models
        Their newest event time dates the request of a user without a row.
    buy_again
        Seconds after which a bought item may be listed again; 0 for never.
    """
    request = make_rank_request(event.user_id, row, buy_again)
    if row is not EMPTY_ROW:
        return request
    # The web tier knows country and channel of the page even where the user is new.
    return request._replace(segments=segments_of(event), now=models.newest)


def model_context(models: ModelSet, request: RankRequest) -> Context:
    """The context that the ranker would give each model for this request."""
    start = max(0, len(request.items) - CONTEXT_LENGTH)
    return models.context(
        request.user_id,
        request.items[start:],
        request.times[start:],
        max(0, request.session_start - start),
        request.segments,
        request.now,
        models.tracker.query(request.user_id, request.now),
        request.kinds[start:],
    )
