"""The catalog of topics: name, key, payload, partitions, cleanup."""

from enum import StrEnum
from typing import Final

import msgspec

from topics.event_types import EVENT_TYPES, EventType
from topics.events import CatalogItem, Click, Erasure, Event, Feedback, Impression, Purchase, Search
from topics.records import DeadLetter, Interaction, PolicyAssignment, RecommendationList, Reward, Source

DAY_MS: Final = 86_400_000


class CleanupPolicy(StrEnum):
    """Kafka's ``cleanup.policy``."""

    DELETE = "delete"
    COMPACT = "compact"


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
"""Kafka's ``max.message.bytes`` of the topics that Headrace writes. A record of Headrace can be larger than the event
that caused it: a list repeats long ids, and a dead letter holds the original in base64."""

MAX_RECORD_BYTES: Final = MAX_MESSAGE_BYTES * 3 // 4
"""Maximum size of a record that Headrace writes, key and value: the rest is for the frame of the batch."""

_LARGE_MESSAGES: Final = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}


def _event_topic(event_type: EventType) -> TopicSpec:
    return TopicSpec(
        name=event_type.topic,
        purpose=event_type.purpose,
        key="user_id",
        payload=event_type.struct,
        source=event_type.source,
        config=_BROKER_TIME,
    )


_EVENT_TOPICS: Final = {event_type.struct: _event_topic(event_type) for event_type in EVENT_TYPES}
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
    config=_BROKER_TIME,
)
INTERACTIONS: Final = TopicSpec(
    name="interactions",
    purpose="Cleaned events in processing order; the models are a fold of this log.",
    key="user_id",
    payload=Interaction,
    encoding="msgpack",
    retention_ms=90 * DAY_MS,
    config=_LARGE_MESSAGES,
)
REWARDS: Final = TopicSpec(
    name="rewards",
    purpose="Rewards of reactions to published lists.",
    key="user_id",
    payload=Reward,
    encoding="msgpack",
    retention_ms=90 * DAY_MS,
    config=_LARGE_MESSAGES,
)
LISTS: Final = TopicSpec(
    name="lists",
    purpose="Every published list, for reward attribution and off-policy evaluation.",
    key="user_id",
    payload=RecommendationList,
    config=_LARGE_MESSAGES,
)
DEAD_LETTERS: Final = TopicSpec(
    name="dead-letters",
    purpose="Rejected records, each up to its first MiB, with the reason.",
    key="the record's own key",
    payload=DeadLetter,
    copartitioned=False,
    partitions=1,
    retention_ms=30 * DAY_MS,
    config=_LARGE_MESSAGES,
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
USERS_TABLE: Final = "users"


def changelog(app_id: str) -> TopicSpec:
    """The changelog topic of the users table of the application `app_id`."""
    return TopicSpec(
        name=f"{app_id}-{USERS_TABLE}-changelog",
        purpose="The newest row of each user, from which a worker restores its table.",
        key="user_id",
        payload=None,
        encoding="msgpack",
        cleanup=CleanupPolicy.COMPACT,
        config=_LARGE_MESSAGES,
    )


USER_EVENTS: Final = tuple(_EVENT_TOPICS.values())
"""The topics of user events."""

SHOP_TOPICS: Final = (*USER_EVENTS, CATALOG_ITEMS)
"""The topics that a shop writes to."""

_SHOP_TOPIC_OF: Final = {spec.payload: spec for spec in SHOP_TOPICS}


def catalog(app_id: str = "headrace") -> tuple[TopicSpec, ...]:
    """All topics, in display order.

    Examples
    --------
    >>> [spec.name for spec in catalog()][:3]
    ['events.click', 'events.search', 'events.purchase']
    """
    return (*SHOP_TOPICS, INTERACTIONS, REWARDS, LISTS, CONTROL, DEAD_LETTERS, changelog(app_id))


def topic_of(event_type: type[Event]) -> TopicSpec:
    """The topic of an event struct.

    Raises
    ------
    KeyError
        If the struct has no topic.
    """
    return _SHOP_TOPIC_OF[event_type]
