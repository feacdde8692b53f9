"""The partitions that this worker owns, as its publisher sees them."""

import asyncio
import logging
from collections.abc import Collection
from functools import partial
from typing import Final

from aiokafka.errors import KafkaError

from stream_app.kafka.batch_producer import BatchProducer, DeliveryError
from stream_app.kafka.group_lease import GroupLease
from stream_app.kafka.partition_fence import MARKER_KEY, NotOwnedError, PartitionFence
from stream_app.metrics import OwnershipMetrics
from stream_app.publishing.publisher import OwnershipUnconfirmedError
from topics.catalog import DEAD_LETTERS, LISTS

_LOG: Final = logging.getLogger(__name__)
_RENEWAL_SECONDS: Final = 43_200.0


def append_markers(producer: BatchProducer, fence: PartitionFence) -> dict[tuple[str, int], int]:
    """Append a marker to each log of the owned partitions: from then on their leaders refuse older epochs.

    One is appended to ``dead-letters``, too, which is not fenced: Kafka compacts no record, be it of an erased user,
    until a later one is appended after `max.compaction.lag.ms`, and a shop may be without invalid events for years.

    Returns
    -------
    dict
        The offsets of the markers in the fenced logs by topic and partition, as soon as Kafka has acknowledged them.
    """
    producer.append(DEAD_LETTERS.name, 0, MARKER_KEY, None)
    offsets: dict[tuple[str, int], int] = {}
    for partition in fence.partitions:
        for topic in fence.topics:
            producer.append(
                topic, partition, MARKER_KEY, None, partial(offsets.__setitem__, (topic, partition))
            )
    return offsets


async def renew_regularly(fence: PartitionFence, producer: BatchProducer) -> None:
    """Renew the epochs of the owned partitions, and append markers, twice a day for ever."""
    while True:
        await asyncio.sleep(_RENEWAL_SECONDS)
        try:
            await fence.renew()
            append_markers(producer, fence)
        except NotOwnedError:
            # The next assignment has new epochs.
            continue
        except KafkaError as error:
            # The epochs end after a day without a record, and after seven days without a request.
            _LOG.warning("the producer epochs could not be renewed; next attempt in 12 hours: %r", error)


class WorkerOwnership:
    """Implements `stream_app.publishing.publisher.Ownership`.

    Parameters
    ----------
    fence
        The epochs of the owned partitions.
    lease
        The lease on them.
    producer
        Appends the records that confirm the ownership.
    """

    def __init__(
        self, fence: PartitionFence, lease: GroupLease, producer: BatchProducer, metrics: OwnershipMetrics
    ) -> None:
        self._fence = fence
        self._lease = lease
        self._producer = producer
        self._metrics = metrics

    @property
    def generation(self) -> int:
        """Changes with each assignment."""
        return self._fence.generation

    def owns(self, partition: int) -> bool:
        """Whether this worker owns a partition, as far as it knows."""
        return self._fence.owns(LISTS.name, partition)

    def holds_lease(self) -> bool:
        """Whether no other worker can have taken over a partition."""
        return self._lease.is_held()

    async def confirm(self, partitions: Collection[int]) -> None:
        """Append a marker to the lists of each partition, and wait for Kafka's acknowledgement.

        Raises
        ------
        OwnershipUnconfirmedError
            If Kafka refused one.
        """
        try:
            for partition in partitions:
                self._producer.append(LISTS.name, partition, MARKER_KEY, None)
            await self._producer.flush()
        except DeliveryError as error:
            raise OwnershipUnconfirmedError(f"Kafka did not confirm the ownership: {error}") from error

    def on_refused(self, n_documents: int) -> None:
        """Count documents that the store refused."""
        self._metrics.documents_refused.inc(n_documents)
