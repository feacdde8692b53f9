"""Differences between the topics on a broker and the catalog: which count, what they are called, what to do."""

import pytest

from topics.catalog import (
    CATALOG_ITEMS,
    CLICKS,
    CONTROL,
    DAY_MS,
    DEAD_LETTERS,
    ERASURE_RECEIPTS,
    ERASURES,
    INTERACTIONS,
    LISTS,
    PURCHASES,
    SEARCHES,
    TopicSpec,
)
from topics.topic_checks import LARGEST_EVENTS, Problem, ProblemKind, TopicState, problems

ON_THE_BROKER = {
    "cleanup.policy": "delete",
    "retention.ms": str(7 * DAY_MS),
    "segment.ms": str(7 * DAY_MS),
    "max.message.bytes": "1048588",
    "message.timestamp.type": "CreateTime",
    "max.compaction.lag.ms": str(2**63 - 1),
    "delete.retention.ms": str(DAY_MS),
}
"""Settings that a broker reports of each topic, whether the catalog has them or not."""


def state(spec: TopicSpec, partitions: int | None = 4, **config: str | None) -> TopicState:
    changed = {name.replace("_", "."): value for name, value in config.items()}
    merged = {**ON_THE_BROKER, **spec.topic_config, **changed}
    return TopicState(
        spec=spec,
        partitions=partitions,
        config={name: value for name, value in merged.items() if value is not None},
    )


def kinds(*states: TopicState) -> list[ProblemKind]:
    return [problem.kind for problem in problems(states)]


def test_settings_that_the_catalog_does_not_name_may_have_any_value() -> None:
    specs = (CONTROL, CATALOG_ITEMS, DEAD_LETTERS, INTERACTIONS, LISTS, ERASURE_RECEIPTS, CLICKS)
    assert kinds(*map(state, specs)) == []


@pytest.mark.parametrize("spec", [CLICKS, ERASURES, INTERACTIONS, CONTROL, ERASURE_RECEIPTS])
def test_settings_that_may_not_be_read_are_no_problem(spec: TopicSpec) -> None:
    assert problems([TopicState(spec=spec, partitions=4)]) == []


def test_a_setting_that_may_not_be_read_hides_no_other() -> None:
    later = state(CLICKS, retention_ms=None, segment_ms=str(8 * DAY_MS))
    assert kinds(later) == [ProblemKind.SEGMENT_MS]
    earlier = state(CLICKS, cleanup_policy=None, message_timestamp_type="CreateTime")
    assert kinds(earlier) == [ProblemKind.TIMESTAMP_TYPE]


def test_a_retention_that_may_be_longer_hides_no_other_setting() -> None:
    found = state(INTERACTIONS, retention_ms="-1", delete_retention_ms=str(9 * DAY_MS))
    assert kinds(found) == [ProblemKind.DELETE_RETENTION]


@pytest.mark.parametrize(
    ("spec", "retention_ms", "is_problem"),
    [
        (CLICKS, 7 * DAY_MS, False),
        (CLICKS, 7 * DAY_MS + 1, True),
        (CLICKS, 0, False),
        (CLICKS, -1, True),
        (ERASURES, 90 * DAY_MS, False),
        (ERASURES, 90 * DAY_MS - 1, True),
        (ERASURES, 0, True),
        (ERASURES, -1, False),
        (ERASURE_RECEIPTS, 400 * DAY_MS - 1, True),
        (ERASURE_RECEIPTS, 400 * DAY_MS + 1, False),
    ],
)
def test_events_may_end_earlier_and_erasures_and_receipts_later(
    spec: TopicSpec, retention_ms: int, is_problem: bool
) -> None:
    assert kinds(state(spec, retention_ms=str(retention_ms))) == [ProblemKind.RETENTION] * is_problem


def test_topics_that_are_read_together_need_the_count_of_most_of_them() -> None:
    others = [state(CATALOG_ITEMS, 8), state(DEAD_LETTERS, 8), state(CONTROL, 8), state(ERASURE_RECEIPTS, 8)]
    odd = state(SEARCHES, 8)
    assert problems([state(CLICKS), odd, state(PURCHASES), *others]) == [
        Problem(SEARCHES.name, ProblemKind.PARTITIONS, "8", "4")
    ]
    assert problems([*others, state(CLICKS)]) == []
    assert kinds(state(CLICKS, None), state(SEARCHES)) == [ProblemKind.MISSING]
    assert kinds(state(CLICKS, None)) == [ProblemKind.MISSING]


def test_a_topic_of_events_must_take_the_largest_event_and_another_the_largest_record() -> None:
    largest = LARGEST_EVENTS[CLICKS.name]
    assert kinds(state(CLICKS, max_message_bytes=str(largest))) == []
    [refused] = problems([state(CLICKS, max_message_bytes=str(largest - 1))])
    assert str(refused) == (
        f"events.click has max.message.bytes={largest - 1}: Kafka refuses its largest events, "
        f"up to {largest} bytes by the contract"
    )
    assert not refused.is_blocking
    expected = CLICKS.topic_config["max.message.bytes"]
    [small] = problems([state(LISTS, max_message_bytes=str(int(expected) - 1))])
    assert str(small) == f"lists has max.message.bytes={int(expected) - 1}, not {expected}"
    assert small.is_blocking


@pytest.mark.parametrize(
    ("problem", "text", "is_blocking", "remedy"),
    [
        (
            Problem("lists", ProblemKind.MISSING),
            "lists is missing",
            True,
            "headrace topics create",
        ),
        (
            Problem("lists", ProblemKind.PARTITIONS, "3", "4"),
            "lists has 3 partitions, the topics read with it have 4",
            True,
            (
                "set the same partition count for all before anything is written: "
                "kafka-topics --alter --topic lists --partitions N"
            ),
        ),
        (
            Problem("lists", ProblemKind.CLEANUP_POLICY, "delete", "compact,delete"),
            "lists has cleanup.policy=delete, not compact,delete",
            False,
            (
                "once no record of an earlier version is left, whose key is the bare user id (compaction would keep "
                "one of each user): kafka-configs --alter --topic lists --add-config "
                "'cleanup.policy=[compact,delete]'"
            ),
        ),
        (
            Problem("lists", ProblemKind.CLEANUP_POLICY, "compact", "compact,delete"),
            "lists has cleanup.policy=compact, not compact,delete",
            True,
            "kafka-configs --alter --topic lists --add-config 'cleanup.policy=[compact,delete]'",
        ),
        (
            Problem("events.click", ProblemKind.CLEANUP_POLICY, "compact", "delete"),
            "events.click has cleanup.policy=compact, not delete",
            True,
            "kafka-configs --alter --topic events.click --add-config 'cleanup.policy=delete'",
        ),
        (
            Problem("events.click", ProblemKind.RETENTION, "-1", "7"),
            "events.click has retention.ms=-1, not 7",
            False,
            "kafka-configs --alter --topic events.click --add-config 'retention.ms=7'",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, Problem) else "",
)
def test_a_problem_says_what_is_wrong_and_what_to_do(
    problem: Problem, text: str, is_blocking: bool, remedy: str
) -> None:
    assert (str(problem), problem.is_blocking, problem.remedy) == (text, is_blocking, remedy)
