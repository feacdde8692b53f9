"""Fencing: only the current owner of a partition can append to the logs of that partition.

A worker that lost a partition (it was stopped, or cut off from Kafka) may hold records that it has not sent yet.
Kafka refuses them by the epoch of an idempotent producer, as it fences the zombies of transactional producers:

1. A new owner asks the transaction coordinator for the producer id of ``<app id>-<partition>``. The coordinator
   returns the same producer id as to the owner before, with a higher epoch.
2. It appends a marker, a record without a value, with the new epoch to each fenced topic of the partition. Once the
   leader of a log has a record of the new epoch, it refuses every batch of an older epoch.
3. It reads the logs up to the markers or further. All records of former owners precede the markers, so that it has
   read all of them.

The batches are not transactional: they are visible at once, and no commit marker is written. Each batch has the next
sequence number of its log, so that a retried batch is stored once.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError, NodeNotReadyError, for_code

from stream_app.kafka.availability import is_transient
from stream_app.kafka.init_producer_id import UNKNOWN, InitProducerIdRequest

_LOG: Final = logging.getLogger(__name__)

MARKER_KEY: Final = b""
"""Key of a marker. A user id is not empty, so that no record of a user has it."""

_MAX_SEQUENCE: Final = 2**31 - 1
_RETRY_SECONDS: Final = 0.2


def is_marker(record: Any) -> bool:
    """Whether a record of Kafka is a marker of a new owner."""
    return record.value is None and record.key == MARKER_KEY


class NotOwnedError(RuntimeError):
    """The worker does not own a partition, or lost it meanwhile."""


class _OwnedPartition:
    """The epoch of an owned partition, and the next sequence number of each of its logs in this epoch."""

    __slots__ = ("epoch", "sequences")

    def __init__(self, epoch: tuple[int, int]) -> None:
        self.epoch: Final = epoch
        self.sequences: Final[dict[str, int]] = {}


class PartitionFence:
    """The producer ids and epochs of the partitions that this worker owns.

    Parameters
    ----------
    client
        Returns the running aiokafka client; called at each use.
    app_id
        Name of the application, the prefix of the transactional ids.
    topics
        Topics that only the owner of a partition appends to. Batches of other topics are not stamped.
    timeout
        Seconds until a request to the coordinator is sent again.

    Attributes
    ----------
    generation
        Changes with each `acquire` and `release`.
    """

    def __init__(
        self, client: Callable[[], Any], app_id: str, topics: Collection[str], timeout: float = 30.0
    ) -> None:
        self._client = client
        self._app_id = app_id
        self.topics: Final = frozenset(topics)
        self._timeout = timeout
        self.generation = 0
        self._owned: dict[int, _OwnedPartition] = {}

    @property
    def partitions(self) -> list[int]:
        """The owned partitions."""
        return sorted(self._owned)

    def owns(self, topic: str, partition: int) -> bool:
        """Whether this worker may append to a log: it owns the partition, or the topic is not fenced."""
        return topic not in self.topics or partition in self._owned

    def epoch(self, partition: int) -> tuple[int, int]:
        """Producer id and epoch of an owned partition.

        Raises
        ------
        NotOwnedError
            If the partition is not owned.
        """
        return self._of(partition).epoch

    def _of(self, partition: int) -> _OwnedPartition:
        try:
            return self._owned[partition]
        except KeyError:
            raise NotOwnedError(f"partition {partition} is not owned by this worker") from None

    async def acquire(self, partitions: Iterable[int]) -> int:
        """Obtain a new epoch for each partition, and release all others.

        The fence holds in a log from the first record of the new epoch on: append markers next. While no coordinator
        answers, the requests are repeated.

        Returns
        -------
        int
            The generation of this ownership, for `verify`.

        Raises
        ------
        NotOwnedError
            If the partitions were revoked meanwhile.
        KafkaError
            If the coordinator refuses a request.
        """
        self.release()
        generation = self.generation
        partitions = sorted(partitions)
        requests = [asyncio.ensure_future(self._new_epoch(each, generation)) for each in partitions]
        try:
            epochs = await asyncio.gather(*requests)
        finally:
            for each in requests:
                each.cancel()
        self.verify(generation)
        self.generation += 1
        self._owned = dict(zip(partitions, map(_OwnedPartition, epochs), strict=True))
        _LOG.info("acquired partitions %s", partitions)
        return self.generation

    def verify(self, generation: int) -> None:
        """Check that the partitions were not released or acquired again since a generation.

        Raises
        ------
        NotOwnedError
            If they were.
        """
        if self.generation != generation:
            raise NotOwnedError("the partitions were revoked")

    async def renew(self) -> None:
        """Obtain a new epoch for each owned partition, and go on with it.

        The coordinator forgets a producer id seven days after the last request (`transactional.id.expiration.ms`),
        and gives the next owner another one, whose epoch fences nothing. The leader of a log forgets the epoch a day
        after its last record (`producer.id.expiration.ms`): append markers afterwards. Call it twice a day.

        The coordinator refuses a former owner, since the request names the epoch that it has: a new epoch would let
        its old records pass.

        Raises
        ------
        NotOwnedError
            If the partitions were revoked meanwhile.
        InvalidProducerEpoch
            If another worker has taken over a partition.
        KafkaError
            If the coordinator refuses a request.
        """
        generation = self.generation
        for partition in self.partitions:
            epoch = await self._new_epoch(partition, generation, self.epoch(partition))
            self.verify(generation)
            # Batches are stamped when they are sent: those of the old epoch precede those of the new one.
            self._owned[partition] = _OwnedPartition(epoch)

    def release(self) -> None:
        """Give up all partitions; records for them are no longer appended."""
        self.generation += 1
        self._owned = {}

    def stamp(self, builder: Any, topic: str, partition: int, count: int) -> None:
        """Set producer id, epoch and sequence number of a batch; call it in the order in which batches are sent.

        Parameters
        ----------
        builder
            A batch builder of aiokafka, not yet built.
        topic, partition
            The log that the batch is appended to.
        count
            Records of the batch.

        Raises
        ------
        NotOwnedError
            If the topic is fenced and the partition is not owned.
        """
        if topic not in self.topics:
            return
        owned = self._of(partition)
        sequence = owned.sequences.get(topic, 0)
        builder._set_producer_state(*owned.epoch, sequence)  # noqa: SLF001  # aiokafka sets it for itself alone
        owned.sequences[topic] = (sequence + count) % (_MAX_SEQUENCE + 1)

    async def _new_epoch(
        self, partition: int, generation: int, current: tuple[int, int] = UNKNOWN
    ) -> tuple[int, int]:
        transactional_id = f"{self._app_id}-{partition}"
        while True:
            # A request after a revocation would fence the next owner.
            self.verify(generation)
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._request_epoch(transactional_id, current)
            except (KafkaError, TimeoutError) as error:
                if not is_transient(error):
                    raise type(error)(f"no epoch for transactional id {transactional_id}: {error}") from error
                _LOG.info("no epoch for transactional id %s yet: %r", transactional_id, error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _request_epoch(self, transactional_id: str, current: tuple[int, int]) -> tuple[int, int]:
        client = self._client()
        node = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
        if not await client.ready(node, group=ConnectionGroup.COORDINATION):
            raise NodeNotReadyError(f"no connection to the coordinator {node}")
        request = InitProducerIdRequest(transactional_id, current)
        response = await client.send(node, request, group=ConnectionGroup.COORDINATION)
        if response.error_code:
            raise for_code(response.error_code)
        return response.producer_id, response.producer_epoch
