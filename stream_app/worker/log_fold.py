"""Folds ranges of the logs into models that are not those of a running replica: to compare or to replace them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition
from prometheus_client import Counter

from stream_app.kafka.range_reader import LogRange, RangeReader
from stream_app.kafka.removed_records import OnRemoved
from stream_app.kafka.secured import aiokafka_arguments
from stream_app.models.model_set import ModelSet
from stream_app.worker.learned_topic import LearnedTopic, fold_catalog
from topics.catalog import CATALOG_ITEMS, INTERACTIONS, REWARDS
from topics.codec import Limits
from topics.kafka_connection import Broker
from topics.records import Interaction, Reward, Source

MODEL_TOPICS: Final = (INTERACTIONS, REWARDS, CATALOG_ITEMS)
"""The topics that models learn from."""

_RECORDS_PER_TURN: Final = 100
"""Records folded before other tasks run."""

Watermarks = Mapping[tuple[Source, int], int]
RewardWatermarks = Mapping[tuple[Source, int], tuple[int, int]]


class LogFold:
    """Folds records into models, on request only those up to some watermarks.

    The records of one partition of events are in the order of their offsets on the log, so those up to a watermark
    are a prefix: the models have exactly the records that the owner of the watermarks has folded, those included that
    were in flight when its positions were copied.

    Parameters
    ----------
    limits
        Bounds of event time.
    watermarks, reward_watermarks
        Highest offset (and line) to fold, by source and partition; None to fold everything.
    """

    def __init__(
        self,
        models: ModelSet,
        limits: Limits,
        watermarks: Watermarks | None = None,
        reward_watermarks: RewardWatermarks | None = None,
    ) -> None:
        self.models: Final = models
        self._limits = limits.without_max_age
        self.watermarks = watermarks
        self.reward_watermarks = reward_watermarks
        counter = Counter("headrace_log_fold", "Records of a fold outside of a worker.", registry=None)
        self._interactions = LearnedTopic(INTERACTIONS.name, Interaction, self._learn, counter, counter)
        self._rewards = LearnedTopic(REWARDS.name, Reward, self._learn_reward, counter, counter)

    def fold(self, topic: str, records: Sequence[Any]) -> None:
        """Fold records of one partition, in the order of their offsets."""
        if topic == INTERACTIONS.name:
            self._interactions.fold_batch(records)
        elif topic == REWARDS.name:
            self._rewards.fold_batch(records)
        else:
            fold_catalog(records, self._limits, self.models.learn_catalog)

    def _learn(self, interaction: Interaction) -> bool:
        if self.watermarks is not None:
            watermark = self.watermarks.get((interaction.source, interaction.partition), -1)
            if interaction.offset > watermark:
                return False
        return self.models.learn(interaction)

    def _learn_reward(self, reward: Reward) -> bool:
        if self.reward_watermarks is not None:
            watermark = self.reward_watermarks.get((reward.source, reward.partition), (-1, -1))
            if (reward.offset, reward.line) > watermark:
                return False
        return self.models.learn_reward(reward)


async def fold_ranges(
    consumer: Any,
    fold: LogFold,
    ranges: Iterable[LogRange],
    on_progress: Callable[[int], None] = lambda _: None,
    on_removed: OnRemoved | None = None,
) -> int:
    """Read ranges completely: interactions and catalog first, then rewards, which may be of any of these items.

    Parameters
    ----------
    consumer
        A started consumer of `stream_app.kafka.log_consumer`; its assignment is replaced.
    on_progress
        Called with the number of records read so far.
    on_removed
        Called if retention removes records of a range before they are read.

    Returns
    -------
    int
        Number of records read.
    """
    ordered = list(ranges)
    n_read = 0
    for group in (
        [each for each in ordered if each.tp.topic != REWARDS.name],
        [each for each in ordered if each.tp.topic == REWARDS.name],
    ):
        async for records in RangeReader(consumer, group, on_removed=on_removed).read():
            for start in range(0, len(records), _RECORDS_PER_TURN):
                fold.fold(records[0].topic, records[start : start + _RECORDS_PER_TURN])
                await asyncio.sleep(0)
            n_read += len(records)
            on_progress(n_read)
    return n_read


def ranges_between(
    starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> list[LogRange]:
    """A range per partition, without those that are empty."""
    return [LogRange(tp, start, ends[tp]) for tp, start in starts.items() if start < ends[tp]]


async def model_partitions(broker: Broker) -> list[TopicPartition]:
    """The partitions of the topics that models learn from; a consumer without a subscription does not know them."""
    admin = AIOKafkaAdminClient(**aiokafka_arguments(broker))
    await admin.start()
    try:
        described = await admin.describe_topics([spec.name for spec in MODEL_TOPICS])
    finally:
        await admin.close()
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        for partition in topic["partitions"]
    ]
