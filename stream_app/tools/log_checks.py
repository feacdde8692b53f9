"""Checks of `headrace doctor` on what is in the topics: topics made anew, removed records, the shop's partitioner."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from kafka import TopicPartition

from stream_app.errors import UserError
from stream_app.kafka.broker_errors import broker_errors, groupless_consumer
from stream_app.kafka.event_logs import read_event_logs, with_topic_ids
from stream_app.kafka.partitioning import partition_of_key
from stream_app.settings import Settings
from stream_app.tools.check_result import CheckResult, CheckStatus
from topics.broker_client import BrokerUnavailableError, TopicAdminError
from topics.catalog import SHOP_TOPICS, USER_EVENTS
from topics.consumer_groups import OffsetRange, committed_offsets, offset_ranges
from topics.topic_checks import TopicState

_SAMPLE_PER_PARTITION: Final = 50
_SAMPLE_SECONDS: Final = 10.0
_POLL_MS: Final = 300
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
        ranges = offset_ranges([spec for spec in SHOP_TOPICS if spec.name in present], settings.broker)
        committed = committed_offsets(settings.app_id, settings.broker)
        yield _check_topic_ids(settings, present)
        yield check_removed_records(committed, ranges)
        yield check_partitioner(
            settings.broker, {tp: each for tp, each in ranges.items() if tp.topic in _EVENT_NAMES}
        )
    except (BrokerUnavailableError, TopicAdminError, UserError) as error:
        yield CheckResult(
            CheckStatus.WARN,
            "logs",
            f"not checked: {error}",
            "allow this client to READ and DESCRIBE the topics",
        )


def _check_topic_ids(settings: Settings, present: Mapping[str, TopicState]) -> CheckResult:
    known = read_event_logs(settings.broker) if "control" in present else {}
    current = with_topic_ids(
        known, {name: present[name].topic_id for name in _EVENT_NAMES if name in present}
    )
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


def check_partitioner(broker: str, ranges: Mapping[TopicPartition, OffsetRange]) -> CheckResult:
    """Compare the partitions of the newest events with those of Kafka's default partitioner."""
    n_partitions = Counter(tp.topic for tp in ranges)
    checked, misplaced = Counter[str](), Counter[str]()
    for record in _newest_records(broker, ranges):
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


def _newest_records(broker: str, ranges: Mapping[TopicPartition, OffsetRange]) -> Iterator[Any]:
    starts = {
        tp: max(each.beginning, each.end - _SAMPLE_PER_PARTITION)
        for tp, each in ranges.items()
        if each.beginning < each.end
    }
    if not starts:
        return
    with broker_errors(broker):
        consumer = groupless_consumer(broker)
        try:
            consumer.assign(list(starts))
            for tp, start in starts.items():
                consumer.seek(tp, start)
            deadline, unread = time.monotonic() + _SAMPLE_SECONDS, set(starts)
            while unread and time.monotonic() < deadline:
                for records in consumer.poll(timeout_ms=_POLL_MS).values():
                    yield from records
                unread = {tp for tp in unread if (consumer.position(tp) or 0) < ranges[tp].end}
        finally:
            consumer.close()
