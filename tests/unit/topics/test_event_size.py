"""The largest event of the contract: what its topic must accept."""

import json

import msgspec
import pytest

from tests.support.largest_events import CHARACTERS, encoded, largest_erasure, largest_events
from topics.catalog import DEAD_LETTERS, INTERACTIONS, MAX_MESSAGE_BYTES, SHOP_TOPICS, TopicSpec, topic_of
from topics.event_size import largest_record_bytes
from topics.events import (
    EVENT_STRUCTS,
    MAX_ID_BYTES,
    Click,
    Erasure,
    Event,
    Feedback,
    Impression,
    Purchase,
    Search,
)
from topics.topic_checks import Problem, ProblemKind, TopicState, problems

KAFKAS_DEFAULT = "1048588"


def with_limit(spec: TopicSpec, limit: str) -> list[Problem]:
    config = {**spec.topic_config, "max.message.bytes": limit}
    return problems([TopicState(spec=spec, partitions=4, config=config)])


@pytest.mark.parametrize("event_type", EVENT_STRUCTS)
def test_no_event_of_the_contract_is_larger_than_its_bound(event_type: type[Event]) -> None:
    largest = 0
    for character in CHARACTERS:
        for event in [*largest_events(character, ts=0), largest_erasure(character, ts=0)]:
            if isinstance(event, event_type):
                raw = encoded(event)
                largest = max(largest, len(raw), len(json.dumps(msgspec.json.decode(raw))))
    assert MAX_ID_BYTES + largest <= largest_record_bytes(event_type) <= MAX_MESSAGE_BYTES


AN_ID, A_TIME, A_NUMBER, A_TEXT = 2 + 6 * 256, 40, 24, 2 + 12 * 4_096
CONTEXT = 2 + 64 * (2 + 12 * 64 + 2 + 12 * 1_024 + 2)
IDS, NUMBERS = 2 + 1_000 * (AN_ID + 1), 2 + 1_000 * (A_NUMBER + 1)
USER_EVENT = {
    "event_id": AN_ID,
    "user_id": AN_ID,
    "session_id": AN_ID,
    "channel": AN_ID,
    "context": CONTEXT,
    "ts": A_TIME,
}
LINE = {"item_id": AN_ID, "quantity": A_NUMBER, "price": A_NUMBER}


def struct_bytes(fields: dict[str, int]) -> int:
    return 2 + sum(len(name) + 4 + size for name, size in fields.items())


@pytest.mark.parametrize(
    ("event_type", "fields"),
    [
        (Erasure, {}),
        (Impression, {"list_id": AN_ID, "surface": AN_ID, "items": IDS}),
        (Feedback, {"item_id": AN_ID, "list_id": AN_ID, "kind": len('"dislike"')}),
        (
            Click,
            {
                "item_id": AN_ID,
                "list_id": AN_ID,
                "action": len('"wishlist"'),
                "position": A_NUMBER,
                "query": A_TEXT,
            },
        ),
        (Search, {"query": A_TEXT, "results": IDS, "prices": NUMBERS, "filters": CONTEXT}),
        (
            Purchase,
            {
                "order_id": AN_ID,
                "items": 2 + 1_000 * (struct_bytes(LINE) + 1),
                "currency": 2 + 8 * 12,
                "list_id": AN_ID,
                "query": A_TEXT,
                "shown": IDS,
                "shown_prices": NUMBERS,
            },
        ),
    ],
)
def test_the_bounds_are_those_of_the_largest_encoding(
    event_type: type[Event], fields: dict[str, int]
) -> None:
    """By hand: ids of escaped bytes, texts of pairs of escapes, commas and quotation marks."""
    assert largest_record_bytes(event_type) == 1_024 + 256 + struct_bytes(USER_EVENT | fields)


def test_an_event_of_another_kind_of_field_has_no_bound() -> None:
    class Unbounded(msgspec.Struct):
        text: str

    with pytest.raises(TypeError, match="no bound is known"):
        largest_record_bytes(Unbounded)


@pytest.mark.parametrize("event_type", [Search, Purchase])
def test_a_topic_that_refuses_its_largest_event_is_named_with_a_command(event_type: type[Event]) -> None:
    spec = topic_of(event_type)
    [problem] = with_limit(spec, KAFKAS_DEFAULT)
    assert problem == Problem(spec.name, ProblemKind.MAX_MESSAGE_BYTES, KAFKAS_DEFAULT, "4194304")
    assert not problem.is_blocking
    assert f"{spec.name} has max.message.bytes=1048588: Kafka refuses" in str(problem)
    assert f"up to {largest_record_bytes(event_type)} bytes" in str(problem)
    assert problem.remedy == (
        f"kafka-configs --alter --topic {spec.name} --add-config 'max.message.bytes=4194304'"
    )


@pytest.mark.parametrize("spec", SHOP_TOPICS, ids=lambda spec: spec.name)
def test_a_topic_that_accepts_its_largest_event_is_no_problem(spec: TopicSpec) -> None:
    largest = largest_record_bytes(spec.payload)
    assert with_limit(spec, str(largest)) == []
    assert len(with_limit(spec, str(largest - 1))) == 1


@pytest.mark.parametrize("spec", [INTERACTIONS, DEAD_LETTERS], ids=lambda spec: spec.name)
def test_a_topic_that_refuses_records_of_a_worker_keeps_it_from_starting(spec: TopicSpec) -> None:
    [problem] = with_limit(spec, KAFKAS_DEFAULT)
    assert problem.is_blocking
    assert str(problem) == f"{spec.name} has max.message.bytes=1048588, not 4194304"
