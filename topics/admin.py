"""Creates, describes, checks and deletes topics on the broker.

Each function opens its own connection, and raises `BrokerUnavailableError` or `TopicAdminError`
(`topics.broker_client`).
"""

import time
import uuid
from collections.abc import Iterable
from typing import Any, Final

from kafka.admin import ConfigResource
from kafka.errors import (
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from topics.access import allows
from topics.broker_client import TopicAdminError, broker_client
from topics.catalog import TopicSpec
from topics.kafka_connection import Broker
from topics.topic_checks import Problem, TopicState, problems

_SETTLE_MS: Final = 30_000
_POLL_SECONDS: Final = 0.05
_NO_TOPIC_ID: Final = str(uuid.UUID(int=0))


def create(specs: Iterable[TopicSpec], broker: Broker, *, partitions: int, replication: int) -> list[str]:
    """Create missing topics, and wait until each partition of `specs` has a leader.

    Parameters
    ----------
    broker
        Bootstrap servers, comma-separated ``host:port``.
    partitions
        Partition count of topics whose entry has none.

    Returns
    -------
    list of str
        Names of the created topics, in the order of `specs`.
    """
    specs = list(specs)
    with broker_client(broker) as client:
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
                if error is TopicAlreadyExistsError:  # another process created it
                    continue
                if result["error_code"]:
                    reason = result["error_message"] or error.__name__
                    remedy = _acl(error, "Create", result["name"])
                    raise TopicAdminError(f"Could not create the topic {result['name']}: {reason}{remedy}")
                created.append(result["name"])
        client.wait_for_topics([spec.name for spec in specs], timeout_ms=_SETTLE_MS)
    return [spec.name for spec in specs if spec.name in created]


def delete(names: Iterable[str], broker: Broker) -> list[str]:
    """Delete topics and their records, and wait until the broker no longer lists them.

    Returns
    -------
    list of str
        Names of the deleted topics; missing topics are ignored.
    """
    with broker_client(broker) as client:
        existing = set(client.list_topics())
        to_delete = [name for name in names if name in existing]
        if not to_delete:
            return []
        for result in client.delete_topics(to_delete, raise_errors=False)["topics"]:
            error = for_code(result["error_code"])
            if result["error_code"] and error is not UnknownTopicOrPartitionError:
                reason = result["error_message"] or error.__name__
                remedy = _acl(error, "Delete", result["name"])
                raise TopicAdminError(f"Could not delete the topic {result['name']}: {reason}{remedy}")
        deadline = time.monotonic() + _SETTLE_MS / 1000
        while set(client.list_topics()).intersection(to_delete):
            if time.monotonic() > deadline:
                raise TopicAdminError(
                    f"The broker still lists topics {_SETTLE_MS // 1000} s after their deletion."
                )
            time.sleep(_POLL_SECONDS)
    return to_delete


def _acl(error: type[Exception], operation: str, topic: str) -> str:
    """What grants a denied operation; empty for another error."""
    if "AuthorizationFailed" not in error.__name__:
        return ""
    return f" Grant: kafka-acls --add --allow-principal User:NAME --operation {operation} --topic {topic}"


def list_names(broker: Broker) -> list[str]:
    """Names of all topics on the broker, including internal ones, sorted."""
    with broker_client(broker) as client:
        return sorted(client.list_topics())


def describe(specs: Iterable[TopicSpec], broker: Broker) -> list[TopicState]:
    """The state of the topics on the broker, in the order of `specs`."""
    specs = list(specs)
    with broker_client(broker) as client:
        listed = {topic["name"]: topic for topic in client.describe_topics([spec.name for spec in specs])}
        # One that may not be read would fail the request for all.
        readable = [name for name, topic in listed.items() if not topic["error_code"] and _has_configs(topic)]
        resources = [ConfigResource("topic", name) for name in readable]
        configs = client.describe_configs(resources, config_filter="all")["topic"] if readable else {}
    return [_topic_state(spec, listed.get(spec.name), configs.get(spec.name, {})) for spec in specs]


def is_denied(name: str, broker: Broker) -> bool:
    """Whether the broker does not tell this client if a topic exists."""
    with broker_client(broker) as client:
        [topic] = client.describe_topics([name])
    return for_code(topic["error_code"]) is TopicAuthorizationFailedError


def topic_ids(specs: Iterable[TopicSpec], broker: Broker) -> dict[str, str]:
    """Id of each topic that exists; empty ids from a broker before Kafka 2.8."""
    with broker_client(broker) as client:
        listed = client.describe_topics([spec.name for spec in specs])
    return {topic["name"]: _topic_id(topic) for topic in listed if not topic["error_code"]}


def check(specs: Iterable[TopicSpec], broker: Broker) -> list[Problem]:
    """Compare the broker with the catalog.

    Returns
    -------
    list of Problem
        Empty if all topics match.
    """
    return problems(describe(specs, broker))


def _topic_state(spec: TopicSpec, topic: Any, config: Any) -> TopicState:
    if topic is None or topic["error_code"]:
        error = for_code(topic["error_code"]) if topic else UnknownTopicOrPartitionError
        if error is TopicAuthorizationFailedError:
            return TopicState(spec=spec, is_denied=True)
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
        topic_id=_topic_id(topic),
    )


def _has_configs(topic: Any) -> bool:
    """Whether this client may read the settings of a topic; a broker that is too old does not tell."""
    operations = topic.get("authorized_operations")
    return not operations or allows(map(str, operations), "DESCRIBE_CONFIGS")


def _topic_id(topic: Any) -> str:
    topic_id = str(topic.get("topic_id") or "")
    return "" if topic_id == _NO_TOPIC_ID else topic_id
