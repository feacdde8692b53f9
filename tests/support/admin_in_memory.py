"""The topics of a broker in memory, behind the methods of kafka-python's admin client that `topics.admin` uses.

`tests/integration/test_topic_admin.py` asks a real broker.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from kafka.errors import (
    InvalidReplicationFactorError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)

N_BROKERS: Final = 1
DEFAULT_CONFIG: Final = {
    "cleanup.policy": "delete",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "CreateTime",
    "segment.ms": "604800000",
}
"""Some of the settings that a topic has if nothing is said of them."""


def _nothing() -> None: ...


class AdminInMemory:
    """The topics, and how the broker behaves.

    Attributes
    ----------
    n_lists_after_deletion
        How often a topic is listed after its deletion.
    errors
        An error code for each topic that a request fails for, by name.
    on_list
        Called after the topics were listed: other programs act meanwhile.
    reports_ids
        Whether the broker has ids of topics: since Kafka 2.8.
    """

    def __init__(self) -> None:
        self.topics: dict[str, dict[str, Any]] = {}
        self.configs: dict[str, dict[str, str | None]] = {}
        self.n_lists_after_deletion = 0
        self.errors: dict[str, int] = {}
        self.on_list: Callable[[], None] = _nothing
        self.reports_ids = True
        self.waited_for: list[str] = []
        self.n_open = 0
        self._leaving: dict[str, int] = {}

    @contextmanager
    def connect(self, broker: str) -> "Iterator[AdminInMemory]":
        """Stand in for `topics.broker_client.broker_client`."""
        assert broker == "broker:9092"
        self.n_open += 1
        try:
            yield self
        finally:
            self.n_open -= 1

    def list_topics(self) -> list[str]:
        leaving = [name for name, left in self._leaving.items() if left]
        for name in leaving:
            self._leaving[name] -= 1
        listed = [*self.topics, *leaving]
        self.on_list()
        return listed

    def create_topics(self, new_topics: dict[str, dict[str, Any]], *, raise_errors: bool) -> dict[str, Any]:
        assert not raise_errors
        return {"topics": [self._create(name, options) for name, options in new_topics.items()]}

    def _create(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        replication = options["replication_factor"]
        if name in self.errors:
            return {"name": name, "error_code": self.errors[name], "error_message": None}
        if name in self.topics:
            message = f"Topic '{name}' already exists."
            return {"name": name, "error_code": TopicAlreadyExistsError.errno, "error_message": message}
        if replication > N_BROKERS:
            message = f"The target replication factor of {replication} cannot be reached"
            return {"name": name, "error_code": InvalidReplicationFactorError.errno, "error_message": message}
        self.configs[name] = {**DEFAULT_CONFIG, **options["configs"]}
        self.topics[name] = {
            "name": name,
            "error_code": 0,
            "partitions": [
                {"partition_index": at, "replica_nodes": list(range(replication))}
                for at in range(options["num_partitions"])
            ],
            "authorized_operations": ["READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"],
            "topic_id": str(uuid.uuid4() if self.reports_ids else uuid.UUID(int=0)),
        }
        return {"name": name, "error_code": 0, "error_message": None}

    def wait_for_topics(self, names: list[str], *, timeout_ms: int) -> None:
        assert timeout_ms >= 10_000
        self.waited_for += names

    def delete_topics(self, names: Iterable[str], *, raise_errors: bool) -> dict[str, Any]:
        assert not raise_errors
        results = []
        for name in names:
            error = self.errors.get(name, 0 if name in self.topics else UnknownTopicOrPartitionError.errno)
            if not error:
                del self.topics[name]
                self._leaving[name] = self.n_lists_after_deletion
            results.append({"name": name, "error_code": error, "error_message": None})
        return {"topics": results}

    def describe_topics(self, names: Iterable[str]) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "error_code": self.errors.get(name, UnknownTopicOrPartitionError.errno),
                "partitions": [],
                "topic_id": None,
            }
            if name in self.errors or name not in self.topics
            else self.topics[name]
            for name in names
        ]

    def describe_configs(self, resources: Iterable[Any], *, config_filter: str) -> dict[str, Any]:
        assert config_filter == "all"
        return {
            "topic": {
                each.name: {name: {"value": value} for name, value in self.configs[each.name].items()}
                for each in resources
            }
        }
