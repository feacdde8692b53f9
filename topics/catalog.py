"""The catalog of topics: name, key, payload, partitions, cleanup."""

from enum import StrEnum
from typing import Final

import msgspec

from topics.event_types import EVENT_TYPES, EventType
from topics.events import CatalogItem, Click, Erasure, Event, Feedback, Impression, Purchase, Search
from topics.records import (
    DeadLetter,
    ErasureReceipt,
    Interaction,
    ModelAnnouncement,
    PolicyAssignment,
    RecommendationList,
    Reward,
    Source,
)

DAY_MS: Final = 86_400_000


class CleanupPolicy(StrEnum):
    """Kafka's ``cleanup.policy``."""

    DELETE = "delete"
    COMPACT = "compact"
    COMPACT_AND_DELETE = "compact,delete"
    """Records end after their retention, and before it if a tombstone with their key follows."""


class TopicSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One topic.

    Attributes
    ----------
    purpose
        One sentence for the documents.
    key
        Content of the record key.
    payload
        The struct of the value; None for the changelog, whose values are rows of `state.row`.
    encoding
        ``json`` or ``msgpack``.
    source
        The watermark index, for topics of user events.
    copartitioned
        Whether its partition count must equal that of the users table.
    partitions
        A fixed partition count; None for the count from the settings.
    cleanup, retention_ms
        Kafka's cleanup policy and ``retention.ms`` (-1 for unlimited).
    min_retention_ms
        The least ``retention.ms`` with which nothing is lost; None if a shorter one loses nothing but age.
    """

    name: str
    purpose: str
    key: str
    payload: type[msgspec.Struct] | None
    encoding: str = "json"
    source: Source | None = None
    copartitioned: bool = True
    partitions: int | None = None
    cleanup: CleanupPolicy = CleanupPolicy.DELETE
    retention_ms: int = 7 * DAY_MS
    min_retention_ms: int | None = None
    config: dict[str, str] = {}

    @property
    def topic_config(self) -> dict[str, str]:
        """Kafka's settings of the topic at creation."""
        retention = {} if self.cleanup is CleanupPolicy.COMPACT else {"retention.ms": str(self.retention_ms)}
        return {"cleanup.policy": str(self.cleanup), **retention, **self.config}


# Events have the broker's timestamp. Freshness and the age check need one clock for all producers, and retention
# would delete a replayed log of 2018 at once.
_BROKER_TIME: Final = {"message.timestamp.type": "LogAppendTime"}

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Kafka's ``max.message.bytes`` of the topics of events, enough for the largest event of the contract
(`topics.event_size`), and of those that Headrace writes. A record of Headrace can be larger than the event that
caused it: a list repeats long ids, and a dead letter holds the original in base64."""

MAX_RECORD_BYTES: Final = MAX_MESSAGE_BYTES * 3 // 4
"""Maximum size of a record that Headrace writes, key and value: the rest is for the frame of the batch."""

_LARGE_MESSAGES: Final = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}

MAX_COMPACTION_LAG_MS: Final = 3 * DAY_MS
TOMBSTONE_MS: Final = DAY_MS
SEGMENT_MS: Final = DAY_MS
"""Kafka deletes whole segments: an event may stay for so long after its retention."""

# Compaction removes what tombstones name within days, also from a log with few records. A tombstone, whose key has
# the user id, ends with the compaction that follows a day later.
_TIMELY_COMPACTION: Final = {
    "max.compaction.lag.ms": str(MAX_COMPACTION_LAG_MS),
    "delete.retention.ms": str(TOMBSTONE_MS),
}
# A replica that is less than a day behind reads the erasure of a user before it is compacted away.
_ERASABLE_LOG: Final = {**_LARGE_MESSAGES, **_TIMELY_COMPACTION, "min.compaction.lag.ms": str(DAY_MS)}

DEFAULT_EVENT_RETENTION_DAYS: Final = 7
DEFAULT_ERASURE_RETENTION_DAYS: Final = 90


def _event_topic(event_type: EventType) -> TopicSpec:
    return TopicSpec(
        name=event_type.topic,
        purpose=event_type.purpose,
        key="user_id",
        payload=event_type.struct,
        source=event_type.source,
        retention_ms=DEFAULT_EVENT_RETENTION_DAYS * DAY_MS,
        config={**_BROKER_TIME, **_LARGE_MESSAGES, "segment.ms": str(SEGMENT_MS)},
    )


def _kept_longer(erasures: TopicSpec, days: int) -> TopicSpec:
    """The topic of erasures: one that retention removes before a worker has read it is lost."""
    return msgspec.structs.replace(erasures, retention_ms=days * DAY_MS, min_retention_ms=days * DAY_MS)


_EVENT_TOPICS: Final = {event_type.struct: _event_topic(event_type) for event_type in EVENT_TYPES}
_EVENT_TOPICS[Erasure] = _kept_longer(_EVENT_TOPICS[Erasure], DEFAULT_ERASURE_RETENTION_DAYS)
CLICKS: Final = _EVENT_TOPICS[Click]
SEARCHES: Final = _EVENT_TOPICS[Search]
PURCHASES: Final = _EVENT_TOPICS[Purchase]
IMPRESSIONS: Final = _EVENT_TOPICS[Impression]
FEEDBACK: Final = _EVENT_TOPICS[Feedback]
ERASURES: Final = _EVENT_TOPICS[Erasure]
CATALOG_ITEMS: Final = TopicSpec(
    name="catalog.items",
    purpose="The shop's description of each item, newest per id.",
    key="item_id",
    payload=CatalogItem,
    copartitioned=False,
    cleanup=CleanupPolicy.COMPACT,
    config={**_BROKER_TIME, **_LARGE_MESSAGES},
)
INTERACTIONS: Final = TopicSpec(
    name="interactions",
    purpose="Cleaned events in processing order; the models are a fold of this log.",
    key="user_id; 0xFF; source.partition.offset of the event",
    payload=Interaction,
    encoding="msgpack",
    cleanup=CleanupPolicy.COMPACT_AND_DELETE,
    retention_ms=90 * DAY_MS,
    config=_ERASABLE_LOG,
)
REWARDS: Final = TopicSpec(
    name="rewards",
    purpose="Rewards of reactions to published lists.",
    key="user_id; 0xFF; source.partition.offset of the event.line",
    payload=Reward,
    encoding="msgpack",
    cleanup=CleanupPolicy.COMPACT_AND_DELETE,
    retention_ms=90 * DAY_MS,
    config=_ERASABLE_LOG,
)
LISTS: Final = TopicSpec(
    name="lists",
    purpose="Every published list, for reward attribution and off-policy evaluation.",
    key="user_id; 0xFF; list_id.time of publication",
    payload=RecommendationList,
    cleanup=CleanupPolicy.COMPACT_AND_DELETE,
    config=_ERASABLE_LOG,
)
DEAD_LETTERS: Final = TopicSpec(
    name="dead-letters",
    purpose="Rejected records, each up to its first MiB, with the reason.",
    key="user_id if one is known, else the record's own key; 0xFF; topic.partition.offset@milliseconds of the record",
    payload=DeadLetter,
    copartitioned=False,
    partitions=1,
    cleanup=CleanupPolicy.COMPACT_AND_DELETE,
    retention_ms=30 * DAY_MS,
    config=_ERASABLE_LOG,
)
ERASURE_RECEIPTS: Final = TopicSpec(
    name="erasure-receipts",
    purpose="One receipt per erased user: what was removed, where and when.",
    key="one-way hash of the user_id, hexadecimal",
    payload=ErasureReceipt,
    copartitioned=False,
    partitions=1,
    # A worker that starts from an old snapshot finds in the receipts which of its users were erased since.
    retention_ms=400 * DAY_MS,
    min_retention_ms=400 * DAY_MS,
)
CONTROL: Final = TopicSpec(
    name="control",
    purpose="The assignment of users to policies, for all workers; the newest record per key is valid.",
    key="assignment, or guardrail:<policy>",
    payload=PolicyAssignment,
    copartitioned=False,
    partitions=1,
    cleanup=CleanupPolicy.COMPACT,
    # Policy metrics restart when the assignment changes: assignments and rewards need timestamps of one clock.
    config=_BROKER_TIME,
)
MODELS: Final = TopicSpec(
    name="models",
    purpose="The newest checkpoint of the two-tower model; its partition also elects the trainer that is active.",
    key="name of the model",
    payload=ModelAnnouncement,
    copartitioned=False,
    partitions=1,
    cleanup=CleanupPolicy.COMPACT,
)
USERS_TABLE: Final = "users"


def changelog(app_id: str) -> TopicSpec:
    """The changelog topic of the users table of the application `app_id`."""
    return TopicSpec(
        name=f"{app_id}-{USERS_TABLE}-changelog",
        purpose="The newest row of each user, from which a worker restores its table.",
        key="user_id, or 0xFF and the one-way hash of an erased user's",
        payload=None,
        encoding="msgpack",
        cleanup=CleanupPolicy.COMPACT,
        config={**_LARGE_MESSAGES, **_TIMELY_COMPACTION},
    )


USER_EVENTS: Final = tuple(_EVENT_TOPICS.values())
"""The topics of user events."""

SHOP_TOPICS: Final = (*USER_EVENTS, CATALOG_ITEMS)
"""The topics that a shop writes to."""

_SHOP_TOPIC_OF: Final = {spec.payload: spec for spec in SHOP_TOPICS}


def catalog(
    app_id: str = "headrace",
    event_days: int = DEFAULT_EVENT_RETENTION_DAYS,
    erasure_days: int = DEFAULT_ERASURE_RETENTION_DAYS,
) -> tuple[TopicSpec, ...]:
    """All topics, in display order.

    Parameters
    ----------
    event_days, erasure_days
        Days for which Kafka keeps the users' events, and their erasures.

    Examples
    --------
    >>> [spec.name for spec in catalog()][:3]
    ['events.click', 'events.search', 'events.purchase']
    """
    events = (
        _kept_longer(spec, erasure_days)
        if spec == ERASURES
        else msgspec.structs.replace(spec, retention_ms=event_days * DAY_MS)
        for spec in USER_EVENTS
    )
    return (
        *events,
        CATALOG_ITEMS,
        INTERACTIONS,
        REWARDS,
        LISTS,
        CONTROL,
        MODELS,
        DEAD_LETTERS,
        ERASURE_RECEIPTS,
        changelog(app_id),
    )


def topic_of(event_type: type[Event]) -> TopicSpec:
    """The topic of an event struct.

    Raises
    ------
    KeyError
        If the struct has no topic.
    """
    return _SHOP_TOPIC_OF[event_type]
