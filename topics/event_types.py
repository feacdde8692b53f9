"""The event table: one row per type of user event.

A row has the topic of the type, a function that reads the content of an event, and the effect of an event. The
catalog of topics, the fold of the user row, attribution and the worker's event processor read the row instead of
testing for a type.

To add an event type, change four files:

1. `topics/events.py`: the struct, as a member of the union `topics.events.Event`.
2. `topics/records.py`: a `Source` (append it: the number is the index of a watermark in stored rows), and a `Kind`
   if no existing one fits (docs/extending.md lists the tables by kind, in six files).
3. `topics/event_types.py`: the row, with a function that reads the content of an event.
4. `state/row.py`: the counter in `EventCounts`.

Then run ``headrace topics schema --write`` for the published schemas and ``headrace topics create`` for the topic.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec

from topics.events import (
    Action,
    Click,
    Erasure,
    Feedback,
    FeedbackKind,
    Impression,
    Purchase,
    Search,
    UserEvent,
)
from topics.records import Kind, Line, Source

_ACTION_KINDS: Final = {
    Action.VIEW: Kind.VIEW,
    Action.DETAIL: Kind.DETAIL,
    Action.CART: Kind.CART,
    Action.WISHLIST: Kind.WISHLIST,
    Action.SHARE: Kind.SHARE,
}
_FEEDBACK_KINDS: Final = {
    FeedbackKind.LIKE: Kind.LIKE,
    FeedbackKind.DISLIKE: Kind.DISLIKE,
    FeedbackKind.HIDE: Kind.HIDE,
}


class Effect(Enum):
    """What an event changes besides counters and watermarks.

    The worker's order of calls is in `stream_app.worker.event_processor`.
    """

    EXPOSURE = "exposure"
    """Items were displayed: they count as seen. The models learn nothing; the user's list stays."""
    REACTION = "reaction"
    """The user reacted to items: the models learn, the reaction may be a reward, the user's list is ranked again."""
    SEARCH = "search"
    """The user searched: the models learn, the results are ranked."""
    ERASURE = "erasure"
    """The user is to be forgotten: the row is emptied, the lists are deleted."""


class EventContent(msgspec.Struct, frozen=True, gc=False):
    """The content of an event that models and attribution use.

    Attributes
    ----------
    kind
        What the user did.
    lines
        The items, in the order of the event.
    query
        Search words; empty if there are none.
    shown, shown_prices
        Displayed items and their prices, in display order; empty if the shop does not report them.
    list_id
        The published list that the event names; empty if it names none.
    """

    kind: Kind
    lines: tuple[Line, ...] = ()
    query: str = ""
    shown: tuple[str, ...] = ()
    shown_prices: tuple[float, ...] = ()
    list_id: str = ""


class EventType(NamedTuple):
    """One type of user event.

    Attributes
    ----------
    source
        The index of its watermark in a user's row.
    topic, purpose
        Name of its topic, and one sentence for the documents.
    effect
        What an event of this type changes.
    counter
        The field of `state.row.EventCounts` that counts it; empty for an erasure, which resets all counters.
    read
        Reads the content of an event; None for an exposure, which has no interaction.
    is_choice
        Whether the user chose the items: they enter the recent items, and are compared with the published list.
    """

    struct: type[UserEvent]
    source: Source
    topic: str
    purpose: str
    effect: Effect
    counter: str
    read: Callable[[Any], EventContent] | None
    is_choice: bool = False


def _read_click(event: Click) -> EventContent:
    return EventContent(
        _ACTION_KINDS[event.action],
        (Line(event.item_id),),
        query=event.query or "",
        list_id=event.list_id or "",
    )


def _read_search(event: Search) -> EventContent:
    return EventContent(
        Kind.SEARCH, query=event.query, shown=tuple(event.results), shown_prices=tuple(event.prices)
    )


def _read_purchase(event: Purchase) -> EventContent:
    return EventContent(
        Kind.PURCHASE,
        tuple([Line(line.item_id, line.quantity, line.price) for line in event.items]),
        query=event.query or "",
        shown=tuple(event.shown),
        shown_prices=tuple(event.shown_prices),
        list_id=event.list_id or "",
    )


def _read_feedback(event: Feedback) -> EventContent:
    return EventContent(_FEEDBACK_KINDS[event.kind], (Line(event.item_id),), list_id=event.list_id or "")


def _read_erasure(_: Erasure) -> EventContent:
    return EventContent(Kind.ERASE)


EVENT_TYPES: Final = (
    EventType(
        Click,
        Source.CLICK,
        "events.click",
        "A user looked at an item.",
        Effect.REACTION,
        "clicks",
        _read_click,
        is_choice=True,
    ),
    EventType(
        Search,
        Source.SEARCH,
        "events.search",
        "A user searched.",
        Effect.SEARCH,
        "searches",
        _read_search,
    ),
    EventType(
        Purchase,
        Source.PURCHASE,
        "events.purchase",
        "A user bought items.",
        Effect.REACTION,
        "purchases",
        _read_purchase,
        is_choice=True,
    ),
    EventType(
        Impression,
        Source.IMPRESSION,
        "events.impression",
        "A list was displayed to a user.",
        Effect.EXPOSURE,
        "impressions",
        None,
    ),
    EventType(
        Feedback,
        Source.FEEDBACK,
        "events.feedback",
        "A user liked, disliked or hid an item.",
        Effect.REACTION,
        "feedback",
        _read_feedback,
    ),
    EventType(
        Erasure,
        Source.ERASURE,
        "events.erasure",
        "A user asked to be forgotten.",
        Effect.ERASURE,
        "",
        _read_erasure,
    ),
)
"""All types of user events, by source."""

BY_STRUCT: Final = {event_type.struct: event_type for event_type in EVENT_TYPES}
"""The row of each struct."""
