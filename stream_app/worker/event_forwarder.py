"""Sends events to the partitions of their users.

Each carries where it was read (`stream_app.kafka.event_origin`): after a crash it is read and forwarded again, and
the owner of the other partition tells the second record from another event.

The topics of events belong to the shop: their limit of a record may be smaller than Headrace's own. A record that
Kafka refuses for its size becomes a dead letter; it would otherwise end the worker at each start.
"""

import asyncio
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final, Protocol

from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from stream_app.kafka.event_logs import EventLogs
from stream_app.kafka.event_origin import EventOrigin, origin_header
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
    event_logs
        The current incarnations of the topics of events.
    """

    def __init__(
        self,
        producer: Callable[[], Any],
        partition_of: Callable[[str], int],
        dead_letters: DeadLetters,
        event_logs: EventLogs = MappingProxyType({}),
    ) -> None:
        self._producer = producer
        self._partition_of = partition_of
        self._dead_letters = dead_letters
        self._event_logs = event_logs
        self._newest: dict[tuple[str, int, int], int] = {}
        """Offset of the event forwarded last, by topic, partition and the partition it was forwarded to."""

    def clear(self) -> None:
        """Forget which events were forwarded last: the next ones may be read again."""
        self._newest.clear()

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
        headers = [origin_header(self._origin(message, partition), key, message.value)]
        sent = await self._producer().send(
            message.topic, message.value, key=key, partition=partition, headers=headers
        )
        return asyncio.ensure_future(self._finish(sent, message, key, partition, headers))

    def _origin(self, message: Any, partition: int) -> EventOrigin:
        event_log = self._event_logs.get(message.topic)
        route = (message.topic, message.partition, partition)
        previous = self._newest.get(route, -1)
        self._newest[route] = message.offset
        topic_id = "" if event_log is None else event_log.topic_id
        return EventOrigin(topic_id, message.partition, message.offset, previous)

    async def _finish(
        self,
        sent: "asyncio.Future[Any]",
        message: Any,
        key: bytes,
        partition: int,
        headers: list[tuple[str, bytes]],
    ) -> None:
        try:
            await sent
        except _TOO_LARGE:
            try:
                # Kafka's limit is that of a batch: the event may have been refused for those beside it.
                await self._send_alone(message, key, partition, headers)
            except _TOO_LARGE:
                self._dead_letters.write(
                    message,
                    RejectedError(
                        RejectReason.INVALID_VALUE,
                        f"it is not in the partition of its user_id, and {len(message.value)} bytes are more than "
                        f"max.message.bytes of {message.topic} allows to forward",
                    ),
                )

    async def _send_alone(
        self, message: Any, key: bytes, partition: int, headers: list[tuple[str, bytes]]
    ) -> None:
        producer = self._producer()
        batch = producer.create_batch()
        batch.append(timestamp=None, key=key, value=message.value, headers=headers)
        batch.close()
        await (await producer.send_batch(batch, message.topic, partition=partition))
