"""A valid event of every type, variants of it in JSON, and the codec's answer."""

import json
from typing import Any

from topics.codec import Limits, RejectedError, RejectReason, decode
from topics.events import (
    CatalogItem,
    Click,
    Erasure,
    Event,
    Feedback,
    Impression,
    Purchase,
    Search,
)

NOW = 1_541_599_523.0
USER_FIELDS = {"event_id": "e1", "user_id": "u1", "ts": 1_541_599_523_000}
VALID_EVENTS: dict[type[Event], dict[str, Any]] = {
    Click: {**USER_FIELDS, "item_id": "i1"},
    Search: {**USER_FIELDS, "query": "red shoes"},
    Purchase: {**USER_FIELDS, "order_id": "o1", "items": [{"item_id": "i1", "quantity": 2, "price": 9.5}]},
    Impression: {**USER_FIELDS, "surface": "home", "items": ["i1", "i2"]},
    Feedback: {**USER_FIELDS, "item_id": "i1", "kind": "hide"},
    CatalogItem: {"ts": 1_541_599_523_000, "item_id": "i1"},
    Erasure: USER_FIELDS,
}


def rejection_reason(
    raw: bytes | None, event_type: type[Event] = Click, *, received: float = NOW, limits: Limits | None = None
) -> RejectReason | None:
    """The reason of the rejection; None for an accepted event."""
    try:
        event = decode(raw, event_type, received=received, limits=limits or Limits())
    except RejectedError as error:
        rejected = error
    else:
        assert isinstance(event, event_type)
        return None
    assert 0 < len(rejected.detail) <= 400
    assert str(rejected) == f"{rejected.reason}: {rejected.detail}"
    return rejected.reason


def with_field(event_type: type[Event], **fields: Any) -> bytes:
    return json.dumps({**VALID_EVENTS[event_type], **fields}).encode()


def with_literal(literal: bytes, field: str = "ts", event_type: type[Event] = Click) -> bytes:
    """A valid event except for one field, whose JSON is given."""
    return with_field(event_type, **{field: "@@"}).replace(b'"@@"', literal)
