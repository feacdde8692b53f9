"""What models and attribution get of each event."""

from typing import Any

import pytest

from topics.event_types import BY_STRUCT, EVENT_TYPES, Effect, EventContent
from topics.events import (
    Action,
    Click,
    Erasure,
    Feedback,
    FeedbackKind,
    Impression,
    OrderLine,
    Purchase,
    Search,
)
from topics.records import Kind, Line, Source

USER: dict[str, Any] = {"event_id": "e", "user_id": "u", "ts": 0}


def content_of(event: Any) -> EventContent:
    read = BY_STRUCT[type(event)].read
    assert read is not None
    return read(event)


@pytest.mark.parametrize("action", list(Action))
def test_a_click_has_its_item_and_what_it_names(action: Action) -> None:
    kind = Kind[action.name]
    assert content_of(Click(**USER, item_id="a", action=action)) == EventContent(kind, (Line("a"),))
    named = Click(**USER, item_id="a", action=action, query="q", list_id="l")
    content = content_of(named)
    assert (content.kind, content.query, content.list_id) == (kind, "q", "l")
    plain = content_of(Click(**USER, item_id="a"))
    assert (plain.query, plain.list_id, plain.shown, plain.shown_prices) == ("", "", (), ())


@pytest.mark.parametrize("kind", list(FeedbackKind))
def test_feedback_has_its_item_and_the_list_that_it_names(kind: FeedbackKind) -> None:
    content = content_of(Feedback(**USER, item_id="a", kind=kind, list_id="l"))
    assert (content.kind, content.lines[0].item_id, content.list_id) == (Kind[kind.name], "a", "l")
    assert content_of(Feedback(**USER, item_id="a", kind=kind)).list_id == ""


def test_a_purchase_has_its_lines_and_what_it_names() -> None:
    lines = [OrderLine(item_id="a", quantity=2, price=9.5), OrderLine(item_id="b")]
    content = content_of(Purchase(**USER, order_id="o", items=lines))
    assert content == EventContent(Kind.PURCHASE, (Line("a", 2, 9.5), Line("b", 1, 0)))
    assert (content.query, content.list_id) == ("", "")
    named = Purchase(
        **USER, order_id="o", items=lines, list_id="l", query="q", shown=["c", "a"], shown_prices=[1.0, 9.5]
    )
    content = content_of(named)
    assert (content.list_id, content.query, content.shown, content.shown_prices) == (
        "l",
        "q",
        ("c", "a"),
        (1.0, 9.5),
    )


def test_a_search_has_its_query_and_results_and_no_items() -> None:
    content = content_of(Search(**USER, query="q", results=["a", "b"], prices=[1.0, 2.0]))
    assert content == EventContent(Kind.SEARCH, (), "q", ("a", "b"), (1.0, 2.0))


def test_an_erasure_has_no_content_and_an_impression_is_not_read() -> None:
    assert content_of(Erasure(**USER)) == EventContent(Kind.ERASE)
    assert BY_STRUCT[Impression].read is None


def test_choices_are_clicks_and_purchases_alone() -> None:
    assert [each.struct for each in EVENT_TYPES if each.is_choice] == [Click, Purchase]
    assert [each.source for each in EVENT_TYPES] == list(Source)
    assert [each.effect for each in EVENT_TYPES] == [
        Effect.REACTION,
        Effect.SEARCH,
        Effect.REACTION,
        Effect.EXPOSURE,
        Effect.REACTION,
        Effect.ERASURE,
    ]
