"""Processes a checked event of a user: five steps in a fixed order, without waiting for anything."""

import logging
from collections.abc import Callable
from enum import StrEnum
from time import perf_counter
from typing import Final, ParamSpec

import msgspec

from state.dedup import RecordId
from state.fold import FoldOutcome, fold
from state.user_rows import StoreError, UserRowStore
from stream_app.kafka.append import DeliveryCallbacks, RecordAppender
from stream_app.kafka.batch_producer import DeliveryError
from stream_app.metrics import EventMetrics
from stream_app.publishing.flush_loop import FlushLoop
from stream_app.publishing.prequential import PrequentialEvaluator
from stream_app.stage_metrics import StageTimes, WorkStage
from stream_app.worker.replica import Replica
from stream_app.worker.reward_attributor import RewardAttributor
from topics.catalog import INTERACTIONS
from topics.event_types import EVENT_TYPES, Effect, EventType
from topics.events import UserEvent
from topics.log_keys import event_key
from topics.records import Interaction

_LOG: Final = logging.getLogger(__name__)
_encoder: Final = msgspec.msgpack.Encoder()
_Arguments = ParamSpec("_Arguments")


class Step(StrEnum):
    """What is done with a stored event; also the `step` label of the metric of failures."""

    MEASURE = "measure"
    LEARN = "learn"
    ATTRIBUTE = "attribute"
    MARK = "mark"


class EventProcessor:
    """Processes user events.

    Parameters
    ----------
    session_gap
        Seconds of inactivity that close a session.
    stage_times
        Where the time of each stage is added; None measures nothing.
    """

    def __init__(
        self,
        rows: UserRowStore,
        replica: Replica,
        flush_loop: FlushLoop,
        prequential: PrequentialEvaluator,
        rewards: RewardAttributor,
        append: RecordAppender,
        metrics: EventMetrics,
        session_gap: float,
        stage_times: StageTimes | None = None,
    ) -> None:
        self._rows = rows
        self._replica = replica
        self._flush_loop = flush_loop
        self._queue = flush_loop.queue
        self._clock = flush_loop.clock
        self._prequential = prequential
        self._rewards = rewards
        self._append = append
        self._session_gap = session_gap
        self._times = StageTimes() if stage_times is None else stage_times
        self._on_delivered: Final = DeliveryCallbacks(replica.on_delivered)
        self._topics: Final = {event_type.source: event_type.topic for event_type in EVENT_TYPES}
        topics = self._topics.values()
        self._duplicates: Final = {topic: metrics.duplicates.labels(topic) for topic in topics}
        self._counters: Final = {
            (topic, outcome): metrics.events.labels(topic, str(outcome))
            for topic in topics
            for outcome in FoldOutcome
        }
        self._failures: Final = {step: metrics.step_failures.labels(str(step)) for step in Step}

    def process(
        self,
        event: UserEvent,
        event_type: EventType,
        record_id: RecordId,
        ts: float,
        *,
        is_repeated: bool = False,
    ) -> None:
        """Process an event.

        The order of the steps is a contract: each step relies on the ones before it. The records that the steps
        append to Kafka are acknowledged before the event's offset is committed
        (`stream_app.worker.faust_transport`), so that after a crash the event is read again and each step runs again.

        Up to the first step nothing is stored: an error there leaves no trace of the event, so that it can be sent
        again. From then on the row has the event, and would take it for a duplicate: a defect in a later step is
        logged and counted, and does not keep the other steps from it.

        Parameters
        ----------
        ts
            The broker's timestamp of the event, seconds since the epoch.
        is_repeated
            Whether an earlier record has the event: it was forwarded again after a crash. It is dropped, unless the
            row has this very record, whose interaction may be missing in the log.
        """
        times, started = self._times, perf_counter()
        now = self._clock() if event_type.effect is Effect.ERASURE else 0.0
        previous_row = self._rows.get(event.user_id)
        row, outcome, interaction = fold(previous_row, event, record_id, self._session_gap, now)
        folded = perf_counter()
        times[WorkStage.FOLD] += folded - started
        if is_repeated and outcome is not FoldOutcome.REPLAYED:
            self._counters[event_type.topic, FoldOutcome.REPLAYED].inc()
            return
        if outcome is FoldOutcome.DUPLICATE:
            self._duplicates[event_type.topic].inc()
        if outcome is FoldOutcome.DUPLICATE or outcome is FoldOutcome.ERASED:
            self._counters[event_type.topic, outcome].inc()
            return
        is_new = outcome is FoldOutcome.ACCEPTED
        record = None if interaction is None else _encoder.encode(interaction)
        # 1. Put the row. If the local store fails, nothing has happened yet, and the event is processed again. The
        #    row precedes the interaction: of a replayed event the row may already be stored, and the fold then
        #    returns the same interaction again. A replayed row is also written again, since the local store may be
        #    ahead of the changelog.
        self._rows.put(event.user_id, row, record_id.partition)
        stored = perf_counter()
        times[WorkStage.TABLE] += stored - folded
        # 2. Measure. The list is judged by an event that neither it nor the models have seen.
        if is_new and event_type.is_choice and interaction is not None:
            self._run(Step.MEASURE, record_id, self._prequential.measure, interaction, ts)
        # 3. Learn: append the interaction to the log, and fold it here at once, so that step 5 publishes a list
        #    that reflects it.
        if interaction is not None:
            partition = record_id.partition
            key = event_key(event.user_id.encode(), record_id.source, partition, record_id.offset)
            self._append(INTERACTIONS.name, partition, key, record, self._on_delivered[partition])
            self._run(Step.LEARN, record_id, self._learn, interaction)
        # 4. Attribute. It follows step 3: policies that learn the reward find its item in the models. A replayed
        #    duplicate has no interaction and no reward; a repeated impression marks nothing as seen.
        if interaction is not None or event_type.effect is Effect.EXPOSURE:
            process = self._rewards.process_event
            self._run(Step.ATTRIBUTE, record_id, process, event, record_id, ts, is_new=is_new)
        times[WorkStage.LEARN] += perf_counter() - stored
        if event_type.effect is Effect.ERASURE:
            # Lists of an earlier version, or of queries that the model has evicted.
            self._queue.withdraw_queries([search.query for search in previous_row.queries])
        # 5. Mark pending, last: the flush loop reads the row, the models and the lists as steps 1 to 4 left them.
        #    A replayed event of an erased user erases once more: its interaction is on the log again.
        effect = Effect.ERASURE if row.erasure is not None and row.is_to_be_erased else event_type.effect
        self._run(Step.MARK, record_id, self._mark_pending, event.user_id, effect, ts)
        self._counters[event_type.topic, outcome].inc()

    def _run(
        self,
        step: Step,
        record_id: RecordId,
        action: Callable[_Arguments, None],
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> None:
        """Run a step of an event whose row is stored; a defect in it ends neither the event nor the worker."""
        try:
            action(*args, **kwargs)
        except (DeliveryError, StoreError):
            # The event is read or handled again.
            raise
        except Exception:  # noqa: BLE001  # see the order of the steps
            self._failures[step].inc()
            _LOG.exception(
                "could not %s event %s[%s]@%s, which is stored; going on with the next step",
                step,
                self._topics[record_id.source],
                record_id.partition,
                record_id.offset,
            )

    def _learn(self, interaction: Interaction) -> None:
        stale = self._replica.fold_local(interaction)
        if stale.withdrawn_queries:
            self._queue.withdraw_queries(stale.withdrawn_queries)
        if stale.query:
            self._queue.invalidate_query(stale.query)
        if stale.items:
            self._queue.invalidate(stale.items, stale.segments)

    def _mark_pending(self, user_id: str, effect: Effect, ts: float) -> None:
        if effect is Effect.ERASURE:
            self._flush_loop.erase(user_id)
        elif effect is Effect.SEARCH:
            self._queue.mark_search_pending(user_id, ts)
        elif effect is Effect.REACTION:
            self._queue.mark_pending(user_id, ts)
        # An exposure is no evidence of the user's interests: the displayed list stays.
