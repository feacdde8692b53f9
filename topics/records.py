"""The records that Headrace itself writes to Kafka, beside the events of the shop."""

from enum import IntEnum
from typing import Annotated

import msgspec
from msgspec import Meta


class Source(IntEnum):
    """The event topic a record came from; also the index of its watermark in a user's row."""

    CLICK = 0
    SEARCH = 1
    PURCHASE = 2
    IMPRESSION = 3
    FEEDBACK = 4
    ERASURE = 5


class Kind(IntEnum):
    """What a shopper did, as the models see it."""

    VIEW = 0
    DETAIL = 1
    CART = 2
    WISHLIST = 3
    SHARE = 4
    PURCHASE = 5
    SEARCH = 6
    LIKE = 7
    DISLIKE = 8
    HIDE = 9
    ERASE = 10


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One item of an interaction, with quantity and unit price (NaN where unknown)."""

    item_id: str
    quantity: float = 1.0
    price: float = float("nan")


class Interaction(msgspec.Struct, frozen=True, array_like=True):
    """A cleaned event on the ``interactions`` topic: what every model replica folds.

    It is a function of the event and of the event's place in its source topic alone, so that sending it
    again after a crash gives the same bytes; a replica drops it when it already holds a watermark at or
    above `offset` for (`source`, `partition`).

    Attributes
    ----------
    source, partition, offset
        Where the event stood.
    ts
        Event time, seconds since the epoch.
    user_id, kind, lines
        Who did what to which items.
    segments
        The audiences the event counts for besides ``all``, as ``name:value`` (``country:FR``).
    query
        The search words, where there are any.
    shown, shown_prices
        The list the shopper chose from, in the order shown, where the shop says so.
    list_id
        The list the shopper reacted to, where the shop says so.
    """

    source: Source
    partition: int
    offset: int
    ts: float
    user_id: str
    kind: Kind
    lines: tuple[Line, ...] = ()
    segments: tuple[str, ...] = ()
    query: str = ""
    shown: tuple[str, ...] = ()
    shown_prices: tuple[float, ...] = ()
    list_id: str = ""


class Reason(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Why an item is on a list, in plain data.

    Attributes
    ----------
    source
        What brought it: ``popular``, ``trending``, ``also_viewed``, ``also_bought``, ``similar_sessions``,
        ``similar_shoppers``, ``viewed_before``, ``similar_content``, ``matches_search``,
        ``chosen_after_search``, ``factors``, …
    item_id
        The evidence, where it is an item: "because you viewed X".
    segment
        The evidence, where it is an audience: "popular in Z".
    query
        The evidence, where it is a search: "chosen after searching for Q".
    """

    source: str
    item_id: str | None = None
    segment: str | None = None
    query: str | None = None


class ListedItem(msgspec.Struct, frozen=True, gc=False):
    """One place of a published list."""

    id: str
    score: float
    propensity: float
    why: Reason


class RecommendationList(msgspec.Struct, frozen=True, kw_only=True):
    """The document behind every ``recs:`` key in Redis, and the record on the ``lists`` topic.

    Attributes
    ----------
    list_id
        Names this version of the list; reactions can refer to it.
    key
        The Redis key it was written to.
    generated_at
        When it was ranked, RFC 3339.
    policy
        The policy that ordered it.
    model_version
        Interactions folded into the models that ranked it.
    items
        Best first.
    """

    list_id: str
    key: str
    generated_at: str
    policy: str
    model_version: int
    items: tuple[ListedItem, ...]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be taken, whole, with the reason.

    Attributes
    ----------
    reason
        A `topics.codec.RejectReason` code.
    detail
        One sentence on what was wrong and where.
    topic, partition, offset
        Where it stood; the same three twice are one dead letter that was written again after a crash.
    timestamp
        The broker's time of the record, seconds since the epoch.
    key, value
        The original bytes (base64 in JSON); None where Kafka had null.
    """

    reason: str
    detail: str
    topic: str
    partition: Annotated[int, Meta(ge=0)]
    offset: Annotated[int, Meta(ge=0)]
    timestamp: float
    key: bytes | None
    value: bytes | None


class Reward(msgspec.Struct, frozen=True, kw_only=True):
    """What a shopper's reaction to a published list was worth."""

    list_id: str
    user_id: str
    item_id: str
    position: int
    policy: str
    propensity: float
    kind: str
    value: float
    ts: float
    delay: float
