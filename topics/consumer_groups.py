"""Consumer groups on the broker: positions and deletion.

Each function raises `BrokerUnavailableError` or `TopicAdminError` (`topics.broker_client`).
"""

import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from kafka import TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import CoordinatorNotAvailableError, GroupIdNotFoundError, KafkaError, NoError
from kafka.structs import OffsetAndMetadata

from topics.broker_client import TopicAdminError, broker_client
from topics.catalog import TopicSpec
from topics.kafka_connection import Broker

_SETTLE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05


class OffsetRange(NamedTuple):
    """The records of a partition: offset of the first, and the offset after the last."""

    beginning: int
    end: int


def offset_ranges(specs: Iterable[TopicSpec], broker: Broker) -> dict[TopicPartition, OffsetRange]:
    """The records that are left in each partition of topics."""
    with broker_client(broker) as client:
        tps = _partitions(client, specs)
        if not tps:
            return {}
        beginnings = client.list_partition_offsets(dict.fromkeys(tps, OffsetSpec.EARLIEST))
        ends = client.list_partition_offsets(dict.fromkeys(tps, OffsetSpec.LATEST))
        return {tp: OffsetRange(beginnings[tp].offset, ends[tp].offset) for tp in tps}


def committed_offsets(group: str, broker: Broker) -> dict[TopicPartition, int]:
    """The next offset to read of each partition that a group has committed; empty for a missing group."""
    with broker_client(broker) as client:
        try:
            offsets = client.list_group_offsets({group: None})[group]
        except (
            CoordinatorNotAvailableError,
            GroupIdNotFoundError,
        ):  # a broker without any group, or without this one
            return {}
        return {tp: each.offset for tp, each in offsets.items() if each.offset >= 0}


def _partitions(client: Any, specs: Iterable[TopicSpec]) -> list[TopicPartition]:
    return [
        TopicPartition(topic["name"], partition["partition_index"])
        for topic in client.describe_topics([spec.name for spec in specs])
        for partition in topic["partitions"]
    ]


def seek_group_to_end(group: str, specs: Iterable[TopicSpec], broker: Broker) -> None:
    """Set the offsets of an inactive consumer group to the current end of topics."""
    with broker_client(broker) as client:
        topic_partitions = _partitions(client, specs)
        ends = client.list_partition_offsets(dict.fromkeys(topic_partitions, OffsetSpec.LATEST))
        expected = {
            topic_partition: OffsetAndMetadata(end.offset, "", -1) for topic_partition, end in ends.items()
        }
        deadline = time.monotonic() + _SETTLE_SECONDS
        while (error := _commit(client, group, expected)) is not NoError:
            # A broker without any group first has to create its internal offsets topic.
            if not error.retriable or time.monotonic() > deadline:
                raise TopicAdminError(f"Could not set the offsets of the group {group}: {error.__name__}")
            time.sleep(_POLL_SECONDS)


def _commit(client: Any, group: str, expected: dict[TopicPartition, OffsetAndMetadata]) -> type[KafkaError]:
    try:
        errors: set[type[KafkaError]] = set(client.alter_group_offsets(group, expected).values())
    except CoordinatorNotAvailableError as error:
        return type(error)
    return next(iter(sorted(errors - {NoError}, key=lambda error: error.retriable)), NoError)


def delete_group(group: str, broker: Broker) -> None:
    """Delete an inactive consumer group and its offsets; a missing group is ignored."""
    with broker_client(broker) as client:
        for error in client.delete_groups([group]).values():
            if error not in {"OK", GroupIdNotFoundError.__name__}:
                raise TopicAdminError(f"Could not delete the group {group}: {error}")
