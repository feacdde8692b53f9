"""The agent of the shoppers' events.

One stream over all their topics, so that a shopper's click, search and purchase are taken in the order the
broker dated them. An event is decoded and checked, folded into the shopper's row, its interaction sent to the log
and folded into this worker's models, the list it reacts to rewarded, and the shopper marked dirty: all that without
waiting for anything.
"""

import logging
from collections.abc import AsyncIterable, Callable
from typing import Any, Final, Protocol

import msgspec

from state.dedup import RecordId
from state.fold import FoldOutcome, fold
from state.user_table import UserRowStore
from stream_app.kafka.append import DeliveryCallbacks, RecordAppender
from stream_app.kafka.batch_producer import DeliveryError
from stream_app.metrics import Metrics
from stream_app.publishing.flush_loop import FlushLoop
from stream_app.publishing.pending_queue import PendingQueue
from stream_app.publishing.prequential import PrequentialEvaluator
from stream_app.worker.dead_letter_writer import DeadLetterWriter
from stream_app.worker.faust_transport import RawSchema
from stream_app.worker.replica import Replica
from stream_app.worker.reward_attributor import RewardAttributor
from topics.catalog import INTERACTIONS
from topics.codec import Limits, RejectedError, RejectReason, decode
from topics.event_types import EVENT_TYPES, Effect, EventType
from topics.events import UserEvent
from topics.records import Interaction

_LOG: Final = logging.getLogger(__name__)
_encoder: Final = msgspec.msgpack.Encoder()

MAX_FORWARDED_BYTES: Final = 1_000_000
"""Largest record that is forwarded: what Kafka takes by default, less some room for its key."""


class CatchUpBarrier(Protocol):
    """Open while this worker's replica holds all that was in the log when its partitions were assigned."""

    def is_set(self) -> bool:
        """Whether it is open."""

    async def wait(self) -> Any:
        """Wait until it is."""


class RecordForwarder(Protocol):
    """Sends a record to the partition its key belongs to."""

    async def __call__(self, topic: str, key: bytes, value: bytes) -> None:
        """Send it and wait until Kafka has it."""


class UserEventHandler:
    """Handles the shoppers' events, independent of Faust.

    Parameters
    ----------
    rows, replica, flush_loop, lists, rewards
        What an event changes.
    append
        Where interactions go.
    dead_letters
        Where what cannot be taken goes.
    metrics
        Outcomes.
    limits
        The clock that events are held against.
    session_gap
        Seconds of inactivity that close a session.
    """

    def __init__(
        self,
        rows: UserRowStore,
        replica: Replica,
        flush_loop: FlushLoop,
        lists: PrequentialEvaluator,
        rewards: RewardAttributor,
        append: RecordAppender,
        dead_letters: DeadLetterWriter,
        metrics: Metrics,
        *,
        limits: Limits,
        session_gap: float,
    ) -> None:
        self._rows = rows
        self._replica = replica
        self._flush_loop = flush_loop
        self._queue = flush_loop.queue
        self._lists = lists
        self._rewards = rewards
        self._append = append
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._limits = limits
        self._session_gap = session_gap
        self._event_types: Final = {event_type.topic: event_type for event_type in EVENT_TYPES}
        self._on_delivered: Final = DeliveryCallbacks(replica.on_delivered)
        self._counters: Final = {
            (topic, outcome): metrics.events.labels(topic, str(outcome))
            for topic in self._event_types
            for outcome in FoldOutcome
        }

    def handle(self, message: Any) -> UserEvent | None:
        """Take one Kafka message (Faust's).

        Returns
        -------
        UserEvent or None
            The event, where its key names another partition than its shopper's and it must be forwarded there;
            otherwise None: it was taken, or is in the dead letters.
        """
        event_type = self._event_types[message.topic]
        try:
            event = decode(message.value, event_type.struct, received=message.timestamp, limits=self._limits)
            if message.key is None or message.key != event.user_id.encode():
                if len(message.value) > MAX_FORWARDED_BYTES:
                    raise RejectedError(  # noqa: TRY301
                        RejectReason.INVALID_VALUE,
                        f"its key is not its user_id, and {len(message.value)} bytes are too many to forward",
                    )
                self._metrics.events.labels(message.topic, "rekeyed").inc()
                return event
            self._process(
                event, event_type, message, RecordId(event_type.source, message.partition, message.offset)
            )
        except RejectedError as error:
            self._dead_letters.write(message, error)
        except DeliveryError:
            # Kafka is away: nothing can be written down, so the event must be read again.
            raise
        except Exception as error:  # noqa: BLE001  # it becomes a dead letter, whatever it is
            _LOG.exception("could not fold %s[%s]@%s", message.topic, message.partition, message.offset)
            failed = RejectedError(RejectReason.FOLD_FAILED, f"{type(error).__name__}: {error}")
            self._dead_letters.write(message, failed)
        return None

    def _process(self, event: UserEvent, event_type: EventType, message: Any, record_id: RecordId) -> None:
        user_id = event.user_id
        row, outcome, interaction = fold(self._rows.get(user_id), event, record_id, self._session_gap)
        if outcome is FoldOutcome.DUPLICATE:
            self._metrics.duplicates.labels(message.topic).inc()
            self._counters[message.topic, outcome].inc()
            return
        accepted = outcome is FoldOutcome.ACCEPTED
        if accepted and event_type.is_choice and interaction is not None:
            self._measure(interaction, message.timestamp)
        # A row read again after a crash is written again too: the store on disk may be ahead of the changelog.
        self._rows.put(user_id, row, record_id.partition)
        if interaction is not None:
            self._learn(interaction, message)
        effect = event_type.effect
        # A duplicate that is read again has no interaction; a second impression makes nothing seen anyway.
        if interaction is not None or effect is Effect.EXPOSURE:
            self._rewards.process_event(event, record_id, message.timestamp, is_new=accepted)
        if effect is Effect.ERASURE:
            self._flush_loop.erase(user_id)
        elif effect is Effect.SEARCH:
            self._queue.mark_search_pending(user_id, message.timestamp)
        elif effect is Effect.REACTION:
            # what a shopper was shown is no news of what they like: the list they were shown stays
            self._queue.mark_pending(user_id, message.timestamp)
        self._counters[message.topic, outcome].inc()

    def _measure(self, interaction: Interaction, ts: float) -> None:
        for line in interaction.lines:
            self._lists.evaluate_interaction(interaction.user_id, line.item_id, ts)

    def _learn(self, interaction: Interaction, message: Any) -> None:
        partition = message.partition
        value = _encoder.encode(interaction)
        self._append(INTERACTIONS.name, partition, message.key, value, self._on_delivered[partition])
        stale = self._replica.fold_local(interaction)
        if stale.query:
            self._queue.invalidate_query(stale.query)
        if stale.items:
            self._queue.invalidate(stale.items, stale.segments)


def declare_users_agent(
    app: Any,
    events: UserEventHandler,
    queue: PendingQueue,
    catch_up_barrier: CatchUpBarrier,
    forward: RecordForwarder,
    is_current_assignment: Callable[[Any], bool] = lambda _: True,
) -> None:
    """Declare the agent on a Faust application.

    Parameters
    ----------
    app
        The Faust application.
    events, queue, catch_up_barrier, forward
        What the agent uses.
    is_current_assignment
        Whether a message is of the assignment of now.
    """
    topic = app.topic(*(event_type.topic for event_type in EVENT_TYPES), schema=RawSchema())

    async def users(stream: AsyncIterable[Any]) -> None:
        async for event in stream.events():  # type: ignore[attr-defined]
            if not catch_up_barrier.is_set():
                await catch_up_barrier.wait()
                if not is_current_assignment(event.message):
                    # Its partition may have gone while it waited; whoever owns it now reads it again.
                    continue
            event_to_forward = events.handle(event.message)
            if event_to_forward is not None:
                await forward(event.message.topic, event_to_forward.user_id.encode(), event.message.value)
            await queue.wait_for_capacity(stream.channel.queue.qsize())  # type: ignore[attr-defined]

    app.agent(topic, name="users")(users)
