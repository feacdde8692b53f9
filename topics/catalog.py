"""The catalog of topics: name, key, partitions, cleanup, what is on it."""

from enum import StrEnum
from typing import Final

import msgspec

from topics.event_types import EVENT_TYPES, EventType
from topics.events import CatalogItem, Click, Erasure, Event, Feedback, Impression, Purchase, Search
from topics.records import DeadLetter, Interaction, PolicyAssignment, RecommendationList, Reward, Source

DAY_MS: Final = 86_400_000


class CleanupPolicy(StrEnum):
    """What Kafka does with old records."""

    DELETE = "delete"
    COMPACT = "compact"


class TopicSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One topic.

    Attributes
    ----------
    name
        On the broker.
    purpose
        One sentence.
    key
        What the record key holds.
    payload
        The struct of the value; None for the changelog, whose values are rows of `state.row`.
    encoding
        ``json`` or ``msgpack``.
    source
        The watermark index, for the topics that carry a shopper's events.
    copartitioned
        Whether its partition count must equal the users table's.
    partitions
        None: as many as the settings say.
    cleanup, retention_ms
        Kafka's cleanup policy and ``retention.ms`` (-1 keeps for ever).
    config
        Further topic settings.
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
        """The settings the topic is created with."""
        retention = {} if self.cleanup is CleanupPolicy.COMPACT else {"retention.ms": str(self.retention_ms)}
        return {"cleanup.policy": str(self.cleanup), **retention, **self.config}


# The broker's own clock dates the shop's events: freshness and the age check need one clock that every
# producer shares, and a replayed log of 2018 would otherwise be deleted by retention at once.
_BROKER_TIME: Final = {"message.timestamp.type": "LogAppendTime"}

# What Headrace writes can be larger than the record it came from: a dead letter holds it in base64.
_LARGE_MESSAGES: Final = {"max.message.bytes": str(4 * 1024 * 1024)}


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
    purpose="The shop's description of an item, the newest for each id.",
    key="item_id",
    payload=CatalogItem,
    copartitioned=False,
    cleanup=CleanupPolicy.COMPACT,
    config=_BROKER_TIME,
)
INTERACTIONS: Final = TopicSpec(
    name="interactions",
    purpose="Cleaned events in the order they were taken: the log that the models are a fold of.",
    key="user_id",
    payload=Interaction,
    encoding="msgpack",
    retention_ms=90 * DAY_MS,
    config=_LARGE_MESSAGES,
)
REWARDS: Final = TopicSpec(
    name="rewards",
    purpose="What reactions to published lists were worth.",
    key="user_id",
    payload=Reward,
    encoding="msgpack",
    retention_ms=90 * DAY_MS,
)
LISTS: Final = TopicSpec(
    name="lists",
    purpose="Every published list, for reward attribution, audit and off-policy evaluation.",
    key="user_id",
    payload=RecommendationList,
)
DEAD_LETTERS: Final = TopicSpec(
    name="dead-letters",
    purpose="Records that could not be taken, whole, with the reason.",
    key="the record's own key",
    payload=DeadLetter,
    copartitioned=False,
    partitions=1,
    retention_ms=30 * DAY_MS,
    config=_LARGE_MESSAGES,
)
CONTROL: Final = TopicSpec(
    name="control",
    purpose="How shoppers are split between policies: what each key says last holds, for every worker.",
    key="assignment, or guardrail:<policy>",
    payload=PolicyAssignment,
    copartitioned=False,
    partitions=1,
    cleanup=CleanupPolicy.COMPACT,
    # figures of policies begin where the split changes: one clock dates both that and the rewards
    config=_BROKER_TIME,
)
USERS_TABLE: Final = "users"


def changelog(app_id: str) -> TopicSpec:
    """The changelog of the users table of the application `app_id`."""
    return TopicSpec(
        name=f"{app_id}-{USERS_TABLE}-changelog",
        purpose="The newest row of each shopper, from which a worker restores its table.",
        key="user_id",
        payload=None,
        encoding="msgpack",
        cleanup=CleanupPolicy.COMPACT,
    )


USER_EVENTS: Final = tuple(_EVENT_TOPICS.values())
"""The topics whose records are a shopper's events."""

SHOP_TOPICS: Final = (*USER_EVENTS, CATALOG_ITEMS)
"""The topics a shop writes to."""

_SHOP_TOPIC_OF: Final = {spec.payload: spec for spec in SHOP_TOPICS}


def catalog(app_id: str = "headrace") -> tuple[TopicSpec, ...]:
    """All topics, in the order they are listed.

    Examples
    --------
    >>> [spec.name for spec in catalog()][:3]
    ['events.click', 'events.search', 'events.purchase']
    """
    return (*SHOP_TOPICS, INTERACTIONS, REWARDS, LISTS, CONTROL, DEAD_LETTERS, changelog(app_id))


def topic_of(event_type: type[Event]) -> TopicSpec:
    """The topic that carries events of a type.

    Raises
    ------
    KeyError
        If no topic does.
    """
    return _SHOP_TOPIC_OF[event_type]
