"""Compares the topics on the broker with the catalog; pure functions."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from math import inf
from statistics import mode
from typing import Final

import msgspec

from topics.catalog import CleanupPolicy, TopicSpec, topic_of
from topics.event_size import largest_record_bytes
from topics.events import EVENT_STRUCTS

LARGEST_EVENTS: Final = {
    topic_of(event_type).name: largest_record_bytes(event_type) for event_type in EVENT_STRUCTS
}
"""Bytes of the largest event of the contract, by topic."""


class ProblemKind(StrEnum):
    """The kind of a difference between broker and catalog."""

    MISSING = "missing"
    DENIED = "denied"
    PARTITIONS = "partitions"
    CLEANUP_POLICY = "cleanup.policy"
    TIMESTAMP_TYPE = "message.timestamp.type"
    MAX_MESSAGE_BYTES = "max.message.bytes"
    RETENTION = "retention.ms"
    SEGMENT_MS = "segment.ms"
    MAX_COMPACTION_LAG = "max.compaction.lag.ms"
    DELETE_RETENTION = "delete.retention.ms"


_UPPER_BOUNDS: Final = (
    ProblemKind.RETENTION,
    ProblemKind.SEGMENT_MS,
    ProblemKind.MAX_COMPACTION_LAG,
    ProblemKind.DELETE_RETENTION,
)
"""Settings that decide when records of an erased user end: a smaller value is as good."""


class Problem(msgspec.Struct, frozen=True):
    """A difference between a topic on the broker and its entry in the catalog.

    Attributes
    ----------
    actual, expected
        The values on the broker and in the catalog; empty if the topic is missing.
    """

    topic: str
    kind: ProblemKind
    actual: str = ""
    expected: str = ""

    def __str__(self) -> str:
        if self.kind is ProblemKind.MISSING:
            return f"{self.topic} is missing"
        if self.kind is ProblemKind.DENIED:
            return f"{self.topic} is missing, or the broker does not tell this client of it"
        if self.kind is ProblemKind.PARTITIONS:
            return f"{self.topic} has {self.actual} partitions, the topics read with it have {self.expected}"
        if self._refuses_large_events:
            return (
                f"{self.topic} has {self.kind}={self.actual}: Kafka refuses its largest events, "
                f"up to {LARGEST_EVENTS[self.topic]} bytes by the contract"
            )
        return f"{self.topic} has {self.kind}={self.actual}, not {self.expected}"

    @property
    def is_blocking(self) -> bool:
        """Whether a worker must not start.

        Otherwise records of erased users stay longer than stated, or the shop cannot send the largest events.
        """
        return (
            self.kind not in _UPPER_BOUNDS and not self._lacks_compaction and not self._refuses_large_events
        )

    @property
    def _refuses_large_events(self) -> bool:
        return self.kind is ProblemKind.MAX_MESSAGE_BYTES and self.topic in LARGEST_EVENTS

    @property
    def _lacks_compaction(self) -> bool:
        return (
            self.kind is ProblemKind.CLEANUP_POLICY
            and self.expected == CleanupPolicy.COMPACT_AND_DELETE
            and self.actual == CleanupPolicy.DELETE
        )

    @property
    def remedy(self) -> str:
        """A command or instruction that fixes the problem."""
        if self._lacks_compaction:
            return (
                "once no record of an earlier version is left, whose key is the bare user id (compaction would keep "
                f"one of each user): {self._command}"
            )
        if self.kind is ProblemKind.MISSING:
            return "headrace topics create"
        if self.kind is ProblemKind.DENIED:
            return f"kafka-acls --add --allow-principal User:NAME --operation Describe --topic {self.topic}"
        if self.kind is ProblemKind.PARTITIONS:
            return (
                "set the same partition count for all before anything is written: "
                f"kafka-topics --alter --topic {self.topic} --partitions N"
            )
        return self._command

    @property
    def _command(self) -> str:
        # A comma separates settings, unless it is within brackets.
        value = f"[{self.expected}]" if "," in self.expected else self.expected
        return f"kafka-configs --alter --topic {self.topic} --add-config '{self.kind}={value}'"


class TopicState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a topic of the catalog on the broker.

    Attributes
    ----------
    partitions, replication
        Counts on the broker; None if the topic is missing.
    config
        Settings of the topic, including the broker's defaults.
    operations
        Operations that this client is authorized for (``READ``, ``WRITE``, ...).
    topic_id
        Changes when a topic is deleted and created again; empty for a broker that reports none (before Kafka 2.8).
    is_denied
        Whether the broker does not tell this client if the topic exists.
    """

    spec: TopicSpec
    partitions: int | None = None
    replication: int | None = None
    config: dict[str, str] = {}
    operations: frozenset[str] = frozenset()
    topic_id: str = ""
    is_denied: bool = False


def problems(states: Sequence[TopicState]) -> list[Problem]:
    """The differences between broker and catalog.

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
    events.purchase has 4 partitions, the topics read with it have 8
    events.purchase has cleanup.policy=compact, not delete
    """
    partition_counts = [state.partitions for state in states if state.spec.copartitioned and state.partitions]
    majority_count = mode(partition_counts) if partition_counts else None
    return [problem for state in states for problem in _problems_of(state, majority_count)]


def _problems_of(state: TopicState, majority_count: int | None) -> Iterator[Problem]:
    spec = state.spec
    if state.partitions is None:
        yield Problem(spec.name, ProblemKind.DENIED if state.is_denied else ProblemKind.MISSING)
        return
    if spec.copartitioned and state.partitions != majority_count:
        yield Problem(spec.name, ProblemKind.PARTITIONS, str(state.partitions), str(majority_count))
    expected = spec.topic_config
    for kind in (ProblemKind.CLEANUP_POLICY, ProblemKind.TIMESTAMP_TYPE, ProblemKind.MAX_MESSAGE_BYTES):
        actual, expected_value = state.config.get(kind), expected.get(kind)
        if actual is None or expected_value is None:  # not authorized to read it, or not in the catalog
            continue
        if kind is ProblemKind.MAX_MESSAGE_BYTES:
            is_ok = int(actual) >= LARGEST_EVENTS.get(spec.name, int(expected_value))
        else:
            is_ok = sorted(actual.split(",")) == sorted(expected_value.split(","))
        if not is_ok:
            yield Problem(spec.name, kind, actual, expected_value)
    yield from _bounds_exceeded(state)


def _bounds_exceeded(state: TopicState) -> Iterator[Problem]:
    """Settings with which records of an erased user stay too long, or erasures not long enough."""
    spec, expected = state.spec, state.spec.topic_config
    for kind in _UPPER_BOUNDS:
        if state.config.get(kind) is None or expected.get(kind) is None:
            continue
        if kind is ProblemKind.RETENTION and spec.source is None and spec.min_retention_ms is None:
            continue  # the sweep of erasures removes records before their retention ends
        actual, most = _time(state.config[kind]), _time(expected[kind])
        least = spec.min_retention_ms if kind is ProblemKind.RETENTION else None
        if actual > most if least is None else actual < least:
            yield Problem(spec.name, kind, state.config[kind], expected[kind])


def _time(milliseconds: str) -> float:
    """A time setting as a number; -1 is unlimited."""
    return inf if int(milliseconds) < 0 else int(milliseconds)
