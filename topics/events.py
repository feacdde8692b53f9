"""The events a shop sends: one frozen struct each, decoded once from raw JSON bytes.

Unknown fields are ignored, so that a shop may send more than Headrace reads and an old worker may read
the events of a newer shop.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, get_args

import msgspec
from msgspec import Meta

MAX_ID_BYTES = 256
"""Longest id, in bytes of UTF-8; a longer one is rejected with reason ``id_too_long``."""

MAX_LIST_ITEMS = 1_000
"""Most entries of any list in an event (order lines, shown items, categories)."""

MAX_TEXT = 4_096
"""Longest free text (query, title), in characters."""

MAX_CONTEXT = 64
"""Most entries of a context or filter map; also the longest name of one, in characters."""

MAX_CONTEXT_VALUE = 1_024
"""Longest text in a context or filter map, in characters."""

MAX_AMOUNT = 1e15
"""Highest price and quantity: a number beyond it is no price in any currency, and would outgrow the models' own."""

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_BYTES, description="At most 256 bytes of UTF-8.")]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Ids = Annotated[list[Id], Meta(max_length=MAX_LIST_ITEMS)]
# What a schema can say of a number but the codec checks itself, for a reason code of its own.
Price = Annotated[float, Meta(le=MAX_AMOUNT, extra_json_schema={"minimum": 0})]
Quantity = Annotated[float, Meta(le=MAX_AMOUNT, extra_json_schema={"exclusiveMinimum": 0})]
Prices = Annotated[list[Price], Meta(max_length=MAX_LIST_ITEMS)]
# Integers that msgpack can carry on: a longer one would fail far from here.
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Position = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Context = Annotated[
    dict[
        Annotated[str, Meta(max_length=MAX_CONTEXT)],
        Annotated[str, Meta(max_length=MAX_CONTEXT_VALUE)] | Integer | float | bool | None,
    ],
    Meta(max_length=MAX_CONTEXT),
]
Timestamp = Annotated[
    Annotated[datetime, Meta(tz=True)] | int,
    Meta(description="RFC 3339 with a time zone, or milliseconds since the epoch."),
]


class Action(StrEnum):
    """What a click did, from a glance to nearly a purchase."""

    VIEW = "view"
    DETAIL = "detail"
    CART = "cart"
    WISHLIST = "wishlist"
    SHARE = "share"


class FeedbackKind(StrEnum):
    """What a shopper said of an item."""

    LIKE = "like"
    DISLIKE = "dislike"
    HIDE = "hide"


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    ts: Timestamp

    @property
    def time(self) -> float:
        """Event time in seconds since the epoch."""
        ts = self.ts
        return ts / 1000.0 if isinstance(ts, int) else ts.timestamp()


class UserEvent(_Event, frozen=True, kw_only=True):
    """What every event of a shopper carries.

    Attributes
    ----------
    event_id
        Unique per shopper; the same id again is a duplicate and changes nothing.
    user_id
        The shopper, or a visitor id for an anonymous one. It is also the Kafka key.
    ts
        When it happened.
    session_id
        The shop's own session id, kept for reference; sessions are closed by inactivity.
    channel
        web, app, store, …
    context
        A small flat map: country, device, …
    """

    event_id: Id
    user_id: Id
    session_id: Id | None = None
    channel: Id | None = None
    context: Context = {}


class Click(UserEvent, frozen=True, kw_only=True):
    """A shopper looked at an item, or put it in the cart.

    Attributes
    ----------
    item_id
        The item.
    action
        What the click did.
    list_id
        The list that Headrace published and the item was clicked on.
    position
        Place of the item on what was shown, from 0.
    query
        The search words that brought the shopper here.
    """

    item_id: Id
    action: Action = Action.VIEW
    list_id: Id | None = None
    position: Position | None = None
    query: Text | None = None


class Search(UserEvent, frozen=True, kw_only=True):
    """A shopper searched.

    Attributes
    ----------
    query
        The search words, as typed.
    results, prices
        The item ids in the order shown, and their prices, where the shop knows them.
    filters
        The filters that were set: category, price range, …
    """

    query: Text
    results: Ids = []
    prices: Prices = []
    filters: Context = {}


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a purchase.

    Attributes
    ----------
    item_id
        The item.
    quantity
        How many or how much; above 0.
    price
        Per unit; not negative.
    """

    item_id: Id
    quantity: Quantity = 1
    price: Price = 0


class Purchase(UserEvent, frozen=True, kw_only=True):
    """A shopper bought one or more items.

    Attributes
    ----------
    order_id
        The shop's order number.
    items
        The order lines, at least one.
    currency
        Of the prices, ISO 4217.
    list_id
        The list that Headrace published and the shopper chose from.
    query
        The search words that led to it.
    shown, shown_prices
        The items the shopper chose from and their prices, in the order shown, where the shop knows them (a
        search result page, say).
    """

    order_id: Id
    items: Annotated[list[OrderLine], Meta(min_length=1, max_length=MAX_LIST_ITEMS)]
    currency: Annotated[str, Meta(max_length=8)] | None = None
    list_id: Id | None = None
    query: Text | None = None
    shown: Ids = []
    shown_prices: Prices = []


class Impression(UserEvent, frozen=True, kw_only=True):
    """A shopper was shown a list: by the `list_id` Headrace published, or by `surface` and `items`.

    Attributes
    ----------
    list_id
        The list that Headrace published.
    surface
        Where it was shown: home, product page, mail, …
    items
        The item ids in the order shown.
    """

    list_id: Id | None = None
    surface: Id | None = None
    items: Ids = []


class Feedback(UserEvent, frozen=True, kw_only=True):
    """A shopper liked, disliked or hid an item.

    Attributes
    ----------
    item_id
        The item.
    kind
        What the shopper said of it.
    list_id
        The list that Headrace published and the item was on.
    """

    item_id: Id
    kind: FeedbackKind
    list_id: Id | None = None


class CatalogItem(_Event, frozen=True, kw_only=True):
    """The shop's description of an item; the newest one for an `item_id` counts.

    Attributes
    ----------
    item_id
        The item. It is also the Kafka key.
    ts
        When the description was written.
    title, description
        Words for people, and for finding similar items.
    categories
        Ids of the categories it is in, the widest first.
    brand, seller
        Who makes it, who sells it.
    price
        Per unit; not negative.
    tags
        Further attributes, one word each.
    image_embedding
        A vector that an image model gave it.
    available
        Whether it can be bought now; an unavailable item is on no list.
    created
        When the shop took it in.
    """

    item_id: Id
    title: Text = ""
    description: Annotated[str, Meta(max_length=65_536)] = ""
    categories: Ids = []
    brand: Id | None = None
    seller: Id | None = None
    price: Price | None = None
    tags: Ids = []
    image_embedding: Annotated[list[float], Meta(max_length=4_096)] = []
    available: bool = True
    created: Timestamp | None = None


class Erasure(UserEvent, frozen=True, kw_only=True):
    """A shopper asked to be forgotten."""


Event = Click | Search | Purchase | Impression | Feedback | CatalogItem | Erasure
"""Any event that a shop sends."""

EVENT_STRUCTS: Final[tuple[type[Event], ...]] = get_args(Event)
"""The structs of all events."""


def rfc3339(seconds: float) -> str:
    """Write a time as RFC 3339 in UTC with milliseconds.

    Parameters
    ----------
    seconds
        Seconds since the epoch.

    Examples
    --------
    >>> rfc3339(1541599523.25)
    '2018-11-07T14:05:23.250Z'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
