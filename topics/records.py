"""The records that Headrace writes to Kafka."""

from enum import IntEnum, StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta


class Source(IntEnum):
    """The event topic of a record; also the index of its watermark in a user's row."""

    CLICK = 0
    SEARCH = 1
    PURCHASE = 2
    IMPRESSION = 3
    FEEDBACK = 4
    ERASURE = 5


class Kind(IntEnum):
    """What a user did, as the models distinguish it."""

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
    """The cause of a `Reward`: a reaction to a listed item, a display of the list, or the user's erasure."""

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
"""Reactions that usually follow a click on the item."""

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

NEGATIVE = frozenset({RewardKind.DISLIKE, RewardKind.HIDE})
"""Reactions whose reward is 0 or less; that of the others is 0 or more."""

NON_POSITIVE = NEGATIVE | {RewardKind.IMPRESSION, RewardKind.ERASURE}
"""Reward kinds that are not positive feedback."""


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One item of an interaction, with quantity and unit price (NaN where unknown)."""

    item_id: str
    quantity: float = 1.0
    price: float = float("nan")


class Interaction(msgspec.Struct, frozen=True, array_like=True):
    """A cleaned event on the ``interactions`` topic, which every model replica folds.

    It is a function of the event and its record id alone: an interaction that is sent again after a crash has the
    same bytes. A replica drops it if its watermark for (`source`, `partition`) is at or above `offset`.

    Attributes
    ----------
    source, partition, offset
        Record id of the event. The offset includes the base of the topic's incarnation, 0 unless the topic was
        deleted and created again.
    ts
        Event time, seconds since the epoch.
    user_id, kind, lines
        The user, the kind of interaction and the items.
    segments
        The segments of the event besides ``all``, as ``name:value`` (``country:FR``).
    query
        The search query; empty if there is none.
    shown, shown_prices
        The displayed items from which the user chose, or the results of a search, in display order; empty if the
        shop does not report them.
    list_id
        The published list that the user reacted to; empty if the event names none.
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


MAX_REASON_QUERY = 200
"""Longest query in a reason, in characters. A list repeats it with each item."""


class Reason(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The reason why an item is on a list.

    Attributes
    ----------
    source
        The source of the candidate: ``popular``, ``trending``, ``also_viewed``, ``also_bought``,
        ``similar_sessions``, ``similar_users``, ``viewed_before``, ``bought_before``, ``similar_content``,
        ``matches_search``, ``chosen_after_search``, ``factors``, …
    item_id
        The evidence if it is an item: "because you viewed X".
    segment
        The evidence if it is a segment: "popular in Z".
    query
        The evidence if it is a search: "chosen after searching for Q"; truncated to ``MAX_REASON_QUERY``.
    """

    source: str
    item_id: str | None = None
    segment: str | None = None
    query: str | None = None


def search_reason(source: str, query: str) -> Reason:
    """The reason of an item that a search led to; a long query is truncated.

    Examples
    --------
    >>> len(search_reason("matches_search", "shoes " * 700).query)
    200
    """
    return Reason(source, query=query[:MAX_REASON_QUERY])


class ListedItem(msgspec.Struct, frozen=True, gc=False):
    """One entry of a published list."""

    id: str
    score: float
    propensity: float
    why: Reason


class RecommendationList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The document of every ``recs:`` key in Redis, and the record on the ``lists`` topic.

    Attributes
    ----------
    list_id
        Identifies this version of the list; reactions can refer to it.
    key
        The Redis key of the document.
    generated_at
        Time of ranking, RFC 3339.
    policy
        The policy that ordered the list.
    model_version
        Number of interactions folded into the models that ranked the list.
    neural_version
        Version of the two-tower model that took part in the ranking; left out if none did.
    items
        The entries, best first.
    features
        The policy's features of the items, one row per item in their order, as float16 with a version stamp
        (`stream_app.experiment.feature_rows`). Only on the ``lists`` topic, and only if the policy uses features.
    """

    list_id: str
    key: str
    generated_at: str
    policy: str
    model_version: int
    neural_version: str = ""
    items: tuple[ListedItem, ...]
    features: bytes = b""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A rejected record, up to its first MiB, with the reason.

    Attributes
    ----------
    reason
        A `topics.codec.RejectReason` code.
    detail
        One sentence with the error and its path.
    topic, partition, offset
        Position of the record. Two dead letters with the same position are one that was written again after a
        crash.
    timestamp
        The broker's timestamp of the record, seconds since the epoch.
    key, value
        The original bytes (base64 in JSON); None for Kafka's null.
    """

    reason: str
    detail: str
    topic: str
    partition: Annotated[int, Meta(ge=0)]
    offset: Annotated[int, Meta(ge=0)]
    timestamp: float
    key: bytes | None
    value: bytes | None


MAX_RANK = 9_999
"""Largest rank in a reward. Masks of outcomes have a bit for each rank: no damaged record may ask for gigabytes."""

Rank = Annotated[int, Meta(ge=0, le=MAX_RANK)]


class Reward(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The outcome of one line of a user event for one published list: the reward of an item, and newly seen items.

    It holds everything that a policy learns from, so that a replica needs no other record to fold it. It folds in
    two independent parts: the seen items, and the reward of one of them. `source`, `partition`, `offset` and `line`
    identify it: a reward that is sent again after a crash has the same four, and a replica drops it if its
    watermark for (`source`, `partition`) is at or above (`offset`, `line`).

    Attributes
    ----------
    source, partition, offset
        Record id of the event.
    line
        The order line, from 0; 0 for an event that is not a purchase.
    ts
        The broker's timestamp of the event, seconds since the epoch.
    user_id, list_id, policy
        The user, the list and the policy that ordered it; list and policy are empty for an erasure.
    kind
        The kind of reaction. An erasure is not a reward: it marks that the earlier rewards of this user in the
        partition must be forgotten.
    item_id, position
        The item and its rank on the list, from 0; empty and -1 for an impression.
    propensity
        The probability with which the policy put the item at this rank.
    value
        The value of the reaction by the settings; negative for a dislike, 0 for an impression.
    revenue
        Price times quantity of a purchase.
    delay
        Seconds from the publication of the list to the event.
    features
        The feature row of the item.
    first_positive
        Whether this is the user's first positive reaction to this item of this list; earlier dislikes and hides do
        not count.
    first_exposure
        Whether this event is the first evidence that any item of the list was seen.
    seen, seen_positions, seen_propensities
        The items of the list for which this event is the first evidence that they were seen.
    seen_features
        The feature rows of the seen items, in that order.
    search
        Whether it is the list of a search.
    explicit
        Whether the event named the list; otherwise the list was inferred.
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
    position: Annotated[int, Meta(ge=-1, le=MAX_RANK)] = -1
    propensity: float = 1.0
    value: float = 0.0
    revenue: float = 0.0
    delay: float = 0.0
    features: bytes = b""
    first_positive: bool = True
    first_exposure: bool = False
    seen: tuple[str, ...] = ()
    seen_positions: tuple[Rank, ...] = ()
    seen_propensities: tuple[float, ...] = ()
    seen_features: bytes = b""
    search: bool = False
    explicit: bool = False


class ErasureReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed of an erased user, where and when; written once everything is done.

    It names the user and the event by one-way hashes (BLAKE2b-256 of the UTF-8 bytes, hexadecimal): a shop that knows
    the user id finds the receipt, and no id can be read from it.

    Attributes
    ----------
    user_hash
        Hash of the user id; also the key of the record.
    event_id, event_hash
        Id of the erasure event, empty if it contains the user id, and its hash; both empty for an erasure by a
        version that wrote no receipts.
    partition, offset
        Partition of the user, and the offset of the erasure event in it, with the base of its incarnation.
    requested_at, erased_at, completed_at
        The time of the event; when the row was emptied and the models forgot the user; when the last record on the
        logs got its tombstone. RFC 3339.
    removed
        Number of records that got a tombstone, by topic. The changelog of the users table and Redis are not counted:
        each had at most one row, and two lists.
    """

    user_hash: str
    event_id: str
    event_hash: str
    partition: int
    offset: int
    requested_at: str
    erased_at: str
    completed_at: str
    removed: dict[str, int]


class ModelAnnouncement(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint that a trainer has written; the newest record of each key on the ``models`` topic is valid.

    Attributes
    ----------
    version
        Version of the weights; each announcement has a larger one than all before.
    file, size, digest
        Name of the file in the store of the checkpoints, its size in bytes, and its BLAKE2b-128 in hexadecimal.
    created_at
        When the weights were copied, seconds since the epoch.
    lag_seconds
        How far the trainer was behind the log then: the age of the newest interaction that it had learned, while
        there were more.
    offsets
        The next offset of each partition of ``interactions`` that was not learned, by partition.
    trainer
        The process that wrote it.
    """

    version: Annotated[int, Meta(ge=1)]
    file: str
    size: Annotated[int, Meta(ge=0)]
    digest: str
    created_at: float
    lag_seconds: Annotated[float, Meta(ge=0)] = 0.0
    offsets: tuple[int, ...] = ()
    trainer: str = ""


class PolicyAssignment(msgspec.Struct, frozen=True, kw_only=True):
    """The assignment of users to policies; the newest record of each key on the ``control`` topic is valid.

    Attributes
    ----------
    weights
        Weight of each policy, 0 or more; their ratio is the assignment. A policy that a worker does not run has no
        users there. Empty if the record sets no weights: those of an earlier record, or of each worker's settings,
        stay valid. Records of the guardrail set none.
    paused
        Policies without users, whatever their weight, until an operator resumes them.
    guardrail_exempt
        Policies that the guardrail does not pause, because an operator has resumed them.
    effective_time
        When the assignment last changed, if this record does not change it: seconds since the epoch by the broker's
        clock, 0 for never. Null if this record changes it, effective at the broker's timestamp of the record.
    ts
        When the author wrote the record, by the author's clock, seconds since the epoch; for display only.
    author
        ``operator`` or ``guardrail``.
    note
        The reason, one sentence.
    """

    weights: dict[str, float]
    paused: tuple[str, ...] = ()
    guardrail_exempt: tuple[str, ...] = ()
    effective_time: float | None = None
    ts: float = 0.0
    author: str = "operator"
    note: str = ""


GUARDRAIL = "guardrail"
"""The author of records that pause a harmful policy."""
