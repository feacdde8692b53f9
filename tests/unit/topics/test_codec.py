"""The codec: raw bytes become a checked event, or are rejected with a reason."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from tests.support.example_events import NOW, VALID_EVENTS, rejection_reason, with_field, with_literal
from topics.codec import Limits, RejectedError, RejectReason, decode
from topics.events import (
    EVENT_STRUCTS,
    MAX_CONTEXT,
    MAX_CONTEXT_VALUE,
    MAX_ID_BYTES,
    MAX_LIST_ITEMS,
    MAX_TEXT,
    CatalogItem,
    Click,
    Event,
    Feedback,
    Id,
    Ids,
    Impression,
    Purchase,
    Search,
)

WRONG_FOR_TEXT: tuple[Any, ...] = (5, 1.5, True, [], {})
WRONG_FOR_TIME: tuple[Any, ...] = (1.5, 1541599523000.0, True, [], {})


@pytest.mark.parametrize("event_type", EVENT_STRUCTS)
def test_a_valid_event_of_every_type_is_accepted(event_type: type[Event]) -> None:
    assert rejection_reason(json.dumps(VALID_EVENTS[event_type]).encode(), event_type) is None


def test_unknown_fields_are_ignored() -> None:
    assert rejection_reason(with_field(Click, newer={"a": [1, 2, {"b": None}]})) is None


def test_time_is_the_same_in_both_notations() -> None:
    text = decode(with_field(Click, ts="2018-11-07T15:05:23+01:00"), Click, received=NOW, limits=Limits())
    number = decode(with_field(Click), Click, received=NOW, limits=Limits())
    assert text.time == number.time == NOW


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(None, id="no value"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe\x00\x01", id="bytes of something else"),
        pytest.param(b"\xef\xbb\xbf" + with_field(Click), id="byte order mark"),
        pytest.param(with_field(Click)[:-1], id="cut off"),
        pytest.param(with_field(Click) + b"x", id="more after the end"),
        pytest.param(with_field(Click) * 2, id="two events in one record"),
        pytest.param(with_literal(b'"\xff"', "user_id"), id="invalid UTF-8"),
        pytest.param(with_literal(b'"\xed\xa0\x80"', "user_id"), id="surrogate in UTF-8"),
        pytest.param(with_literal(b'"\\ud800"', "user_id"), id="lone surrogate escape"),
        pytest.param(with_literal(b'"\x00"', "user_id"), id="raw control character"),
        pytest.param(with_literal(b"NaN"), id="NaN"),
        pytest.param(with_literal(b"Infinity"), id="infinity"),
        pytest.param(with_literal(b"01"), id="leading zero"),
        pytest.param(b'{"zz":' + b"[" * 100_000, id="100,000 brackets, open"),
        pytest.param(b'{"zz":' * 100_000, id="100,000 braces"),
    ],
)
def test_unreadable(raw: bytes | None) -> None:
    assert rejection_reason(raw) is RejectReason.UNREADABLE


def test_deep_nesting_in_an_unknown_field_is_rejected() -> None:
    # msgspec on Python 3.14 skips the unknown field at any depth, and then reports missing fields of the click.
    skipped = sys.version_info >= (3, 14)
    raw = b'{"zz":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert rejection_reason(raw) is (RejectReason.MISSING_FIELD if skipped else RejectReason.UNREADABLE)


@pytest.mark.parametrize(
    ("raw", "event_type"),
    [
        *((document, Click) for document in (b"null", b"[]", b"1", b'"x"', b"true", b"[" * 100_000)),
        *((with_field(Click, **{name: None}), Click) for name in ("event_id", "user_id", "ts", "item_id")),
        *((with_field(Click, user_id=value), Click) for value in WRONG_FOR_TEXT),
        *((with_field(Click, ts=value), Click) for value in WRONG_FOR_TIME),
        (with_field(Click, position=1.5), Click),
        (with_field(Click, position="1"), Click),
        (with_field(Click, action=3), Click),
        (with_field(Click, context=[]), Click),
        (with_field(Click, context={"a": [1]}), Click),
        (with_field(Click, context={"a": {"b": 1}}), Click),
        (with_field(Search, results="i1"), Search),
        (with_field(Search, results=[None]), Search),
        (with_field(Search, results=["i1"], prices=["1"]), Search),
        (with_field(Search, results=["i1"], prices=[None]), Search),
        (with_field(Search, results=["i1"], prices=1.5), Search),
        (with_field(Purchase, items={}), Purchase),
        (with_field(Purchase, items=["i1"]), Purchase),
        (with_field(Purchase, items=[{"item_id": "i1", "price": "9.5"}]), Purchase),
        (with_field(Purchase, items=[{"item_id": "i1", "quantity": None}]), Purchase),
        (with_field(CatalogItem, available="yes"), CatalogItem),
        (with_field(CatalogItem, available=1), CatalogItem),
        (with_field(CatalogItem, image_embedding=[None]), CatalogItem),
        (with_field(CatalogItem, text_embedding=0.5), CatalogItem),
    ],
)
def test_wrong_type(raw: bytes, event_type: type[Event]) -> None:
    assert rejection_reason(raw, event_type) is RejectReason.WRONG_TYPE


@pytest.mark.parametrize(
    ("event_type", "name"),
    [
        (event_type, field.name)
        for event_type in EVENT_STRUCTS
        for field in msgspec.structs.fields(event_type)
        if field.required
    ],
)
def test_missing_field(event_type: type[Event], name: str) -> None:
    event = {key: value for key, value in VALID_EVENTS[event_type].items() if key != name}
    assert rejection_reason(json.dumps(event).encode(), event_type) is RejectReason.MISSING_FIELD


def test_missing_field_inside_a_list() -> None:
    assert (
        rejection_reason(with_field(Purchase, items=[{"price": 1}]), Purchase) is RejectReason.MISSING_FIELD
    )


@pytest.mark.parametrize(
    ("raw", "event_type"),
    [
        *(
            (with_field(Click, **{name: ""}), Click)
            for name in ("event_id", "user_id", "session_id", "list_id")
        ),
        (with_field(Search, results=["i1", ""]), Search),
        (with_field(Purchase, items=[{"item_id": ""}]), Purchase),
        (with_field(Purchase, items=[]), Purchase),
        (with_field(Purchase, items=[{"item_id": "i1"}] * (MAX_LIST_ITEMS + 1)), Purchase),
        (with_field(Purchase, currency="EUROPEANS"), Purchase),
        (with_field(Impression, items=["i1"] * (MAX_LIST_ITEMS + 1)), Impression),
        (with_field(Click, query="q" * (MAX_TEXT + 1)), Click),
        (with_field(CatalogItem, title="t" * (MAX_TEXT + 1)), CatalogItem),
        (with_field(CatalogItem, description="d" * 65_537), CatalogItem),
        (with_field(CatalogItem, image_embedding=[0.5] * 4_097), CatalogItem),
        (with_field(CatalogItem, text_embedding=[0.5] * 4_097), CatalogItem),
        (with_field(CatalogItem, created="2018-01-01"), CatalogItem),
        (with_field(CatalogItem, created=10**16), CatalogItem),
        (with_field(CatalogItem, created=-(10**16)), CatalogItem),
        (with_field(Click, action="teleport"), Click),
        (with_field(Feedback, kind="love"), Feedback),
        (with_field(Click, position=-1), Click),
        (with_field(Click, position=2**31), Click),
        (with_field(Click, ts="2018-11-07T14:05:23"), Click),
        (with_field(Click, ts="2018-11-07"), Click),
        (with_field(Click, ts="2018-02-30T00:00:00Z"), Click),
        (with_field(Click, ts="yesterday"), Click),
        (with_field(Click, ts=""), Click),
        (with_literal(b"1e400"), Click),
        (with_literal(b"1" * 5_000), Click),
        (with_literal(b"1" * 4_000), Click),
        (with_literal(b"-" + b"1" * 4_000), Click),
        (with_literal(b"1e400", "price", CatalogItem), CatalogItem),
        (with_literal(b"1.1e15", "price", CatalogItem), CatalogItem),
        (with_field(Search, results=["i1", "i2"], prices=[1, 1e16]), Search),
        (with_literal(b"[1e400]", "prices", Search), Search),
        (with_field(Search, prices=[1] * (MAX_LIST_ITEMS + 1)), Search),
        (with_field(Purchase, shown=["i1"], shown_prices=[1e300]), Purchase),
        (with_field(Purchase, items=[{"item_id": "i1", "price": 1e300}]), Purchase),
        (with_field(Purchase, items=[{"item_id": "i1", "quantity": 1e300}]), Purchase),
        (with_literal(b"[1e400]", "image_embedding", CatalogItem), CatalogItem),
        (with_field(Click, context={str(number): 1 for number in range(MAX_CONTEXT + 1)}), Click),
        (with_field(Click, context={"k" * (MAX_CONTEXT + 1): 1}), Click),
        (with_field(Click, context={"country": "v" * (MAX_CONTEXT_VALUE + 1)}), Click),
        (with_field(Click, context={"n": 2**63}), Click),
        (with_field(Click, context={"n": -(2**63) - 1}), Click),
        (with_literal(b'{"n": 1e400}', "context"), Click),
        (with_field(Search, filters={"n": 10**300}), Search),
    ],
)
def test_invalid_value(raw: bytes, event_type: type[Event]) -> None:
    assert rejection_reason(raw, event_type) is RejectReason.INVALID_VALUE


def test_values_at_the_limits_are_accepted() -> None:
    context = {
        **{str(number): None for number in range(MAX_CONTEXT - 3)},
        "k" * MAX_CONTEXT: "v" * MAX_CONTEXT_VALUE,
        "low": -(2**63),
        "high": 2**63 - 1,
    }
    assert (
        rejection_reason(with_field(Click, context=context, query="q" * MAX_TEXT, position=2**31 - 1)) is None
    )
    assert rejection_reason(with_field(Impression, items=["i"] * MAX_LIST_ITEMS), Impression) is None
    assert rejection_reason(with_field(CatalogItem, created=-62_135_596_800_000), CatalogItem) is None
    assert rejection_reason(with_field(CatalogItem, created=253_402_300_799_999), CatalogItem) is None


def _id_locations() -> Iterator[tuple[type[Event], str, Callable[[str], Any]]]:
    """Paths of all ids in all events, from the structs."""
    for event_type in EVENT_STRUCTS:
        for field in msgspec.structs.fields(event_type):
            if field.type in (Id, Id | None):
                yield event_type, field.name, lambda id_: id_
            elif field.type == Ids:
                yield event_type, field.name, lambda id_: ["fine", id_]
    yield Purchase, "items", lambda id_: [{"item_id": "fine"}, {"item_id": id_}]


@pytest.mark.parametrize(("event_type", "name", "make_value"), list(_id_locations()))
@pytest.mark.parametrize("character", ["x", "é", "€", "🛒"])
def test_an_id_is_measured_in_bytes_wherever_it_is(
    event_type: type[Event], name: str, make_value: Callable[[str], Any], character: str
) -> None:
    size = len(character.encode())
    longest_allowed = character * (MAX_ID_BYTES // size)
    too_long = longest_allowed + "x" * (MAX_ID_BYTES - len(longest_allowed.encode()) + 1)
    assert len(too_long.encode()) == MAX_ID_BYTES + 1
    for ensure_ascii in (True, False):
        for id_, reason in ((longest_allowed, None), (too_long, RejectReason.ID_TOO_LONG)):
            event = {**VALID_EVENTS[event_type], name: make_value(id_)}
            raw = json.dumps(event, ensure_ascii=ensure_ascii).encode()
            assert rejection_reason(raw, event_type) is reason


def test_all_id_fields_are_found() -> None:
    locations = {(event_type, name) for event_type, name, _ in _id_locations()}
    assert {
        (Purchase, "order_id"),
        (Purchase, "shown"),
        (Purchase, "items"),
        (Impression, "surface"),
        (CatalogItem, "tags"),
        (CatalogItem, "seller"),
        (Click, "channel"),
    } <= locations


@pytest.mark.parametrize(
    ("ts", "reason"),
    [
        (NOW * 1000 + 300_000, None),
        (NOW * 1000 + 300_001, RejectReason.FUTURE_TIMESTAMP),
        (NOW * 1000 - 30 * 86_400_000, None),
        (NOW * 1000 - 30 * 86_400_000 - 1, RejectReason.TIMESTAMP_TOO_OLD),
        (NOW, RejectReason.TIMESTAMP_TOO_OLD),  # seconds instead of milliseconds
        (NOW * 1_000_000, RejectReason.FUTURE_TIMESTAMP),  # microseconds
        (10**300, RejectReason.FUTURE_TIMESTAMP),
        (-(10**300), RejectReason.TIMESTAMP_TOO_OLD),
        (0, RejectReason.TIMESTAMP_TOO_OLD),
    ],
)
def test_clock_in_milliseconds(ts: float, reason: RejectReason | None) -> None:
    assert rejection_reason(with_field(Click, ts=int(ts))) is reason


@pytest.mark.parametrize(
    ("ts", "reason"),
    [
        ("9999-12-31T23:59:59-14:00", RejectReason.FUTURE_TIMESTAMP),
        ("0001-01-01T00:00:00+14:00", RejectReason.TIMESTAMP_TOO_OLD),
        ("2018-11-07T14:10:23Z", None),
        ("2018-11-07T14:10:23.001Z", RejectReason.FUTURE_TIMESTAMP),
        ("2018-10-08T14:05:23Z", None),
        ("2018-10-08T14:05:22.999Z", RejectReason.TIMESTAMP_TOO_OLD),
    ],
)
def test_clock_in_rfc_3339(ts: str, reason: RejectReason | None) -> None:
    assert rejection_reason(with_field(Click, ts=ts)) is reason


def test_max_age_zero_accepts_any_valid_date() -> None:
    any_age = Limits(max_age=0)
    assert rejection_reason(with_field(Click, ts=0), limits=any_age) is None
    assert rejection_reason(with_field(Click, ts=-62_135_596_800_000), limits=any_age) is None
    assert (
        rejection_reason(with_field(Click, ts=-62_135_596_800_001), limits=any_age)
        is RejectReason.TIMESTAMP_TOO_OLD
    )
    assert rejection_reason(with_field(Click, ts=-(10**17)), limits=any_age) is RejectReason.TIMESTAMP_TOO_OLD


@pytest.mark.parametrize(
    ("raw", "event_type"),
    [
        (with_field(CatalogItem, price=-0.01), CatalogItem),
        (with_field(CatalogItem, price=-1e308), CatalogItem),
        (with_field(Purchase, items=[{"item_id": "i1"}, {"item_id": "i2", "price": -1}]), Purchase),
        (with_field(Purchase, shown=["i1", "i2"], shown_prices=[1, -1]), Purchase),
        (with_field(Search, results=["i1", "i2"], prices=[1, -1]), Search),
    ],
)
def test_negative_price(raw: bytes, event_type: type[Event]) -> None:
    assert rejection_reason(raw, event_type) is RejectReason.NEGATIVE_PRICE


def test_a_free_item_has_a_price() -> None:
    assert rejection_reason(with_field(CatalogItem, price=0), CatalogItem) is None
    assert rejection_reason(with_literal(b"-0.0", "price", CatalogItem), CatalogItem) is None


@pytest.mark.parametrize("prices", [[], [9.5], [9.5, 0, 1e15], [1, 2, 3, 4]])
def test_prices_of_a_search_may_be_more_or_fewer_than_its_results(prices: list[float]) -> None:
    # The fold ignores prices that do not match the results.
    assert rejection_reason(with_field(Search, results=["i1", "i2", "i3"], prices=prices), Search) is None


@pytest.mark.parametrize("quantity", [0, -1, -0.5, -1e308])
def test_invalid_quantity(quantity: float) -> None:
    raw = with_field(Purchase, items=[{"item_id": "i1", "quantity": quantity}])
    assert rejection_reason(raw, Purchase) is RejectReason.INVALID_QUANTITY


def test_every_reason_of_the_codec_has_an_example_here() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    by_clock = {RejectReason.FUTURE_TIMESTAMP, RejectReason.TIMESTAMP_TOO_OLD, RejectReason.ID_TOO_LONG}
    assert set(RejectReason) - by_clock - {RejectReason.FOLD_FAILED, RejectReason.UNREADABLE_ROW} <= tested


@pytest.mark.parametrize(
    "quoted",
    ["Object missing required field `x`", "Expected `str` of length <= 256", " of length ", "got `int`"],
)
def test_event_content_does_not_determine_the_reason(quoted: str) -> None:
    assert rejection_reason(with_field(Click, action=quoted)) is RejectReason.INVALID_VALUE


def test_the_detail_is_bounded_and_keeps_the_path() -> None:
    with pytest.raises(RejectedError) as caught:
        decode(with_field(Click, action="x" * 100_000), Click, received=NOW, limits=Limits())
    assert len(caught.value.detail) <= 400
    assert caught.value.detail.endswith("- at `$.action`")


def test_the_detail_names_the_path() -> None:
    raw = with_field(Purchase, items=[{"item_id": "i1"}, {"item_id": "é" * 200}])
    with pytest.raises(RejectedError, match=r"id_too_long: .* at `\$\.items\[1\]\.item_id`"):
        decode(raw, Purchase, received=NOW, limits=Limits())
