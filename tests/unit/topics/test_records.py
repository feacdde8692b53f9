"""Records of Headrace: what a field that is left out means, and which values are damage."""

import math
from typing import Any

import msgspec
import pytest

from topics.events import CatalogItem, OrderLine
from topics.records import (
    NEGATIVE,
    NON_POSITIVE,
    POST_CLICK_KINDS,
    REWARD_KINDS,
    DeadLetter,
    Interaction,
    Kind,
    Line,
    ModelAnnouncement,
    PolicyAssignment,
    Reason,
    RecommendationList,
    Reward,
    RewardKind,
    Source,
    search_reason,
)

DEFAULTS: dict[type[msgspec.Struct], dict[str, Any]] = {
    Reason: {"item_id": None, "segment": None, "query": None},
    RecommendationList: {"neural_version": "", "features": b""},
    Interaction: {
        "lines": (),
        "segments": (),
        "query": "",
        "shown": (),
        "shown_prices": (),
        "list_id": "",
    },
    Reward: {
        "item_id": "",
        "position": -1,
        "propensity": 1.0,
        "value": 0.0,
        "revenue": 0.0,
        "delay": 0.0,
        "features": b"",
        "first_positive": True,
        "first_exposure": False,
        "seen": (),
        "seen_positions": (),
        "seen_propensities": (),
        "seen_features": b"",
        "search": False,
        "explicit": False,
    },
    PolicyAssignment: {
        "paused": (),
        "guardrail_exempt": (),
        "effective_time": None,
        "ts": 0.0,
        "author": "operator",
        "note": "",
    },
    ModelAnnouncement: {"lag_seconds": 0.0, "offsets": (), "trainer": ""},
    OrderLine: {"quantity": 1, "price": 0},
}


@pytest.mark.parametrize("struct", DEFAULTS, ids=lambda struct: struct.__name__)
def test_a_field_that_is_left_out_has_its_default(struct: type[msgspec.Struct]) -> None:
    found = {field.name: field.default for field in msgspec.structs.fields(struct) if not field.required}
    assert found == DEFAULTS[struct]


def test_a_line_is_of_one_unit_at_an_unknown_price() -> None:
    assert Line("a").quantity == 1.0
    assert math.isnan(Line("a").price)


def test_an_item_is_available_unless_the_shop_says_otherwise() -> None:
    assert CatalogItem(item_id="a", ts=0).available


@pytest.mark.parametrize("length", [199, 200, 201, 4_096])
def test_a_reason_repeats_200_characters_of_a_query(length: int) -> None:
    assert search_reason("r", "q" * length).query == "q" * min(length, 200)


REWARD: dict[str, Any] = {
    "source": 0,
    "partition": 0,
    "offset": 0,
    "line": 0,
    "ts": 1.0,
    "user_id": "u",
    "list_id": "l",
    "policy": "p",
    "kind": "click",
}
LETTER: dict[str, Any] = {
    "reason": "unreadable",
    "detail": "d",
    "topic": "t",
    "partition": 0,
    "offset": 0,
    "timestamp": 1.0,
    "key": None,
    "value": None,
}
ANNOUNCEMENT: dict[str, Any] = {
    "version": 1,
    "file": "f",
    "size": 0,
    "digest": "d",
    "created_at": 1.0,
}


@pytest.mark.parametrize(
    ("struct", "fields", "name", "least", "largest"),
    [
        (Reward, REWARD, "position", -1, 9_999),
        (Reward, REWARD, "seen_positions", 0, 9_999),
        (DeadLetter, LETTER, "partition", 0, None),
        (DeadLetter, LETTER, "offset", 0, None),
        (ModelAnnouncement, ANNOUNCEMENT, "version", 1, None),
        (ModelAnnouncement, ANNOUNCEMENT, "size", 0, None),
        (ModelAnnouncement, ANNOUNCEMENT, "lag_seconds", 0, None),
    ],
)
def test_a_number_out_of_its_bounds_is_damage(
    struct: type[msgspec.Struct], fields: dict[str, Any], name: str, least: int, largest: int | None
) -> None:
    def decode(number: int) -> Any:
        value = [number] if name == "seen_positions" else number
        raw = msgspec.json.encode({**fields, name: value})
        return getattr(msgspec.json.decode(raw, type=struct), name)

    valid = [least, least + 1, *([] if largest is None else [largest])]
    for number in valid:
        assert decode(number) in (number, (number,))
    for number in (least - 1, *([] if largest is None else [largest + 1])):
        with pytest.raises(msgspec.ValidationError):
            decode(number)


def test_sources_have_the_numbers_of_stored_watermarks() -> None:
    assert [(source.name, source.value) for source in Source] == [
        ("CLICK", 0),
        ("SEARCH", 1),
        ("PURCHASE", 2),
        ("IMPRESSION", 3),
        ("FEEDBACK", 4),
        ("ERASURE", 5),
    ]


def test_each_kind_of_reward_is_positive_negative_or_none() -> None:
    positive = {"click", "share", "wishlist", "cart", "purchase", "like"}
    assert {str(kind) for kind in NEGATIVE} == {"dislike", "hide"}
    assert {str(kind) for kind in NON_POSITIVE} == {"dislike", "hide", "impression", "erasure"}
    assert {str(kind) for kind in RewardKind} == positive | {str(kind) for kind in NON_POSITIVE}
    assert {str(kind) for kind in POST_CLICK_KINDS} == positive - {"click"}
    assert set(Kind) - set(REWARD_KINDS) == {Kind.SEARCH, Kind.ERASE}
    assert set(REWARD_KINDS.values()) == set(RewardKind) - {RewardKind.IMPRESSION, RewardKind.ERASURE}
