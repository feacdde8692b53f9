"""The records that Headrace itself writes to Kafka, beside the events of the shop."""

from enum import IntEnum, StrEnum
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


class RewardKind(StrEnum):
    """What a `Reward` tells of: a reaction to a listed item, that the list was shown, or the shopper's erasure."""

    CLICK = "click"
    SHARE = "share"
    WISHLIST = "wishlist"
    CART = "cart"
    PURCHASE = "purchase"
    LIKE = "like"
    DISLIKE = "dislike"
    HIDE = "hide"
    IMPRESSION = "impression"
    ERASURE = "erasure"


POST_CLICK_KINDS = frozenset(
    {RewardKind.SHARE, RewardKind.WISHLIST, RewardKind.CART, RewardKind.PURCHASE, RewardKind.LIKE}
)
"""Reactions that a click on the item usually comes before."""

REWARD_KINDS = {
    Kind.VIEW: RewardKind.CLICK,
    Kind.DETAIL: RewardKind.CLICK,
    Kind.CART: RewardKind.CART,
    Kind.WISHLIST: RewardKind.WISHLIST,
    Kind.SHARE: RewardKind.SHARE,
    Kind.PURCHASE: RewardKind.PURCHASE,
    Kind.LIKE: RewardKind.LIKE,
    Kind.DISLIKE: RewardKind.DISLIKE,
    Kind.HIDE: RewardKind.HIDE,
}
"""The reward of each reaction; searches and erasures are not reactions to a list."""

NON_POSITIVE = frozenset({RewardKind.IMPRESSION, RewardKind.DISLIKE, RewardKind.HIDE, RewardKind.ERASURE})
"""What is no choice of an item."""


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
        The list the shopper chose from, or that a search found, in the order shown, where the shop says so.
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
        ``similar_users``, ``viewed_before``, ``bought_before``, ``similar_content``, ``matches_search``,
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


class RecommendationList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    features
        What the policy knew of the items, a row an item in their order: a stamp of what the numbers mean, and
        float16 (`stream_app.experiment.feature_rows`). On the
        ``lists`` topic alone, and there only where the policy goes by features.
    """

    list_id: str
    key: str
    generated_at: str
    policy: str
    model_version: int
    items: tuple[ListedItem, ...]
    features: bytes = b""


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


class Reward(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one line of a shopper's event says of one published list: an item's reward, and what was seen for sure.

    It holds all that a policy learns from, so that a replica needs no other record to fold it; and it folds in two
    independent parts, the items that were seen and the reward of one of them. `source`, `partition`, `offset` and
    `line` name it: what is sent again after a crash has the same four, and a replica drops it when it already
    holds a watermark at or above (`offset`, `line`) for (`source`, `partition`).

    Attributes
    ----------
    source, partition, offset
        Where the event stood.
    line
        Which order line of it, from 0; 0 for an event that is no purchase.
    ts
        The broker's time of the event, seconds since the epoch.
    user_id, list_id, policy
        Whose list it was, and what ordered it; an erasure is of no list and no policy, which are empty then.
    kind
        What the shopper did. An erasure is no reward: it marks that what came before it in the partition is of a
        shopper who is to be forgotten.
    item_id, position
        With which item, and its place on the list, from 0; empty and -1 for an impression.
    propensity
        The probability with which the policy put it there.
    value
        What the reaction is worth, by the settings; below 0 for a dislike. 0 for an impression.
    revenue
        Price times quantity of a purchase.
    delay
        Seconds from the publication of the list to the event.
    features
        The row of the item in the features of the list.
    first_positive
        Whether the shopper had made nothing good of that item of that list before; dislikes and hides before it do
        not count.
    first_exposure
        Whether it is from this event on, and not before, that any of the list is known to have been seen.
    seen, seen_positions, seen_propensities
        The items of the list that are known from this event on, and not before, to have been seen.
    seen_features
        Their rows, in that order.
    search
        Whether it is the list of a search.
    explicit
        Whether the event itself named the list; of any other it was worked out that the reaction came from it.
    """

    source: Source
    partition: int
    offset: int
    line: int
    ts: float
    user_id: str
    list_id: str
    policy: str
    kind: RewardKind
    item_id: str = ""
    position: int = -1
    propensity: float = 1.0
    value: float = 0.0
    revenue: float = 0.0
    delay: float = 0.0
    features: bytes = b""
    first_positive: bool = True
    first_exposure: bool = False
    seen: tuple[str, ...] = ()
    seen_positions: tuple[int, ...] = ()
    seen_propensities: tuple[float, ...] = ()
    seen_features: bytes = b""
    search: bool = False
    explicit: bool = False


class PolicyAssignment(msgspec.Struct, frozen=True, kw_only=True):
    """How shoppers are split between policies from now on; the newest of each key on the ``control`` topic holds.

    Attributes
    ----------
    weights
        Of each policy, 0 or more; their ratio is the split. Policies that a worker does not run get nobody. Empty
        where nobody has said any yet: each worker's settings hold. Of the guardrail's words too, which say nothing
        of it.
    paused
        Policies that get nobody, whatever their weight, until somebody resumes them.
    guardrail_exempt
        Policies that the guardrail leaves alone: an operator has resumed them.
    effective_time
        When the split last changed, if not by this word: seconds since the epoch by the broker's clock, 0 for never.
        Null where this word changes it, which is at the broker's time of the record.
    ts
        When it was said by the clock of who said it, seconds since the epoch; for people alone.
    author
        Who said it: ``operator`` or ``guardrail``.
    note
        Why, in a sentence.
    """

    weights: dict[str, float]
    paused: tuple[str, ...] = ()
    guardrail_exempt: tuple[str, ...] = ()
    effective_time: float | None = None
    ts: float = 0.0
    author: str = "operator"
    note: str = ""


GUARDRAIL = "guardrail"
"""Who says that a policy rests because it does harm."""
