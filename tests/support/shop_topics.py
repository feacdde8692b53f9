"""Clicks of twenty users, and what a shop's Kafka does with their topics."""

import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Final

import kafka
from kafka.structs import OffsetAndMetadata

from stream_app.kafka.event_records import event_record
from stream_app.kafka.partitioning import partition_of_key
from tests.support.integration_environment import PARTITIONS, IntegrationEnvironment
from tests.support.kafka_records import KafkaRecord
from tests.support.worker_handle import WorkerHandle, wait_until
from topics.catalog import CLICKS, TopicSpec
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


Offsets = Mapping[kafka.TopicPartition, int]


def offsets_after(topic: TopicSpec, sent: Iterable[tuple[int, int]]) -> Offsets:
    """The offset after the newest of some sent records in each partition; `sent` has their partitions and offsets."""
    ends: dict[kafka.TopicPartition, int] = {}
    for partition, offset in sent:
        tp = kafka.TopicPartition(topic.name, partition)
        ends[tp] = max(ends.get(tp, 0), offset + 1)
    return ends


def remove_records(environment: IntegrationEnvironment, before: Offsets) -> None:
    """Remove the records before some offsets, as retention does."""
    with closing(kafka.KafkaAdminClient(bootstrap_servers=environment.settings.broker)) as client:
        client.delete_records(dict(before))


def alter_committed(environment: IntegrationEnvironment, offsets: Offsets | int) -> None:
    """Set the committed offsets, while no worker runs; a number is that of each partition of the clicks."""
    if isinstance(offsets, int):
        tps = (kafka.TopicPartition(CLICKS.name, number) for number in range(PARTITIONS))
        offsets = dict.fromkeys(tps, offsets)
    with closing(kafka.KafkaAdminClient(bootstrap_servers=environment.settings.broker)) as client:
        committed = {tp: OffsetAndMetadata(offset, "", -1) for tp, offset in offsets.items()}
        client.alter_group_offsets(environment.settings.app_id, committed)


def delete_group(environment: IntegrationEnvironment) -> None:
    """Delete the committed offsets, as Kafka does a week after the last worker has left."""
    environment.disconnect()
    app_id = environment.settings.app_id
    with closing(kafka.KafkaAdminClient(bootstrap_servers=environment.settings.broker)) as client:
        wait_until(lambda: client.delete_groups([app_id])[app_id] == "OK", "the end of the group", seconds=60)
