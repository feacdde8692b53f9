"""Clicks of twenty users, and what a shop's Kafka does with their topics."""

import time
from contextlib import closing
from typing import Final

import kafka
from kafka.structs import OffsetAndMetadata

from stream_app.kafka.event_records import event_record
from stream_app.kafka.partitioning import partition_of_key
from tests.support.integration_environment import PARTITIONS, IntegrationEnvironment
from tests.support.kafka_records import KafkaRecord
from tests.support.worker_handle import WorkerHandle, wait_until
from topics.catalog import CLICKS
from topics.events import Click

USERS: Final = [f"user {number}" for number in range(20)]


def clicks(name: str, rounds: int = 3) -> list[Click]:
    now = int(time.time() * 1000)
    return [
        Click(event_id=f"{name} {number}", user_id=user, ts=now, item_id=f"item {number}")
        for number in range(rounds)
        for user in USERS
    ]


def misplaced(click: Click) -> KafkaRecord:
    """The event as another partitioner places it: the key of the user, the next partition."""
    sent = event_record(click)
    assert sent.key is not None
    return KafkaRecord(
        sent.topic, sent.key, sent.value, (partition_of_key(sent.key, PARTITIONS) + 1) % PARTITIONS
    )


def counts(environment: IntegrationEnvironment) -> dict[str, int]:
    return {user: row.counts.clicks for user, row in environment.rows().items()}


def wait_for(worker: WorkerHandle, accepted: int) -> None:
    worker.wait_until(
        lambda: worker.events("accepted") >= accepted, f"{accepted} accepted events", seconds=240
    )
    assert worker.events("accepted") == accepted


def skipped(worker: WorkerHandle) -> float:
    return worker.metric("headrace_events_skipped_total", topic=CLICKS.name)


def alter_committed(environment: IntegrationEnvironment, offset: int) -> None:
    """Set the committed offset of each partition of the clicks, while no worker runs."""
    tps = [kafka.TopicPartition(CLICKS.name, number) for number in range(PARTITIONS)]
    with closing(kafka.KafkaAdminClient(bootstrap_servers=environment.settings.broker)) as client:
        offsets = {tp: OffsetAndMetadata(offset, "", -1) for tp in tps}
        client.alter_group_offsets(environment.settings.app_id, offsets)


def delete_group(environment: IntegrationEnvironment) -> None:
    """Delete the committed offsets, as Kafka does a week after the last worker has left."""
    environment.disconnect()
    app_id = environment.settings.app_id
    with closing(kafka.KafkaAdminClient(bootstrap_servers=environment.settings.broker)) as client:
        wait_until(lambda: client.delete_groups([app_id])[app_id] == "OK", "the end of the group", seconds=60)
