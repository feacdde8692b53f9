"""A producer and a consumer that reduce Faust's cost per event without changing its guarantees.

`docs/decisions/` has the measurements. The order of a commit, once a second, is:

1. Faust selects the offsets of the events that the agents have processed. Their rows, interactions, rewards and dead
   letters were appended to the batch producer before (`stream_app.worker.event_processor`).
2. Faust flushes its producer before it commits; `BatchFlushingProducer.flush` also sends all open batches and waits
   until Kafka acknowledges them. It raises if one was not delivered: then nothing is committed, the worker stops, and
   the events are read again.
3. Each acknowledged changelog batch advances the persisted offset of the table's store (`state.user_table`), so that
   a restart restores the rows from the right offset.
4. The next offsets are stored with the rows, too (`stream_app.worker.position_log`): Kafka forgets those that it
   has committed for a group that is empty for a week.
5. Faust commits the offsets. A crash before this step replays the events; watermarks drop records that are
   already stored.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from faust.transport.drivers import aiokafka as faust_kafka

from stream_app.kafka.availability import retry_while_unavailable
from stream_app.kafka.batch_producer import BatchProducer
from stream_app.kafka.log_consumer import log_ends
from stream_app.kafka.metadata_backoff import pause_after_failed_updates
from stream_app.kafka.removed_records import report_removed_records
from stream_app.kafka.unacknowledged_records import UnacknowledgedRecords
from stream_app.worker.assignment_commits import AssignmentConsumer
from stream_app.worker.direct_delivery import DirectDelivery
from topics.kafka_connection import Broker

_LOG: Final = logging.getLogger(__name__)

_FETCH_SECONDS: Final = 0.1
"""Maximum wait of one fetch; a rebalance waits for it."""


SkippedCallback = Callable[[str, int, int, int], None]
"""Called with topic, partition, the next offset to read, and that of the first record that is left."""

LostCallback = Callable[[str, int, int], None]
"""Called with topic, partition, and the next offset to read, before which the topic ends."""


class Positions(Protocol):
    """The offsets that are stored with the rows; `stream_app.worker.position_log.PositionLog`."""

    def next_offset(self, topic: str, partition: int) -> int | None:
        """The next offset to read; None if it is not known."""

    def is_of_deleted_topic(self, topic: str, partition: int) -> bool:
        """Whether the stored offset, and so a committed one, is of a topic that was made anew since."""

    async def begin(self, offsets: Mapping[Any, int]) -> None:
        """Store where partitions are read from, if it is not known."""

    async def store(self, offsets: Mapping[Any, int]) -> dict[Any, int]:
        """Store offsets before they are committed; return those that may be committed."""


class BatchFlushingProducer(faust_kafka.Producer):  # type: ignore[misc]
    """Faust's producer; its flush, before each commit, flushes the batch producer too (step 2)."""

    batch_producer: BatchProducer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.forwarded: Final = UnacknowledgedRecords()
        """Events that were sent to another partition."""

    async def flush(self) -> None:
        """Wait until Kafka has acknowledged all records; raise if one was not delivered."""
        await super().flush()
        # Forwarded events that Kafka refuses become dead letters, which are in a batch then.
        await self.forwarded.wait()
        await self.batch_producer.flush()


class CommittedReadsThread(faust_kafka.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread; its consumer returns no record of an aborted or open transaction.

    It reports records that Kafka removes before they are read.
    """

    async def on_start(self) -> None:
        """Connect to the brokers."""
        await super().on_start()
        report_removed_records(self._consumer, self._on_removed, self._on_shortened)

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Any:
        records = await super()._fetch_records(*args, **kwargs)
        self.consumer.on_fetched(time.thread_time())
        return records

    def _on_removed(self, tp: Any, read: int, beginning: int) -> None:
        # The consumer has an event loop of its own.
        self.consumer.loop.call_soon_threadsafe(self.consumer.on_removed, tp, read, beginning)

    def _on_shortened(self, tp: Any, read: int, position: int) -> None:
        self.consumer.loop.call_soon_threadsafe(self.consumer.on_shortened, tp, read, position)

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust sets it only for workers that write transactions themselves.
        consumer._isolation_level = "read_committed"  # noqa: SLF001  # read when it starts
        return consumer

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Log a partition without progress.

        The main thread reads the positions while this thread changes them: one may just be missing. That must not end
        the worker.
        """
        try:
            super().verify_event_path(now, tp)
        except Exception as error:  # noqa: BLE001  # see above
            _LOG.info("the progress of %s[%s] cannot be checked now: %r", tp.topic, tp.partition, error)


class DirectConsumer(AssignmentConsumer):
    """Faust's consumer; it delivers a message to its stream by a plain call.

    For each message Faust waits for the delivery or a suspension of the flow, with two tasks, so that a full queue
    cannot block a rebalance. This is not needed: a rebalance empties the queues. A message that is about to wait for
    room may be delivered in the next assignment: its stream skips it (`stream_app.worker.assignment_commits`).
    """

    positions: Positions | None = None
    """The offsets that are stored with the rows; set by the worker."""

    _shortened: Mapping[Any, int] = MappingProxyType({})
    """Where to read logs again that became shorter, by partition."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle = asyncio.Event()
        self._idle.set()
        self._removed: dict[Any, tuple[int, int]] = {}
        self._reported: dict[Any, int] = {}
        self._found: Mapping[Any, Any] = {}
        self.callback: Callable[[Any], Any] = DirectDelivery(self.app, self.callback)
        self.on_skipped: SkippedCallback = lambda *_: None
        self.on_lost: LostCallback = lambda *_: None
        self.on_fetched: Callable[[float], None] = lambda _: None
        self.broker: Broker = ""

    def _new_consumer_thread(self) -> CommittedReadsThread:
        return CommittedReadsThread(self, loop=self.loop, beacon=self.beacon)

    async def wait_first(self, *waited: Any, timeout: Any = None) -> Any:  # noqa: ASYNC109  # Faust's signature
        """Await the delivery of a message, unless it is done or the flow is being suspended."""
        if len(waited) == 2 and timeout is None:
            delivery, suspended = waited
            if delivery is None:
                suspended.close()
                return None
            if hasattr(delivery, "send") and hasattr(suspended, "close") and not self.suspend_flow.is_set():
                suspended.close()
                await delivery
                return None
        return await super().wait_first(*waited, timeout=timeout)

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109  # Faust's signature
        self._idle.clear()
        try:
            return await super()._getmany(active_partitions, min(timeout, _FETCH_SECONDS))
        finally:
            self._idle.set()

    async def _commit(self, offsets: Any) -> bool:
        """Store the positions and commit, unless the thread that talks to Kafka has ended or ends meanwhile.

        After a failure it ends first, and calls that it has not taken are never answered: the end of the worker would
        wait for them for ever.
        """
        has_ended = self._thread._shutdown  # noqa: SLF001  # Faust has no public way to it
        if self._is_outdated:
            return False
        allowed = offsets if self.positions is None else await self.positions.store(offsets)
        if has_ended.is_set() or not allowed:
            return False
        commit = asyncio.ensure_future(super()._commit(allowed))
        ended = asyncio.ensure_future(has_ended.wait())
        try:
            await asyncio.wait({commit, ended}, return_when=asyncio.FIRST_COMPLETED)
            # The thread cancels the requests that are open when it ends; the caller is not cancelled by that.
            did_commit = commit.done() and not commit.cancelled() and bool(commit.result())
            if did_commit:
                self._committed_part = frozenset(allowed)
            return did_commit and len(allowed) == len(offsets)
        finally:
            commit.cancel()
            ended.cancel()

    async def perform_seek(self) -> None:
        """Seek to the committed offsets once no fetch is in progress; repeat it while no broker answers.

        Faust seeks while an earlier fetch may still be waiting. The result of that fetch would move the position past
        records that are never delivered: Faust takes such a gap for compaction, and commits over it.
        """
        was_active = self.flow_active
        self.stop_flow()
        await self._idle.wait()
        await retry_while_unavailable(self._seek_all, "seek of the partitions")
        if was_active:
            self.resume_flow()

    async def _seek_all(self) -> None:
        self._found = {}
        await super().perform_seek()
        await self._pass_removed_records(self._found)

    def on_removed(self, tp: Any, read: int, beginning: int) -> None:
        """Report records that were removed before they were read, and commit over them after those before."""
        if self.app.topics.acks_enabled_for(tp.topic):  # not those of a changelog
            self._report(tp, read, beginning)
            first, end = self._removed.get(tp, (read, read))
            self._removed[tp] = (first if end == read else read, beginning)

    def on_shortened(self, tp: Any, read: int, position: int) -> None:
        """Report a log that ends before the next offset to read: Faust drops the records that take these offsets.

        The position to go on from is committed, so that the next start reads them. While a new assignment has no
        positions yet, the seek to them finds the end of the log.
        """
        if self._is_positioned and self.app.topics.acks_enabled_for(tp.topic):
            self._shortened = {**self._shortened, tp: position}
            self.on_lost(tp.topic, tp.partition, read)

    def _report(self, tp: Any, read: int, beginning: int) -> None:
        """Report removed records once: before an assignment is complete, the position may be reset several times."""
        read = max(read, self._reported.get(tp, 0))
        if read < beginning:
            self._reported[tp] = beginning
            self.on_skipped(tp.topic, tp.partition, read, beginning)

    def _filter_committable_offsets(self, tps: Any) -> dict[Any, int]:
        offsets: dict[Any, int] = super()._filter_committable_offsets(tps)
        for tp, (read, beginning) in list(self._removed.items()):
            offset = offsets.get(tp) or self._committed_offset.get(tp) or 0
            if offset >= beginning or tp not in self.assignment():
                del self._removed[tp]
            elif offset >= read:
                offsets[tp] = beginning
        assigned = self.assignment() if self._shortened and self._is_positioned else ()
        return offsets | {tp: position for tp, position in self._shortened.items() if tp in assigned}

    async def seek_to_committed(self) -> Mapping[Any, Any]:
        """Seek to the committed offsets; return what Kafka answered."""
        self._found = await super().seek_to_committed()
        return self._found

    async def _pass_removed_records(self, committed: Mapping[Any, int | None]) -> None:
        """Seek to the first record that is left where retention has removed the next one, and report how many.

        The offset is committed: another start does not count the same records again.

        Parameters
        ----------
        committed
            What Kafka has told of the assigned partitions; None for no offset.
        """
        assigned = [tp for tp in committed if self.app.topics.acks_enabled_for(tp.topic)]
        if not assigned:
            return
        # A worker committed these before it noticed that the topic is another one, which no worker has read.
        deleted = [tp for tp in assigned if committed[tp] is not None and self._is_of_deleted_topic(tp)]
        committed = {**committed, **dict.fromkeys(deleted)}
        known = self._known_offsets(committed, assigned)
        beginnings, ends = await self.earliest_offsets(*assigned), await self.highwaters(*assigned)
        if any(offset > ends[tp] for tp, offset in known.items()):
            # An earlier version may have committed records of a transaction that is still open.
            ends = await log_ends(self.broker, list(known))
        passed = {}
        # aiokafka does not seek these, and a fetch that the rebalance has overtaken may have moved the position.
        for tp in [each for each in assigned if not committed[each]]:
            await self.seek(tp, known.get(tp, beginnings[tp]))
        for tp in deleted:
            passed[tp] = beginnings[tp]
            self._committed_offset[tp] = beginnings[tp] or None
        for tp, offset in known.items():
            start = self._first_left(tp, offset, beginnings[tp], ends[tp])
            if start is None and offset != (beginnings[tp] if committed[tp] is None else committed[tp]):
                _LOG.warning(
                    "the committed offset of %s[%s] is %s; reading from offset %d, up to which the rows have it",
                    tp.topic,
                    tp.partition,
                    committed[tp],
                    offset,
                )
                start = offset
            if start is not None:
                passed[tp] = start
                await self.seek(tp, start)
                self._committed_offset[tp] = start or None
        if self.positions is not None:
            await self.positions.begin({tp: passed.get(tp, known.get(tp, beginnings[tp])) for tp in assigned})
        if passed:
            await self._commit(passed)

    def _known_offsets(self, committed: Mapping[Any, int | None], assigned: Iterable[Any]) -> dict[Any, int]:
        """The next offset to read of each partition, where Kafka or the rows know it."""
        known = {}
        for tp in assigned:
            # The rows may be behind the committed offset, if the changelog lost records. A committed offset of 0 is
            # one: an operator has set it, to read all records again.
            offsets = [each for each in (committed[tp], self._stored_offset(tp)) if each is not None]
            if offsets:
                known[tp] = min(offsets)
        return known

    def _stored_offset(self, tp: Any) -> int | None:
        """The offset that is stored with the rows."""
        return None if self.positions is None else self.positions.next_offset(tp.topic, tp.partition)

    def _is_of_deleted_topic(self, tp: Any) -> bool:
        return self.positions is not None and self.positions.is_of_deleted_topic(tp.topic, tp.partition)

    def _first_left(self, tp: Any, offset: int, beginning: int, end: int) -> int | None:
        """Where to read a partition from if its next record is gone; None if it is there."""
        if offset > end:
            _LOG.warning(
                "the committed offset %d of %s[%s] is beyond the end %d of the topic; reading it from its start",
                offset,
                tp.topic,
                tp.partition,
                end,
            )
            if (self._stored_offset(tp) or 0) > end:
                _LOG.error(
                    "%s[%s] has lost records that the rows have; events that take their offsets are dropped as "
                    "replays: delete the topic, and create it anew",
                    tp.topic,
                    tp.partition,
                )
            return beginning
        if offset < beginning:
            self._report(tp, offset, beginning)
            return beginning
        return None


def use_direct_transport(
    app: Any,
    batch_producer: BatchProducer,
    broker: Broker,
    on_skipped: SkippedCallback,
    positions: Positions | None = None,
    on_fetched: Callable[[float], None] = lambda _: None,
    on_lost: LostCallback = lambda *_: None,
) -> None:
    """Configure a Faust application to use the producer and the consumer of this module.

    Parameters
    ----------
    broker
        Bootstrap servers.
    on_skipped
        Called for records that were removed before they were read.
    positions
        The offsets that are stored with the rows.
    on_fetched
        Called after each fetch, in the thread of the consumer, with the CPU seconds of that thread.
    on_lost
        Called for a topic that ends before the next offset to read.
    """

    def producer(*args: Any, **kwargs: Any) -> BatchFlushingProducer:
        instance = BatchFlushingProducer(*args, **kwargs)
        instance.batch_producer = batch_producer
        return instance

    def consumer(*args: Any, **kwargs: Any) -> DirectConsumer:
        instance = DirectConsumer(*args, **kwargs)
        instance.on_skipped, instance.broker, instance.positions = on_skipped, broker, positions
        instance.on_fetched, instance.on_lost = on_fetched, on_lost
        return instance

    pause_after_failed_updates()
    app.transport.Producer = producer
    app.transport.Consumer = consumer
