"""Consumer groups on the broker: start positions and deletion."""

import time
from collections.abc import Iterable
from typing import Any, Final

from kafka import TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import CoordinatorNotAvailableError, GroupIdNotFoundError, KafkaError, NoError
from kafka.structs import OffsetAndMetadata

from topics.broker_client import TopicAdminError, broker_client
from topics.catalog import TopicSpec

_SETTLE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05


def seek_group_to_end(group: str, specs: Iterable[TopicSpec], broker: str) -> None:
    """Let a consumer group that is not at work begin where topics end now.

    Parameters
    ----------
    group
        Its id.
    specs
        Topics that are there.
    broker
        Bootstrap servers.

    Raises
    ------
    BrokerUnavailableError, TopicAdminError
    """
    with broker_client(broker) as client:
        topic_partitions = [
            TopicPartition(topic["name"], partition["partition_index"])
            for topic in client.describe_topics([spec.name for spec in specs])
            for partition in topic["partitions"]
        ]
        ends = client.list_partition_offsets(dict.fromkeys(topic_partitions, OffsetSpec.LATEST))
        expected = {
            topic_partition: OffsetAndMetadata(end.offset, "", -1) for topic_partition, end in ends.items()
        }
        deadline = time.monotonic() + _SETTLE_SECONDS
        while (error := _commit(client, group, expected)) is not NoError:
            # A broker that never had a group first makes the topic where groups are kept.
            if not error.retriable or time.monotonic() > deadline:
                raise TopicAdminError(
                    f"The group {group} could not begin where the topics end: {error.__name__}"
                )
            time.sleep(_POLL_SECONDS)


def _commit(client: Any, group: str, expected: dict[TopicPartition, OffsetAndMetadata]) -> type[KafkaError]:
    try:
        errors: set[type[KafkaError]] = set(client.alter_group_offsets(group, expected).values())
    except CoordinatorNotAvailableError as error:
        return type(error)
    return next(iter(sorted(errors - {NoError}, key=lambda error: error.retriable)), NoError)


def delete_group(group: str, broker: str) -> None:
    """Delete a consumer group that is not at work, and so where it had got to.

    Raises
    ------
    BrokerUnavailableError, TopicAdminError
    """
    with broker_client(broker) as client:
        for error in client.delete_groups([group]).values():
            if error not in {"OK", GroupIdNotFoundError.__name__}:
                raise TopicAdminError(f"Could not delete the group {group}: {error}")
