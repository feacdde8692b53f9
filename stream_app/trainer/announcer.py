"""Announces checkpoints on ``models``; the announcements of a former trainer are refused by Kafka."""

import logging
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition

from stream_app.kafka.log_consumer import decode_or_warn, log_consumer
from stream_app.kafka.range_reader import LogRange, RangeReader
from stream_app.kafka.secured import aiokafka_arguments
from stream_app.worker.checkpoint_follower import MODEL_KEY
from topics.access import trainer_group
from topics.catalog import MODELS
from topics.kafka_connection import Broker
from topics.records import ModelAnnouncement

_LOG: Final = logging.getLogger(__name__)
_decoder: Final = msgspec.json.Decoder(ModelAnnouncement)
_encoder: Final = msgspec.json.Encoder()
_TRANSACTION_MS: Final = 30_000


class Announcer:
    """Writes announcements in transactions: to start them ends those of the trainer before.

    Attributes
    ----------
    version
        Version of the newest announcement; 0 if there is none.
    """

    def __init__(self, broker: Broker, app_id: str) -> None:
        self._broker = broker
        self.version = 0
        self._producer: Any = AIOKafkaProducer(
            **aiokafka_arguments(broker),
            transactional_id=trainer_group(app_id),
            transaction_timeout_ms=_TRANSACTION_MS,
        )

    async def start(self) -> None:
        """Exclude all former trainers, then read which versions they have announced."""
        await self._producer.start()
        newest = await newest_announcement(self._broker)
        self.version = 0 if newest is None else newest.version

    async def announce(self, announcement: ModelAnnouncement) -> None:
        """Write an announcement.

        Raises
        ------
        aiokafka.errors.ProducerFenced
            If another trainer has started.
        KafkaError
            If Kafka is unavailable.
        """
        async with self._producer.transaction():
            await self._producer.send_and_wait(
                MODELS.name, key=MODEL_KEY, value=_encoder.encode(announcement), partition=0
            )
        self.version = announcement.version

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()


async def newest_announcement(broker: Broker) -> ModelAnnouncement | None:
    """The newest announcement on the topic; None if there is none."""
    tp = TopicPartition(MODELS.name, 0)
    newest: ModelAnnouncement | None = None
    consumer = log_consumer(broker)
    await consumer.start()
    try:
        start, end = (await consumer.beginning_offsets([tp]))[tp], (await consumer.end_offsets([tp]))[tp]
        async for records in RangeReader(consumer, [LogRange(tp, start, end)]).read():
            for record in records:
                if record.key != MODEL_KEY or record.value is None:
                    continue
                found = decode_or_warn(_decoder, record, tp.topic)
                if found is not None and (newest is None or found.version > newest.version):
                    newest = found
    finally:
        await consumer.stop()
    return newest
