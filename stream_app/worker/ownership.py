"""The partitions that this worker owns, as its publisher sees them."""

from collections.abc import Collection
from functools import partial

from stream_app.kafka.batch_producer import BatchProducer, DeliveryError
from stream_app.kafka.group_lease import GroupLease
from stream_app.kafka.partition_fence import MARKER_KEY, PartitionFence
from stream_app.metrics import OwnershipMetrics
from stream_app.publishing.publisher import OwnershipUnconfirmedError
from topics.catalog import DEAD_LETTERS, LISTS


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
