"""Faust's inner loop with less on the way: a producer, a consumer and a schema of our own.

Each leaves Faust's behaviour as it is and takes away work an event. `docs/decisions.md` has the figures.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import faust
from faust.transport.drivers import aiokafka as faust_kafka

from stream_app.kafka.batch_producer import BatchProducer

_FETCH_SECONDS: Final = 0.1
"""Longest wait of one fetch; a rebalance waits for it."""


class BatchFlushingProducer(faust_kafka.Producer):  # type: ignore[misc]
    """Faust's producer, which also empties the outbox when it is flushed: that is, before each commit."""

    batch_producer: BatchProducer

    async def flush(self) -> None:
        """Wait until Kafka has everything, and raise where it has not."""
        await self.batch_producer.flush()
        await super().flush()


class DirectConsumer(faust_kafka.Consumer):  # type: ignore[misc]
    """Faust's consumer, which hands a message to its stream by a plain call.

    Faust races each hand-over against a suspension of the flow, two tasks and a wait an event, so that a full
    queue cannot hold up a rebalance. A rebalance cancels the fetcher, and the hand-over with it, all the same.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle = asyncio.Event()
        self._idle.set()

    async def wait_first(self, *waited: Any, timeout: Any = None) -> Any:  # noqa: ASYNC109  # Faust's signature
        """Await the hand-over of a message, unless the flow is being suspended."""
        if len(waited) == 2 and timeout is None and not self.suspend_flow.is_set():
            delivery, suspended = waited
            if hasattr(delivery, "send") and hasattr(suspended, "close"):
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

    async def perform_seek(self) -> None:
        """Go back to what is committed, once no fetch is under way.

        Faust seeks while a fetch of before may still be waiting. What that one brings has moved the position past
        records that nobody will be given: Faust takes the hole for compaction, and commits over it.
        """
        was_active = self.flow_active
        self.stop_flow()
        await self._idle.wait()
        await super().perform_seek()
        if was_active:
            self.resume_flow()


class RawSchema(faust.Schema):  # type: ignore[misc]
    """Keys and values as the bytes they are, without a look-up of codecs for each."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Any]]:
        """Make the function that turns a message into an event; it cannot fail."""
        make = app.conf.Event

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001
            return make(app, message.key, message.value, message.headers, message)

        return decode


def use_direct_transport(app: Any, batch_producer: BatchProducer) -> None:
    """Have a Faust application use the producer and the consumer above."""

    def producer(*args: Any, **kwargs: Any) -> BatchFlushingProducer:
        instance = BatchFlushingProducer(*args, **kwargs)
        instance.batch_producer = batch_producer
        return instance

    app.transport.Producer = producer
    app.transport.Consumer = DirectConsumer
