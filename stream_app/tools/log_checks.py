"""Checks of `headrace doctor` on what is in the topics: topics made anew, removed records, the shop's partitioner."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from kafka import TopicPartition

from state.positions import PartitionPositions
from stream_app.errors import UserError
from stream_app.kafka.event_logs import EventLogs, later_of, read_event_logs, with_topic_ids
from stream_app.kafka.partitioning import partition_of_key
from stream_app.settings import Settings
from stream_app.tools.check_result import CheckResult, CheckStatus
from stream_app.tools.newest_records import newest_records
from stream_app.tools.stored_positions import read_stored_positions
from stream_app.worker.position_log import event_logs_of
from topics.broker_client import BrokerUnavailableError, TopicAdminError
from topics.catalog import CONTROL, SHOP_TOPICS, USER_EVENTS, changelog
from topics.consumer_groups import OffsetRange, committed_offsets, offset_ranges
from topics.kafka_connection import Broker
from topics.topic_checks import TopicState

_SAMPLE_PER_PARTITION: Final = 50
_SAMPLE_SECONDS: Final = 10.0
_EVENT_NAMES: Final = tuple(spec.name for spec in USER_EVENTS)


def check_logs(settings: Settings, states: Sequence[TopicState]) -> Iterator[CheckResult]:
    """Run the checks on the topics that exist.

    Parameters
    ----------
    states
        The topics on the broker.
    """
    present = {state.spec.name: state for state in states if state.partitions}
    try:
        ranges = offset_ranges([spec for spec in SHOP_TOPICS if spec.name in present], settings.kafka)
        committed = committed_offsets(settings.app_id, settings.kafka)
        stored: Mapping[int, PartitionPositions] = {}
        if changelog(settings.app_id).name in present:
            stored = read_stored_positions(settings.app_id, settings.kafka)
        topic_ids = {name: present[name].topic_id for name in _EVENT_NAMES if name in present}
        recorded = read_event_logs(settings.kafka) if CONTROL.name in present else {}
        yield check_topic_ids(later_of(recorded, event_logs_of(stored.values())), topic_ids)
        positions = stored_offsets(stored, topic_ids)
        yield check_removed_records({**positions, **committed}, ranges)
        yield check_lost_records(positions, ranges)
        yield check_partitioner(
            settings.kafka, {tp: each for tp, each in ranges.items() if tp.topic in _EVENT_NAMES}
        )
    except (BrokerUnavailableError, TopicAdminError, UserError) as error:
        yield CheckResult(
            CheckStatus.WARN,
            "logs",
            f"not checked: {error}",
            "allow this client to READ and DESCRIBE the topics",
        )


def stored_offsets(
    stored: Mapping[int, PartitionPositions], topic_ids: Mapping[str, str]
) -> dict[TopicPartition, int]:
    """The next offsets to read that are stored with the rows, of the topics as they are now."""
    return {
        TopicPartition(topic, partition): each.next_offset
        for partition, positions in stored.items()
        for topic, each in positions.topics.items()
        if topic_ids.get(topic) == each.topic_id
    }


def check_topic_ids(known: EventLogs, topic_ids: Mapping[str, str]) -> CheckResult:
    """Compare the ids of the topics with those that workers have read."""
    current = with_topic_ids(known, topic_ids)
    anew = sorted(name for name in known if current[name] != known[name])
    if anew:
        return CheckResult(
            CheckStatus.WARN,
            "topic ids",
            f"deleted and created anew since the workers read them: {', '.join(anew)}",
            "nothing: workers count their offsets from a new base, within a minute or at their next start. Events "
            "of the deleted topics that had not been read are lost",
        )
    return CheckResult(CheckStatus.OK, "topic ids", "no topic of user events was made anew")


def check_removed_records(
    committed: Mapping[TopicPartition, int], ranges: Mapping[TopicPartition, OffsetRange]
) -> CheckResult:
    """Compare the offsets that workers have committed with the records that are left.

    Examples
    --------
    >>> log = TopicPartition("events.click", 0)
    >>> print(check_removed_records({log: 10}, {log: OffsetRange(30, 90)}).detail)
    retention removed 20 records of events.click before workers read them
    """
    removed, beyond = Counter[str](), set()
    for tp, offset in committed.items():
        if tp in ranges:
            removed[tp.topic] += max(0, ranges[tp].beginning - offset)
            if offset > ranges[tp].end:
                beyond.add(tp.topic)
    if +removed:
        counts = ", ".join(f"{count} records of {topic}" for topic, count in sorted((+removed).items()))
        return CheckResult(
            CheckStatus.WARN,
            "retention",
            f"retention removed {counts} before workers read them",
            "they are lost: raise retention.ms of the topic above the longest time without workers",
        )
    if beyond:
        return CheckResult(
            CheckStatus.WARN,
            "retention",
            f"committed offsets are beyond the end of {', '.join(sorted(beyond))}",
            "the topic lost records or was made anew; workers read it from its start",
        )
    return CheckResult(CheckStatus.OK, "retention", "no record was removed before workers read it")


def check_lost_records(
    positions: Mapping[TopicPartition, int], ranges: Mapping[TopicPartition, OffsetRange]
) -> CheckResult:
    """Compare the offsets that the rows have reached with the ends of the topics.

    Examples
    --------
    >>> log = TopicPartition("events.click", 0)
    >>> print(check_lost_records({log: 36}, {log: OffsetRange(0, 18)}).detail)
    events.click has lost records that workers had read
    """
    lost = sorted({tp.topic for tp, offset in positions.items() if tp in ranges and offset > ranges[tp].end})
    if lost:
        return CheckResult(
            CheckStatus.WARN,
            "lost records",
            f"{', '.join(lost)} has lost records that workers had read",
            "the broker lost acknowledged records. Events that take their offsets are dropped as replays: delete the "
            "topic and create it anew, workers then count its offsets from a new base. Use three replicas, and "
            "min.insync.replicas=2",
        )
    return CheckResult(CheckStatus.OK, "lost records", "the topics have all records that workers have read")


def check_partitioner(broker: Broker, ranges: Mapping[TopicPartition, OffsetRange]) -> CheckResult:
    """Compare the partitions of the newest events with those of Kafka's default partitioner."""
    n_partitions = Counter(tp.topic for tp in ranges)
    checked, misplaced = Counter[str](), Counter[str]()
    for record in newest_records(broker, ranges, _SAMPLE_PER_PARTITION, _SAMPLE_SECONDS):
        if record.key:
            checked[record.topic] += 1
            misplaced[record.topic] += record.partition != partition_of_key(
                record.key, n_partitions[record.topic]
            )
    if +misplaced:
        counts = ", ".join(f"{n} of {checked[topic]} in {topic}" for topic, n in sorted((+misplaced).items()))
        return CheckResult(
            CheckStatus.WARN,
            "partitioner",
            f"newest events in another partition than murmur2 of their key: {counts}; workers forward each of them",
            "set the producer's partitioner to Kafka's default (librdkafka: partitioner=murmur2_random)",
        )
    return CheckResult(
        CheckStatus.OK,
        "partitioner",
        f"the newest {checked.total()} events are in the partition of their key",
    )
