"""Sends events to the partitions of their users.

The topics of events belong to the shop: their limit of a record may be smaller than Headrace's own. A record that
Kafka refuses for its size becomes a dead letter; it would otherwise end the worker at each start.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from topics.codec import RejectedError, RejectReason

_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)


class DeadLetters(Protocol):
    """Where refused events go; `stream_app.worker.dead_letter_writer.DeadLetterWriter`."""

    def write(self, message: Any, error: RejectedError) -> None:
        """Write a Kafka message (Faust's) that was rejected with `error`."""


class EventForwarder:
    """Forwards events without waiting until Kafka acknowledges each.

    Parameters
    ----------
    producer
        The producer of aiokafka.
    partition_of
        The partition of a user.
    """

    def __init__(
        self, producer: Callable[[], Any], partition_of: Callable[[str], int], dead_letters: DeadLetters
    ) -> None:
        self._producer = producer
        self._partition_of = partition_of
        self._dead_letters = dead_letters

    async def forward(self, message: Any, user_id: str) -> "asyncio.Future[None]":
        """Send a Kafka message (Faust's) to the partition of its user.

        Returns
        -------
        asyncio.Future
            Done when Kafka has acknowledged the event, or refused it and its dead letter was appended.

        Raises
        ------
        KafkaError
            If it cannot be sent.
        """
        # Named, so that a forwarded event cannot be forwarded again.
        partition = self._partition_of(user_id)
        key = user_id.encode()
        sent = await self._producer().send(message.topic, message.value, key=key, partition=partition)
        return asyncio.ensure_future(self._finish(sent, message, key, partition))

    async def _finish(self, sent: "asyncio.Future[Any]", message: Any, key: bytes, partition: int) -> None:
        try:
            await sent
        except _TOO_LARGE:
            try:
                # Kafka's limit is that of a batch: the event may have been refused for those beside it.
                await self._send_alone(message, key, partition)
            except _TOO_LARGE:
                self._dead_letters.write(
                    message,
                    RejectedError(
                        RejectReason.INVALID_VALUE,
                        f"it is not in the partition of its user_id, and {len(message.value)} bytes are more than "
                        f"max.message.bytes of {message.topic} allows to forward",
                    ),
                )

    async def _send_alone(self, message: Any, key: bytes, partition: int) -> None:
        producer = self._producer()
        batch = producer.create_batch()
        batch.append(timestamp=None, key=key, value=message.value)
        batch.close()
        await (await producer.send_batch(batch, message.topic, partition=partition))
