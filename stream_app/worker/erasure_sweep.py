"""Removes the records of erased users from Headrace's logs, and writes receipts.

Some time after an erasure the owner of the partition reads its logs once, for all users erased until then, and
appends a tombstone for each of their records; Kafka's compaction removes both. The steps of a sweep:

1. Read ``interactions``, ``rewards`` and ``lists`` of the partitions and ``dead-letters`` from their start, and
   append tombstones for the records from before the erasures (`stream_app.worker.log_erasure`), except for those
   that tell replicas of the erasure itself.
2. Rewrite the files of the users table, in which RocksDB keeps deleted rows until it merges them.
3. Append a receipt for each user. A worker that starts from an older snapshot forgets these users
   (`stream_app.worker.erased_since_snapshot`), so that it no longer needs the records of the erasure.
4. Append the tombstones of those records. They follow the others in each log: compaction does not remove an erasure
   while it leaves what was erased.
5. Mark the remainders of the rows as swept (`state.erased_rows`). They are what a restart or another owner goes on
   with; a sweep that was interrupted is repeated, and changes nothing twice. A remainder that changed during the
   sweep stays unswept: the user was erased again, or an old event was read again.

A remainder is deleted when Kafka keeps no event from before the erasure.
"""

import asyncio
import heapq
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition
from msgspec import structs

from state.erased_rows import ErasedRows, Remainder
from state.row import ErasureMark, ErasureStage
from state.user_rows import DamagedStoreError, StoreError
from stream_app.erasure_metrics import ErasureMetrics
from stream_app.kafka.batch_producer import BatchProducer
from stream_app.kafka.log_consumer import log_consumer
from stream_app.kafka.partition_fence import NotOwnedError, PartitionFence
from stream_app.kafka.range_reader import LogRange, RangeReader, TruncatedLogError
from stream_app.worker.log_erasure import ErasedUser, ObsoleteRecords, has_bare_key
from topics.catalog import DEAD_LETTERS, ERASURE_RECEIPTS, INTERACTIONS, LISTS, REWARDS
from topics.events import format_time
from topics.kafka_connection import Broker
from topics.records import ErasureReceipt

_LOG: Final = logging.getLogger(__name__)
_SCAN_BATCH: Final = 200
_PARTITION_LOGS: Final = (INTERACTIONS.name, REWARDS.name, LISTS.name)
MAX_USERS: Final = 10_000
"""Erased users per sweep: a bound of its memory, about 20 MB."""

_encoder: Final = msgspec.json.Encoder()


class SweepConfig(NamedTuple):
    """When and how fast a worker sweeps.

    Attributes
    ----------
    interval
        Seconds from an erasure to its sweep.
    rate
        Records read per second at most.
    remainder_seconds
        Seconds from an erasure until its remainder is deleted.
    check_seconds
        Seconds between two looks at the remainders.
    bases
        What is added to the offsets of each topic of events.
    """

    broker: Broker
    interval: float
    rate: int
    remainder_seconds: float
    check_seconds: float
    bases: Mapping[str, int]


class _Remainders(NamedTuple):
    """What the remainders of the owned partitions call for; the lists are bounded, the oldest come first."""

    unswept: list[Remainder]
    n_unswept: int
    ended: list[Remainder]


class ErasureSweep:
    """Sweeps the logs of the owned partitions for ever.

    Parameters
    ----------
    purge
        Rewrites the files of the table of some partitions.
    is_ready
        Whether the partitions are recovered.
    """

    def __init__(
        self,
        rows: ErasedRows,
        producer: BatchProducer,
        fence: PartitionFence,
        metrics: ErasureMetrics,
        config: SweepConfig,
        purge: Callable[[Collection[int]], Awaitable[None]],
        is_ready: Callable[[], bool],
        consumer: Callable[[Broker], Any] = log_consumer,
    ) -> None:
        self._rows = rows
        self._producer = producer
        self._fence = fence
        self._metrics = metrics
        self._config = config
        self._purge = purge
        self._is_ready = is_ready
        self._new_consumer = consumer

    async def run(self) -> None:
        """Sweep whenever an erasure is due.

        Raises
        ------
        DeliveryError
            If Kafka did not acknowledge a record.
        DamagedStoreError
            If files of the local store are damaged.
        """
        while True:
            await asyncio.sleep(self._config.check_seconds)
            if self._is_ready():
                await self.check(time.time())

    async def check(self, now: float) -> None:
        """Look at the remainders; sweep if one is due, and delete those that have ended.

        Parameters
        ----------
        now
            Seconds since the epoch.
        """
        try:
            found = await self._scan(now)
            self._report(found, now)
            if found.unswept and _mark(found.unswept[0]).at + self._config.interval <= now:
                await self._sweep(found.unswept, now)
                self._report(await self._scan(now), now)
            await self._replace(found.ended, lambda _: None)
        except NotOwnedError:
            return  # the next owner goes on
        except DamagedStoreError:
            raise
        except (KafkaError, TruncatedLogError, StoreError, TimeoutError) as error:
            _LOG.warning(
                "the logs could not be swept for records of erased users; next attempt in %d s: %r",
                self._config.check_seconds,
                error,
            )

    async def _scan(self, now: float) -> _Remainders:
        generation = self._fence.generation
        unswept: list[tuple[float, int, Remainder]] = []
        ended: list[Remainder] = []
        n_unswept = 0
        for number, remainder in enumerate(self._rows.scan()):
            mark = _mark(remainder)
            if mark.stage is not ErasureStage.SWEPT:
                n_unswept += 1
                entry = (-mark.at, number, remainder)  # the newest is dropped first
                if len(unswept) < MAX_USERS:
                    heapq.heappush(unswept, entry)
                else:
                    heapq.heappushpop(unswept, entry)
            elif mark.at + self._config.remainder_seconds <= now and len(ended) < MAX_USERS:
                ended.append(remainder)
            if number % _SCAN_BATCH == 0:
                await asyncio.sleep(0)
                self._fence.verify(generation)
        return _Remainders([each for *_, each in sorted(unswept, reverse=True)], n_unswept, ended)

    def _report(self, found: _Remainders, now: float) -> None:
        self._metrics.unswept_erasures.set(found.n_unswept)
        oldest = _mark(found.unswept[0]).at if found.unswept else now
        self._metrics.oldest_unswept_erasure.set(max(0.0, now - oldest))

    async def _sweep(self, remainders: list[Remainder], now: float) -> None:
        generation = self._fence.generation
        erased = {
            each.user_hash: ErasedUser(each.user_hash, each.partition, _mark(each)) for each in remainders
        }
        partitions = {each.partition for each in remainders}
        for partition in partitions:
            self._fence.epoch(partition)
        _LOG.info("sweeping the logs of partitions %s for %d erased users", sorted(partitions), len(erased))
        removed: dict[bytes, Counter[str]] = {each: Counter() for each in erased}
        # 1. Tombstones, except of the erasures.
        erasures = await self._append_tombstones(partitions, erased, removed)
        await self._flush(generation)
        # 2. The files of the table.
        await self._purge(partitions)
        # 3. Receipts.
        for remainder in remainders:
            receipt = _receipt(remainder, removed[remainder.user_hash], now)
            self._producer.append(
                ERASURE_RECEIPTS.name, 0, receipt.user_hash.encode(), _encoder.encode(receipt)
            )
        await self._flush(generation)
        # 4. Tombstones of the erasures.
        for tp, key in erasures:
            self._producer.append(tp.topic, tp.partition, key, None)
        # 5. The remainders.
        self._metrics.erasures_swept.inc(await self._replace(remainders, _swept))
        _LOG.info(
            "removed %d records of %d erased users from the logs",
            sum(each.total() for each in removed.values()),
            len(erased),
        )

    async def _append_tombstones(
        self,
        partitions: Collection[int],
        erased: Mapping[bytes, ErasedUser],
        removed: Mapping[bytes, Counter[str]],
    ) -> list[tuple[TopicPartition, bytes]]:
        """Append tombstones; return the keys of the records that tell of the erasures."""
        erasures: list[tuple[TopicPartition, bytes]] = []
        generation = self._fence.generation
        bare_keys: set[tuple[TopicPartition, bytes]] = set()
        obsolete = ObsoleteRecords(erased, self._config.bases)
        async for tp, records in self._read(partitions):
            n_appended = 0
            for user_hash, key, is_erasure in obsolete.find(tp.topic, records):
                if not has_bare_key(key) or (tp, key) not in bare_keys:
                    removed[user_hash][tp.topic] += 1
                    if is_erasure:
                        erasures.append((tp, key))
                        continue
                    self._producer.append(tp.topic, tp.partition, key, None)
                    n_appended += 1
                if has_bare_key(key):
                    bare_keys.add((tp, key))
            if n_appended:
                await self._flush(generation)
            self._fence.verify(generation)
        return erasures

    async def _read(self, partitions: Collection[int]) -> AsyncIterator[tuple[TopicPartition, list[Any]]]:
        """The records of the logs of some partitions, one log after the other, at the rate of the settings."""
        tps = [TopicPartition(topic, each) for topic in _PARTITION_LOGS for each in sorted(partitions)]
        consumer = self._new_consumer(self._config.broker)
        try:
            await consumer.start()
            for tp in (*tps, TopicPartition(DEAD_LETTERS.name, 0)):
                beginning = (await consumer.beginning_offsets([tp]))[tp]
                end = (await consumer.end_offsets([tp]))[tp]
                async for records in RangeReader(consumer, [LogRange(tp, beginning, end)]).read():
                    yield tp, records
                    await asyncio.sleep(len(records) / self._config.rate)
        finally:
            await consumer.stop()

    async def _replace(self, remainders: list[Remainder], change: Callable[[Remainder], Any]) -> int:
        """Write a new row for each remainder, or delete those for which `change` returns None; return how many.

        The remainders were read long ago: those that have changed since are left alone.
        """
        if not remainders:
            return 0
        generation = self._fence.generation
        async with self._rows.lock:
            changed = [(each, change(each)) for each in remainders if self._rows.is_newest(each)]
            for remainder, row in changed:
                self._fence.epoch(remainder.partition)
                self._rows.append_row(remainder, row)
            await self._flush(generation)
            for remainder, row in changed:
                self._rows.apply_row(remainder, row)
        return len(changed)

    async def _flush(self, generation: int) -> None:
        await self._producer.flush()
        # Records of an ownership that has ended were dropped, not sent.
        self._fence.verify(generation)


def _mark(remainder: Remainder) -> ErasureMark:
    mark = remainder.row.erasure
    if mark is None:
        raise ValueError("a row under a hash has no mark of an erasure")
    return mark


def _swept(remainder: Remainder) -> Any:
    return structs.replace(remainder.row, erasure=structs.replace(_mark(remainder), stage=ErasureStage.SWEPT))


def _receipt(remainder: Remainder, removed: Counter[str], now: float) -> ErasureReceipt:
    mark = _mark(remainder)
    return ErasureReceipt(
        user_hash=remainder.user_hash.hex(),
        event_id=mark.event_id,
        event_hash=mark.event_hash.hex(),
        partition=remainder.partition,
        offset=mark.offset,
        requested_at=format_time(mark.requested_at),
        erased_at=format_time(mark.at),
        completed_at=format_time(now),
        removed=dict(removed),
    )
