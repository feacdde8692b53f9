"""Compares topics as they are on the broker with the catalog; pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from topics.catalog import TopicSpec

WORKER_OPERATIONS: Final = frozenset({"READ", "WRITE", "DESCRIBE"})
"""What a worker does with the topics."""


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
