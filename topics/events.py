"""The events that a shop sends: one frozen struct per type, decoded once from JSON.

Unknown fields are ignored: a shop may send more than Headrace reads, and an old worker can read the events of a
newer shop.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, get_args

import msgspec
from msgspec import Meta

MAX_ID_BYTES = 256
"""Maximum length of an id, in bytes of UTF-8; a longer one is rejected with reason ``id_too_long``."""

MAX_LIST_ITEMS = 1_000
"""Maximum entries of any list in an event (order lines, displayed items, categories)."""

MAX_TEXT = 4_096
"""Maximum length of a free text (query, title), in characters."""

MAX_CONTEXT = 64
"""Maximum entries of a context or filter map; also the maximum length of a key, in characters."""

MAX_CONTEXT_VALUE = 1_024
"""Maximum length of a text value in a context or filter map, in characters."""

MAX_AMOUNT = 1e15
"""Maximum price and quantity; a larger number is no price in any currency, and would overflow model statistics."""

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_BYTES, description="At most 256 bytes of UTF-8.")]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Ids = Annotated[list[Id], Meta(max_length=MAX_LIST_ITEMS)]
# Bounds that the schema publishes but the codec checks, so that a violation has its own reason code.
Price = Annotated[float, Meta(le=MAX_AMOUNT, extra_json_schema={"minimum": 0})]
Quantity = Annotated[float, Meta(le=MAX_AMOUNT, extra_json_schema={"exclusiveMinimum": 0})]
Prices = Annotated[list[Price], Meta(max_length=MAX_LIST_ITEMS)]
# Bounds of msgpack integers: a larger one would fail only when a record is written.
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
    """The action of a click, from a view to the cart."""

    VIEW = "view"
    DETAIL = "detail"
    CART = "cart"
    WISHLIST = "wishlist"
    SHARE = "share"


class FeedbackKind(StrEnum):
    """A user's opinion of an item."""

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
    """The fields of every user event.

    Attributes
    ----------
    event_id
        Unique per user; an event with an id that was seen before is a duplicate and is ignored.
    user_id
        The user: a customer id, or the id of an anonymous browser. It is also the Kafka key.
    ts
        Time of the event.
    session_id
        The shop's own session id, for reference only; Headrace closes sessions by inactivity.
    channel
        The sales channel: web, app, store, …
    context
        A small flat map: country, device, …
    """

    event_id: Id
    user_id: Id
    session_id: Id | None = None
    channel: Id | None = None
    context: Context = {}


class Click(UserEvent, frozen=True, kw_only=True):
    """A user viewed an item, added it to the cart or a wishlist, or shared it.

    Attributes
    ----------
    item_id
        The item.
    action
        What the user did with it.
    list_id
        The published list on which the item was clicked.
    position
        Rank of the item on the displayed list, from 0.
    query
        The search query that led to the item.
    """

    item_id: Id
    action: Action = Action.VIEW
    list_id: Id | None = None
    position: Position | None = None
    query: Text | None = None


class Search(UserEvent, frozen=True, kw_only=True):
    """A user searched.

    Attributes
    ----------
    query
        The search query, as typed.
    results, prices
        The item ids of the results in display order, and their prices, if the shop reports them.
    filters
        The active filters: category, price range, …
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
        Number of units or amount; above 0.
    price
        Price per unit; not negative.
    """

    item_id: Id
    quantity: Quantity = 1
    price: Price = 0


class Purchase(UserEvent, frozen=True, kw_only=True):
    """A user bought one or more items.

    Attributes
    ----------
    order_id
        The order number of the shop.
    items
        The order lines, at least one.
    currency
        Currency of the prices, ISO 4217.
    list_id
        The published list from which the user chose.
    query
        The search query that led to the purchase.
    shown, shown_prices
        The items from which the user chose and their prices, in display order, if the shop reports them (for
        example those of a search result page).
    """

    order_id: Id
    items: Annotated[list[OrderLine], Meta(min_length=1, max_length=MAX_LIST_ITEMS)]
    currency: Annotated[str, Meta(max_length=8)] | None = None
    list_id: Id | None = None
    query: Text | None = None
    shown: Ids = []
    shown_prices: Prices = []


class Impression(UserEvent, frozen=True, kw_only=True):
    """A list was displayed to a user: identified by `list_id`, or by `surface` and `items`.

    Attributes
    ----------
    list_id
        The published list.
    surface
        Where the list was displayed: home, product page, mail, …
    items
        The item ids in display order.
    """

    list_id: Id | None = None
    surface: Id | None = None
    items: Ids = []


class Feedback(UserEvent, frozen=True, kw_only=True):
    """A user liked, disliked or hid an item.

    Attributes
    ----------
    item_id
        The item.
    kind
        The opinion.
    list_id
        The published list that displayed the item.
    """

    item_id: Id
    kind: FeedbackKind
    list_id: Id | None = None


class CatalogItem(_Event, frozen=True, kw_only=True):
    """The shop's description of an item; the newest one per `item_id` is valid.

    Attributes
    ----------
    item_id
        The item. It is also the Kafka key.
    ts
        Time of the description.
    title, description
        Texts; the content model uses them to find similar items.
    categories
        Ids of the item's categories, the widest first.
    brand, seller
        Ids of the manufacturer's brand and of the seller.
    price
        Price per unit; not negative.
    tags
        Further attributes, one word each.
    image_embedding
        A vector from an image model; `headrace embed` computes it.
    text_embedding
        A vector from a text model; `headrace embed` computes it.
    available
        Whether the item can be bought now; an unavailable item is on no list.
    created
        When the item was added to the shop.
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
    text_embedding: Annotated[list[float], Meta(max_length=4_096)] = []
    available: bool = True
    created: Timestamp | None = None


class Erasure(UserEvent, frozen=True, kw_only=True):
    """A user asked to be forgotten."""


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


def format_time(seconds: float) -> str:
    """Write a time for readers: as `rfc3339`, or as the number if it is no valid time.

    Parameters
    ----------
    seconds
        Seconds since the epoch.
    """
    try:
        return rfc3339(seconds)
    except (ValueError, OverflowError, OSError):
        return str(seconds)
