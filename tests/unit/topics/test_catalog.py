"""The catalog of topics: which must have as many partitions as the users table, and how long records stay."""

import pytest

from topics.catalog import (
    CATALOG_ITEMS,
    CLICKS,
    CONTROL,
    DEAD_LETTERS,
    ERASURE_RECEIPTS,
    ERASURES,
    FEEDBACK,
    IMPRESSIONS,
    INTERACTIONS,
    LISTS,
    MAX_MESSAGE_BYTES,
    MAX_RECORD_BYTES,
    MODELS,
    PURCHASES,
    REWARDS,
    SEARCHES,
    SHOP_TOPICS,
    USER_EVENTS,
    TopicSpec,
    catalog,
    changelog,
    topic_of,
)
from topics.events import EVENT_STRUCTS

DAY = 86_400_000


def test_records_of_a_user_are_in_the_same_partition_of_these_topics() -> None:
    copartitioned = {spec.name for spec in catalog("shop") if spec.copartitioned}
    assert copartitioned == {
        *(spec.name for spec in USER_EVENTS),
        *("interactions", "rewards", "lists", "shop-users-changelog"),
    }


def test_logs_of_the_whole_installation_have_one_partition() -> None:
    single = {spec.name for spec in catalog() if spec.partitions is not None}
    assert {"control", "dead-letters"} <= single
    assert all(spec.partitions in {None, 1} for spec in catalog())


@pytest.mark.parametrize(
    ("spec", "days"),
    [
        *((spec, 7) for spec in (CLICKS, SEARCHES, PURCHASES, IMPRESSIONS, FEEDBACK, LISTS)),
        *((spec, 90) for spec in (INTERACTIONS, REWARDS)),
        (DEAD_LETTERS, 30),
        (ERASURES, 90),
        (ERASURE_RECEIPTS, 400),
    ],
    ids=lambda value: value.name if isinstance(value, TopicSpec) else "",
)
def test_records_stay_for_as_many_days_as_their_readers_need(spec: TopicSpec, days: int) -> None:
    assert spec.topic_config["retention.ms"] == str(days * DAY)


@pytest.mark.parametrize(
    "spec", [CATALOG_ITEMS, CONTROL, MODELS, changelog("headrace")], ids=lambda spec: spec.name
)
def test_the_newest_record_of_a_key_stays_without_an_end(spec: TopicSpec) -> None:
    assert spec.topic_config["cleanup.policy"] == "compact"
    assert "retention.ms" not in spec.topic_config


def test_the_shops_topics_and_control_carry_the_brokers_time() -> None:
    by_broker = {
        spec.name for spec in catalog() if spec.topic_config.get("message.timestamp.type") == "LogAppendTime"
    }
    assert by_broker == {*(spec.name for spec in SHOP_TOPICS), "control"}


def test_topics_of_events_and_of_headraces_own_records_take_four_mebibytes() -> None:
    large = {spec.name for spec in catalog() if "max.message.bytes" in spec.topic_config}
    events = {spec.name for spec in SHOP_TOPICS}
    assert large == events | {"interactions", "rewards", "lists", "dead-letters", "headrace-users-changelog"}
    assert all(
        spec.topic_config.get("max.message.bytes") in {None, str(4 * 1024 * 1024)} for spec in catalog()
    )
    assert (MAX_MESSAGE_BYTES, MAX_RECORD_BYTES) == (4 * 1024 * 1024, 3 * 1024 * 1024)


def test_every_event_has_the_topic_of_its_name_and_source() -> None:
    assert [spec.source for spec in USER_EVENTS] == [0, 1, 2, 3, 4, 5]
    assert {topic_of(struct).payload for struct in EVENT_STRUCTS} == set(EVENT_STRUCTS)
    assert ERASURES.name == "events.erasure"
    assert [spec.encoding for spec in (INTERACTIONS, REWARDS, changelog("a"))] == ["msgpack"] * 3
    assert {spec.encoding for spec in (*SHOP_TOPICS, LISTS, CONTROL, DEAD_LETTERS)} == {"json"}


def test_events_end_with_segments_of_one_day() -> None:
    with_segments = {spec.name: spec.topic_config.get("segment.ms") for spec in catalog()}
    assert {name for name, segment in with_segments.items() if segment} == {spec.name for spec in USER_EVENTS}
    assert all(segment in {None, str(DAY)} for segment in with_segments.values())


def test_what_an_erasure_names_ends_within_four_days_and_not_before_a_replica_read_the_erasure() -> None:
    erasable = [INTERACTIONS, REWARDS, LISTS, DEAD_LETTERS]
    for spec in (*erasable, changelog("headrace")):
        assert spec.topic_config["max.compaction.lag.ms"] == str(3 * DAY)
        assert spec.topic_config["delete.retention.ms"] == str(DAY)
    assert {spec.name for spec in catalog() if "min.compaction.lag.ms" in spec.topic_config} == {
        spec.name for spec in erasable
    }
    assert {spec.topic_config["min.compaction.lag.ms"] for spec in erasable} == {str(DAY)}
    assert {spec.topic_config["cleanup.policy"] for spec in erasable} == {"compact,delete"}


def test_only_erasures_and_receipts_are_lost_by_a_shorter_retention() -> None:
    least = {spec.name: spec.min_retention_ms for spec in catalog(erasure_days=30)}
    assert {name: value for name, value in least.items() if value is not None} == {
        "events.erasure": 30 * DAY,
        "erasure-receipts": 400 * DAY,
    }
    assert ERASURES.min_retention_ms == 90 * DAY


def test_each_application_has_the_topics_of_its_name() -> None:
    assert [spec.name for spec in catalog()] == [spec.name for spec in catalog("headrace", 7, 90)]
    assert catalog("shop")[-1] == changelog("shop")
    assert changelog("shop").payload is None
