"""Clock skew between the brokers and this machine."""

import contextlib
import time
import uuid
from collections.abc import Callable

from kafka import KafkaProducer
from kafka.errors import KafkaError

from topics import admin
from topics.broker_client import (
    BOOTSTRAP_MS,
    BrokerUnavailableError,
    TopicAdminError,
    broker_client,
    denial,
    quiet_kafka_logger,
)
from topics.catalog import TopicSpec
from topics.client_arguments import client_arguments
from topics.kafka_connection import Broker


def clock_skew(broker: Broker, *, clock: Callable[[], float] = time.time) -> float:
    """The clock skew of the brokers.

    Kafka reports its time only as the timestamp of a record. The function creates a temporary topic with one
    partition per broker, writes to it, and deletes it.

    Parameters
    ----------
    clock
        Time of this machine, seconds since the epoch.

    Returns
    -------
    float
        Seconds that the broker with the largest skew is ahead of this machine.

    Raises
    ------
    BrokerUnavailableError, TopicAdminError
    """
    name = f"headrace-clock-{uuid.uuid4().hex}"
    with broker_client(broker) as client:
        partitions = len(client.describe_cluster()["brokers"])
    probe = TopicSpec(
        name=name,
        purpose="Measures clock skew.",
        key="none",
        payload=None,
        partitions=partitions,
        config={"message.timestamp.type": "LogAppendTime"},
    )
    try:
        admin.create([probe], broker, partitions=partitions, replication=1)
        with quiet_kafka_logger():
            return max((_skew(broker, name, partition, clock) for partition in range(partitions)), key=abs)
    except KafkaError as error:
        sentence = denial(broker, error) or f"The broker at {broker} does not accept a record: {error}"
        raise TopicAdminError(sentence) from None
    finally:
        with contextlib.suppress(BrokerUnavailableError, TopicAdminError):
            admin.delete([name], broker)


def _skew(broker: Broker, topic: str, partition: int, clock: Callable[[], float]) -> float:
    producer = KafkaProducer(
        **client_arguments(broker),
        client_id="headrace-admin",
        bootstrap_timeout_ms=BOOTSTRAP_MS,
        allow_auto_create_topics=False,
        max_block_ms=BOOTSTRAP_MS,
        delivery_timeout_ms=10_000,
        request_timeout_ms=5_000,
    )
    try:
        # The first record opens the connection; the second has a short round trip.
        producer.send(topic, b"", partition=partition).get(timeout=10)
        sent_at = clock()
        broker_time = producer.send(topic, b"", partition=partition).get(timeout=10).timestamp / 1000.0
        return float(broker_time - (sent_at + clock()) / 2)
    finally:
        producer.close(timeout=5)
