"""The agent of user events.

One stream over all user event topics, so that a user's click, search and purchase are processed in the order of the
broker's timestamps. The handler decodes and checks an event; `stream_app.worker.event_processor` processes it.
"""

import logging
from collections.abc import AsyncIterable, Callable, Coroutine, Mapping
from time import perf_counter
from types import MappingProxyType
from typing import Any, Final, Protocol

from state.dedup import RecordId
from state.user_rows import StoreError
from stream_app.kafka.batch_producer import DeliveryError
from stream_app.kafka.event_origin import EventOrigin, read_origin
from stream_app.metrics import EventMetrics
from stream_app.publishing.pending_queue import PendingQueue
from stream_app.stage_metrics import StageTimes, WorkStage
from stream_app.worker.dead_letter_writer import DeadLetterWriter
from stream_app.worker.direct_delivery import RawSchema
from stream_app.worker.event_processor import EventProcessor
from topics.codec import Limits, RejectedError, RejectReason, decode
from topics.event_types import EVENT_TYPES
from topics.events import UserEvent

_LOG: Final = logging.getLogger(__name__)

MAX_FORWARDED_BYTES: Final = 1_000_000
"""Largest value that is forwarded: Kafka's default limit of a message, less room for the key."""


class CatchUpBarrier(Protocol):
    """Open while the replica has folded everything that was in the log when the partitions were assigned.

    `stream_app.worker.catch_up_barrier.CatchUpBarrier`.
    """

    def is_set(self) -> bool:
        """Whether the barrier is open."""

    async def wait(self) -> Any:
        """Wait until the barrier opens, or the partitions are revoked."""

    async def unless_suspended(self, waited: Coroutine[Any, Any, object]) -> None:
        """Wait for something, at most until the partitions are revoked."""


class RecordForwarder(Protocol):
    """Sends a record to the partition that its key belongs to."""

    async def __call__(self, message: Any, user_id: str) -> None:
        """Send a Kafka message (Faust's); no offset is committed before Kafka has acknowledged it."""


class ForwardedEvents(Protocol):
    """What was forwarded to this worker's partitions; `stream_app.worker.position_log.PositionLog`."""

    def is_repeated(self, topic: str, partition: int, origin: EventOrigin) -> bool:
        """Whether a forwarded event was forwarded, and processed, before."""

    def on_processed(self, topic: str, partition: int, origin: EventOrigin) -> None:
        """Remember a forwarded event, after its row was written."""


class StoreWaiter(Protocol):
    """Waits while the local store fails; `stream_app.worker.store_retry.StoreRetry`."""

    async def wait(self, error: StoreError) -> None:
        """Wait before an event is handled again."""

    def on_success(self) -> None:
        """Note that an event was handled."""


class UserEventHandler:
    """Decodes and checks user events; independent of Faust.

    Parameters
    ----------
    partition_of
        The partition that a user's events belong to; None to accept events in every partition.
    offset_bases
        What is added to the offsets of each topic, so that they grow over all incarnations of it.
    forwarded
        Finds events that a worker forwarded again after a crash; None finds none.
    stage_times
        Where the time of decoding is added; None measures nothing.
    """

    def __init__(
        self,
        processor: EventProcessor,
        dead_letters: DeadLetterWriter,
        metrics: EventMetrics,
        limits: Limits,
        partition_of: Callable[[str], int] | None = None,
        offset_bases: Mapping[str, int] = MappingProxyType({}),
        forwarded: ForwardedEvents | None = None,
        stage_times: StageTimes | None = None,
    ) -> None:
        self._processor = processor
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._limits = limits
        self._partition_of = partition_of
        self._forwarded = forwarded
        self._times = StageTimes() if stage_times is None else stage_times
        self._bases: Final = {
            event_type.topic: offset_bases.get(event_type.topic, 0) for event_type in EVENT_TYPES
        }
        self._event_types: Final = {event_type.topic: event_type for event_type in EVENT_TYPES}

    def handle(self, message: Any) -> UserEvent | None:
        """Handle one Kafka message (Faust's).

        Returns
        -------
        UserEvent or None
            The event if it must be forwarded: its key is not its user id, or it is in another partition than its
            user's, since the producer uses another partitioner. None if it was processed or became a dead letter.

        Raises
        ------
        StoreError
            If the row cannot be read or written; nothing of the event was written or learned, and it can be handled
            again.
        """
        event_type, started = self._event_types[message.topic], perf_counter()
        try:
            event = decode(message.value, event_type.struct, received=message.timestamp, limits=self._limits)
            self._times[WorkStage.DECODE] += perf_counter() - started
            if message.key is None or message.key != event.user_id.encode():
                _check_forwarded_size(message.value)
                self._metrics.events.labels(message.topic, "rekeyed").inc()
                return event
            if self._partition_of is not None and message.partition != self._partition_of(event.user_id):
                # The row of the user is in the other partition. Its watermarks are offsets of that partition.
                _check_forwarded_size(message.value)
                self._metrics.events.labels(message.topic, "misplaced").inc()
                return event
            record_id = RecordId(
                event_type.source, message.partition, message.offset + self._bases[message.topic]
            )
            origin = read_origin(message.headers, message.key, message.value) if message.headers else None
            if origin is None or self._forwarded is None:
                self._processor.process(event, event_type, record_id, message.timestamp)
            else:
                at = (message.topic, message.partition, origin)
                is_repeated = self._forwarded.is_repeated(*at)
                self._processor.process(
                    event, event_type, record_id, message.timestamp, is_repeated=is_repeated
                )
                self._forwarded.on_processed(*at)
        except RejectedError as error:
            self._dead_letters.write(message, error)
        except (DeliveryError, StoreError):
            # Kafka is unavailable: no dead letter can be written, so the event must be read again. Or the local store
            # cannot be written to: the event is sound, and is handled again when it can.
            raise
        except Exception as error:  # noqa: BLE001  # any other failure becomes a dead letter
            _LOG.exception(
                "could not process event %s[%s]@%s; written to the dead letters",
                message.topic,
                message.partition,
                message.offset,
            )
            failed = RejectedError(RejectReason.FOLD_FAILED, f"{type(error).__name__}: {error}")
            self._dead_letters.write(message, failed)
        return None


def _check_forwarded_size(value: bytes) -> None:
    if len(value) > MAX_FORWARDED_BYTES:
        raise RejectedError(
            RejectReason.INVALID_VALUE,
            f"it is not in the partition of its user_id, and {len(value)} bytes are too many to forward",
        )


async def _handle(
    events: UserEventHandler,
    message: Any,
    forward: RecordForwarder,
    store: StoreWaiter,
    is_current_assignment: Callable[[Any], bool],
) -> bool:
    """Handle a message as soon as the local store works; False if its partition is revoked."""
    while is_current_assignment(message):
        try:
            event_to_forward = events.handle(message)
        except StoreError as error:
            await store.wait(error)
        else:
            store.on_success()
            if event_to_forward is not None:
                await forward(message, event_to_forward.user_id)
            return True
    return False


def declare_users_agent(
    app: Any,
    events: UserEventHandler,
    queue: PendingQueue,
    catch_up_barrier: CatchUpBarrier,
    forward: RecordForwarder,
    store: StoreWaiter,
    is_current_assignment: Callable[[Any], bool] = lambda _: True,
) -> None:
    """Declare the agent on a Faust application.

    Parameters
    ----------
    queue
        Holds the agent back while too many users are pending.
    catch_up_barrier
        Holds the agent back until the replica has caught up.
    store
        Holds the agent back while the local store fails.
    is_current_assignment
        Whether a message belongs to the current assignment of partitions, which is not being revoked.
    """
    topic = app.topic(*(event_type.topic for event_type in EVENT_TYPES), schema=RawSchema())

    async def users(stream: AsyncIterable[Any]) -> None:
        async for event in stream.events():  # type: ignore[attr-defined]
            message = event.message
            if not catch_up_barrier.is_set():
                await catch_up_barrier.wait()
            if await _handle(events, message, forward, store, is_current_assignment):
                capacity = queue.wait_for_capacity(stream.channel.queue.qsize())  # type: ignore[attr-defined]
                # Redis may be unavailable for long; a rebalance waits for the event that the agent has.
                has_capacity = queue.has_capacity.is_set()
                await (capacity if has_capacity else catch_up_barrier.unless_suspended(capacity))
            else:
                # The new owner of its partition reads it again: Faust must not count it.
                message.acked = True

    app.agent(topic, name="users")(users)
