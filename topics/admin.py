"""Topics on the broker: made from the catalog, compared with it, listed, deleted.

Comparing is pure (`problems`); the rest is one short conversation with the broker each.
"""

import contextlib
import logging
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
from kafka import KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, KafkaAdminClient, OffsetSpec
from kafka.errors import (
    CoordinatorNotAvailableError,
    GroupIdNotFoundError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    NoError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)
from kafka.structs import OffsetAndMetadata

from topics.catalog import TopicSpec

CONNECT_SECONDS: Final = 2.0
BOOTSTRAP_MS: Final = 2_500
REQUEST_MS: Final = 30_000
SETTLE_MS: Final = 30_000
POLL_SECONDS: Final = 0.05

WORKER_OPERATIONS: Final = frozenset({"READ", "WRITE", "DESCRIBE"})
"""What a worker does with the topics."""


class BrokerUnavailableError(ConnectionError):
    """No broker answers.

    Attributes
    ----------
    broker
        Where it was looked for.
    """

    def __init__(self, broker: str) -> None:
        super().__init__(f"No Kafka broker answers at {broker}. Start one, or set HEADRACE_BROKER.")
        self.broker: Final = broker


class TopicAdminError(RuntimeError):
    """The broker answered, but refused; the message is one sentence for people."""


class ProblemKind(StrEnum):
    """What is wrong with a topic."""

    MISSING = "missing"
    PARTITIONS = "partitions"
    CLEANUP_POLICY = "cleanup.policy"
    TIMESTAMP_TYPE = "message.timestamp.type"
    MAX_MESSAGE_BYTES = "max.message.bytes"


class Problem(msgspec.Struct, frozen=True):
    """Something in which a topic is not as the catalog says.

    Attributes
    ----------
    topic
        Its name.
    kind
        What is wrong.
    actual, expected
        On the broker and in the catalog; empty where it is missing.
    """

    topic: str
    kind: ProblemKind
    actual: str = ""
    expected: str = ""

    def __str__(self) -> str:
        if self.kind is ProblemKind.MISSING:
            return f"{self.topic} is missing"
        if self.kind is ProblemKind.PARTITIONS:
            return f"{self.topic} has {self.actual} partitions, the topics it is read with {self.expected}"
        return f"{self.topic} has {self.kind}={self.actual}, not {self.expected}"

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if self.kind is ProblemKind.MISSING:
            return "headrace topics create"
        if self.kind is ProblemKind.PARTITIONS:
            return (
                "give them all the same number before anything is written: "
                f"kafka-topics --alter --topic {self.topic} --partitions N"
            )
        return f"kafka-configs --alter --topic {self.topic} --add-config '{self.kind}={self.expected}'"


class TopicState(msgspec.Struct, frozen=True, kw_only=True):
    """A topic of the catalog as it is on the broker.

    Attributes
    ----------
    spec
        Its entry in the catalog.
    partitions, replication
        None if it is missing.
    config
        Its settings, the broker's defaults included.
    operations
        What we may do with it (``READ``, ``WRITE``, ...).
    """

    spec: TopicSpec
    partitions: int | None = None
    replication: int | None = None
    config: dict[str, str] = {}
    operations: frozenset[str] = frozenset()


def create(specs: Iterable[TopicSpec], broker: str, *, partitions: int, replication: int) -> list[str]:
    """Make the topics that are not there yet, and wait until every partition of `specs` has a leader.

    Parameters
    ----------
    specs
        Entries of the catalog.
    broker
        Bootstrap servers, ``host:port`` with commas between.
    partitions
        For the topics whose entry does not fix a number.
    replication
        Copies of each partition.

    Returns
    -------
    list of str
        The names of the topics it made, in the order of `specs`.

    Raises
    ------
    BrokerUnavailableError, TopicAdminError
    """
    specs = list(specs)
    with _client(broker) as client:
        existing = set(client.list_topics())
        expected = {
            spec.name: {
                "num_partitions": spec.partitions or partitions,
                "replication_factor": replication,
                "configs": spec.topic_config,
            }
            for spec in specs
            if spec.name not in existing
        }
        created = []
        if expected:
            for result in client.create_topics(expected, raise_errors=False)["topics"]:
                error = for_code(result["error_code"])
                if error is TopicAlreadyExistsError:  # somebody else was quicker
                    continue
                if result["error_code"]:
                    reason = result["error_message"] or error.__name__
                    raise TopicAdminError(f"Could not create the topic {result['name']}: {reason}")
                created.append(result["name"])
        client.wait_for_topics([spec.name for spec in specs], timeout_ms=SETTLE_MS)
    return [spec.name for spec in specs if spec.name in created]


def delete(names: Iterable[str], broker: str) -> list[str]:
    """Delete topics with all that is in them, and wait until the broker no longer lists them.

    Returns
    -------
    list of str
        The names of those that were there.

    Raises
    ------
    BrokerUnavailableError, TopicAdminError
    """
    with _client(broker) as client:
        existing = set(client.list_topics())
        to_delete = [name for name in names if name in existing]
        if not to_delete:
            return []
        for result in client.delete_topics(to_delete, raise_errors=False)["topics"]:
            error = for_code(result["error_code"])
            if result["error_code"] and error is not UnknownTopicOrPartitionError:
                reason = result["error_message"] or error.__name__
                raise TopicAdminError(f"Could not delete the topic {result['name']}: {reason}")
        deadline = time.monotonic() + SETTLE_MS / 1000
        while set(client.list_topics()).intersection(to_delete):
            if time.monotonic() > deadline:
                raise TopicAdminError(
                    f"The broker still lists topics {SETTLE_MS // 1000} s after their deletion."
                )
            time.sleep(POLL_SECONDS)
    return to_delete


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
    with _client(broker) as client:
        topic_partitions = [
            TopicPartition(topic["name"], partition["partition_index"])
            for topic in client.describe_topics([spec.name for spec in specs])
            for partition in topic["partitions"]
        ]
        ends = client.list_partition_offsets(dict.fromkeys(topic_partitions, OffsetSpec.LATEST))
        expected = {
            topic_partition: OffsetAndMetadata(end.offset, "", -1) for topic_partition, end in ends.items()
        }
        deadline = time.monotonic() + SETTLE_MS / 1000
        while (error := _commit(client, group, expected)) is not NoError:
            # A broker that never had a group first makes the topic where groups are kept.
            if not error.retriable or time.monotonic() > deadline:
                raise TopicAdminError(
                    f"The group {group} could not begin where the topics end: {error.__name__}"
                )
            time.sleep(POLL_SECONDS)


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
    with _client(broker) as client:
        for error in client.delete_groups([group]).values():
            if error not in {"OK", GroupIdNotFoundError.__name__}:
                raise TopicAdminError(f"Could not delete the group {group}: {error}")


def list_names(broker: str) -> list[str]:
    """The names of all topics on the broker, the internal ones included, sorted.

    Raises
    ------
    BrokerUnavailableError, TopicAdminError
    """
    with _client(broker) as client:
        return sorted(client.list_topics())


def describe(specs: Iterable[TopicSpec], broker: str) -> list[TopicState]:
    """The topics of `specs` as they are on the broker, in the same order.

    Raises
    ------
    BrokerUnavailableError, TopicAdminError
    """
    specs = list(specs)
    with _client(broker) as client:
        listed = {topic["name"]: topic for topic in client.describe_topics([spec.name for spec in specs])}
        existing = [name for name, topic in listed.items() if not topic["error_code"]]
        resources = [ConfigResource("topic", name) for name in existing]
        configs = client.describe_configs(resources, config_filter="all")["topic"] if existing else {}
    return [_topic_state(spec, listed.get(spec.name), configs.get(spec.name, {})) for spec in specs]


def clock_skew(broker: str, *, clock: Callable[[], float] = time.time) -> float:
    """How far the brokers' clocks are from ours: Kafka tells its time only by dating a record.

    A topic of its own is made for it, with a partition for each broker, and deleted again.

    Parameters
    ----------
    broker
        Bootstrap servers.
    clock
        Our time, seconds since the epoch.

    Returns
    -------
    float
        Seconds ahead of ours, of the broker that is farthest.

    Raises
    ------
    BrokerUnavailableError, TopicAdminError
    """
    name = f"headrace-clock-{uuid.uuid4().hex}"
    with _client(broker) as client:
        partitions = len(client.describe_cluster()["brokers"])
    dated = TopicSpec(
        name=name,
        purpose="Dates a record.",
        key="none",
        payload=None,
        partitions=partitions,
        config={"message.timestamp.type": "LogAppendTime"},
    )
    try:
        create([dated], broker, partitions=partitions, replication=1)
        with _quiet_logger():
            return max((_skew(broker, name, partition, clock) for partition in range(partitions)), key=abs)
    except KafkaError as error:
        raise TopicAdminError(f"The broker at {broker} takes no record: {error}") from None
    finally:
        with contextlib.suppress(BrokerUnavailableError, TopicAdminError):
            delete([name], broker)


def _skew(broker: str, topic: str, partition: int, clock: Callable[[], float]) -> float:
    producer = KafkaProducer(
        bootstrap_servers=broker.split(","),
        client_id="headrace-admin",
        bootstrap_timeout_ms=BOOTSTRAP_MS,
        allow_auto_create_topics=False,
        max_block_ms=BOOTSTRAP_MS,
        delivery_timeout_ms=10_000,
        request_timeout_ms=5_000,
    )
    try:
        # The first record makes the connection; the second is on its way for a moment only.
        producer.send(topic, b"", partition=partition).get(timeout=10)
        sent_at = clock()
        dated = producer.send(topic, b"", partition=partition).get(timeout=10).timestamp / 1000.0
        return float(dated - (sent_at + clock()) / 2)
    finally:
        producer.close(timeout=5)


def check(specs: Iterable[TopicSpec], broker: str) -> list[Problem]:
    """Compare the broker with the catalog.

    Returns
    -------
    list of Problem
        Empty if all is well.

    Raises
    ------
    BrokerUnavailableError, TopicAdminError
    """
    return problems(describe(specs, broker))


def problems(states: Sequence[TopicState]) -> list[Problem]:
    """What is not as the catalog says.

    Examples
    --------
    >>> from topics.catalog import CLICKS, PURCHASES, SEARCHES
    >>> config = CLICKS.topic_config
    >>> states = [
    ...     TopicState(spec=CLICKS, partitions=8, config=config),
    ...     TopicState(spec=SEARCHES, partitions=8, config=config),
    ...     TopicState(spec=PURCHASES, partitions=4, config={**config, "cleanup.policy": "compact"}),
    ... ]
    >>> for problem in problems(states):
    ...     print(problem)
    events.purchase has 4 partitions, the topics it is read with 8
    events.purchase has cleanup.policy=compact, not delete
    """
    partition_counts = Counter(
        state.partitions for state in states if state.spec.copartitioned and state.partitions
    )
    majority_count = partition_counts.most_common(1)[0][0] if partition_counts else None
    return [problem for state in states for problem in _problems_of(state, majority_count)]


def _problems_of(state: TopicState, majority_count: int | None) -> Iterator[Problem]:
    spec = state.spec
    if state.partitions is None:
        yield Problem(spec.name, ProblemKind.MISSING)
        return
    if spec.copartitioned and state.partitions != majority_count:
        yield Problem(spec.name, ProblemKind.PARTITIONS, str(state.partitions), str(majority_count))
    expected = spec.topic_config
    for kind in (ProblemKind.CLEANUP_POLICY, ProblemKind.TIMESTAMP_TYPE, ProblemKind.MAX_MESSAGE_BYTES):
        actual, expected_value = state.config.get(kind), expected.get(kind)
        if actual is None or expected_value is None:  # we may not read it, or it does not matter
            continue
        is_ok = (
            int(actual) >= int(expected_value)
            if kind is ProblemKind.MAX_MESSAGE_BYTES
            else actual == expected_value
        )
        if not is_ok:
            yield Problem(spec.name, kind, actual, expected_value)


def _topic_state(spec: TopicSpec, topic: Any, config: Any) -> TopicState:
    if topic is None or topic["error_code"]:
        error = for_code(topic["error_code"]) if topic else UnknownTopicOrPartitionError
        if error is not UnknownTopicOrPartitionError:
            raise TopicAdminError(f"The broker does not describe the topic {spec.name}: {error.__name__}")
        return TopicState(spec=spec)
    partitions = topic["partitions"]
    return TopicState(
        spec=spec,
        partitions=len(partitions),
        replication=min((len(partition["replica_nodes"]) for partition in partitions), default=0),
        config={name: str(entry["value"]) for name, entry in config.items() if entry["value"] is not None},
        operations=frozenset(map(str, topic.get("authorized_operations") or ())),
    )


@contextlib.contextmanager
def _client(broker: str) -> Iterator[Any]:
    if not _is_listening(broker):
        raise BrokerUnavailableError(broker)
    client = None
    with _quiet_logger():
        try:
            client = KafkaAdminClient(
                bootstrap_servers=broker.split(","),
                client_id="headrace-admin",
                bootstrap_timeout_ms=BOOTSTRAP_MS,
                request_timeout_ms=REQUEST_MS,
            )
            yield client
        except KafkaError as error:
            if client is None or isinstance(error, KafkaConnectionError | NodeNotReadyError):
                raise BrokerUnavailableError(broker) from None
            raise TopicAdminError(f"The broker at {broker} could not do that: {error}") from None
        finally:
            if client is not None:
                client.close()


def _is_listening(broker: str) -> bool:
    """Whether anything takes connections there: the client itself would go on trying for its whole time."""
    for server in broker.split(","):
        host, _, port = server.strip().rpartition(":")
        with contextlib.suppress(OSError, ValueError, OverflowError):
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
            return True
    return False


@contextlib.contextmanager
def _quiet_logger() -> Iterator[None]:
    """Keep the client's own account of every failed attempt from the terminal: the error says it once."""
    logger = logging.getLogger("kafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
