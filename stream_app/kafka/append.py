"""The port by which the parts of a worker write to Kafka, and the callbacks of delivered batches."""

from collections.abc import Callable
from functools import partial
from typing import Protocol


class RecordAppender(Protocol):
    """Appends a record to a batch; `stream_app.kafka.batch_producer.BatchProducer.append`."""

    def __call__(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        on_delivered: Callable[[int], None] | None = None,
        /,
    ) -> None:
        """Append without waiting. `on_delivered` is called with the offset of the last record of the batch."""


class DeliveryCallbacks(dict[int, Callable[[int], None]]):
    """One delivery callback per partition, made when first used.

    Parameters
    ----------
    on_delivered
        Called with partition and offset.

    Examples
    --------
    >>> callbacks = DeliveryCallbacks(lambda partition, offset: print(partition, offset))
    >>> callbacks[3](17)
    3 17
    >>> callbacks[3] is callbacks[3]
    True
    """

    def __init__(self, on_delivered: Callable[[int, int], None]) -> None:
        super().__init__()
        self._call_with_partition = on_delivered

    def __missing__(self, partition: int) -> Callable[[int], None]:
        callback = self[partition] = partial(self._call_with_partition, partition)
        return callback
