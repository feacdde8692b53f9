"""The format jsonl."""

import msgspec
import pytest

from stream_app.kafka.event_records import event_record
from stream_app.tools.feeds import jsonl
from stream_app.tools.feeds.rows import EventRow, UnreadableRow, unreadable_record
from topics.catalog import CATALOG_ITEMS, CLICKS, PURCHASES
from topics.codec import Limits, RejectedError, decode
from topics.events import CatalogItem, Click, Feedback, FeedbackKind

CLICK = {"event_id": "e1", "user_id": "u1", "ts": 1541600000000, "item_id": "i1"}


def line(**fields: object) -> bytes:
    return msgspec.json.encode(fields)


@pytest.mark.parametrize("envelope", [{"type": "click"}, {"topic": "click"}, {"topic": "events.click"}])
def test_type_or_topic_selects_the_event_kind(envelope: dict[str, object]) -> None:
    [row] = jsonl.rows([line(**envelope, **CLICK)], "log")

    assert isinstance(row, EventRow)
    assert row.event == Click(**CLICK)  # type: ignore[arg-type]


def test_a_feedback_keeps_its_own_kind() -> None:
    [row] = jsonl.rows([line(type="feedback", kind="hide", **CLICK)], "log")

    assert isinstance(row, EventRow)
    assert isinstance(row.event, Feedback)
    assert row.event.kind is FeedbackKind.HIDE


@pytest.mark.parametrize("name", ["catalog", "catalog.items"])
def test_item_description_goes_to_the_catalog_topic_keyed_by_item(name: str) -> None:
    [row] = jsonl.rows([line(type=name, ts=0, item_id="i1", title="Tent")], "log")

    assert isinstance(row, EventRow)
    assert isinstance(row.event, CatalogItem)
    record = event_record(row.event)
    assert (record.topic, record.key) == (CATALOG_ITEMS.name, b"i1")


def test_blank_lines_are_skipped_but_counted() -> None:
    rows = list(jsonl.rows([b"\n", b"  \n", line(type="click", **CLICK)], "log"))

    assert [row.line for row in rows] == [3]


def test_invalid_event_goes_unchanged_to_its_own_topic() -> None:
    raw = line(type="purchase", event_id="e", user_id="u", ts=0, order_id="o", items=[])
    [row] = jsonl.rows([raw], "log")

    assert isinstance(row, UnreadableRow)
    record = unreadable_record(row)
    assert (record.topic, record.value) == (PURCHASES.name, raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"not json",
        b"[1, 2]",
        b"\xff\xfe",
        b"[" * 5_000,
        line(**CLICK),
        line(type="teleport", **CLICK),
        line(type=7, **CLICK),
    ],
)
def test_unparseable_rows_are_sent_and_rejected_by_the_worker(raw: bytes) -> None:
    [row] = jsonl.rows([raw], "log")

    assert isinstance(row, UnreadableRow)
    record = unreadable_record(row)
    assert record.topic == CLICKS.name
    with pytest.raises(RejectedError):
        decode(record.value, Click, received=1541600000, limits=Limits())
