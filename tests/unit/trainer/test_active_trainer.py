"""What the elected trainer reads."""

from typing import Any, NamedTuple

import msgspec
import pytest
from aiokafka.structs import TopicPartition

from stream_app.kafka.event_records import event_record
from stream_app.models.item_content import ItemContent
from stream_app.trainer import active_trainer
from stream_app.trainer.active_trainer import ActiveTrainer, Pace, Ports
from stream_app.trainer.learner import Learner
from stream_app.trainer.metrics import TrainerMetrics
from stream_app.training.two_tower_training import TwoTowerTraining
from tests.support.trained_shop import CONFIG, SHAPE
from topics.catalog import CATALOG_ITEMS, INTERACTIONS, REWARDS
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Line, Source


class Record(NamedTuple):
    value: bytes | None
    key: bytes | None = b""
    topic: str = ""
    partition: int = 0
    offset: int = 0
    timestamp: int = 1_700_000_000_000


class Consumer:
    """A consumer with one fetch."""

    def __init__(self, records: dict[TopicPartition, list[Record]]) -> None:
        self._records = records
        self._assigned: list[TopicPartition] = []

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._assigned = partitions

    def assignment(self) -> list[TopicPartition]:
        return self._assigned

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def seek(self, tp: TopicPartition, offset: int) -> None: ...

    def highwater(self, tp: TopicPartition) -> int:
        return len(self._records.get(tp, ()))

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[Record]]:
        return {tp: self._records[tp] for tp in self._assigned if tp in self._records}


async def test_interactions_and_the_catalog_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    topics = (INTERACTIONS.name, REWARDS.name, CATALOG_ITEMS.name)
    interactions, _, catalog = partitions = [TopicPartition(topic, 0) for topic in topics]
    entry = event_record(CatalogItem(ts=1_700_000_000_000, item_id="pan", brand="Acme"))
    viewed = Interaction(Source.CLICK, 0, 0, 1.7e9, "ann", Kind.VIEW, (Line("pot"),))

    async def all_partitions(_: str) -> list[TopicPartition]:
        return partitions

    monkeypatch.setattr(active_trainer, "model_partitions", all_partitions)
    metrics = TrainerMetrics()
    learner = Learner(TwoTowerTraining(SHAPE, CONFIG, content=ItemContent()), metrics)
    unused: Any = None
    trainer = ActiveTrainer(lambda: learner, Ports("", unused, unused, unused, metrics), Pace(1e9, 1e9))
    trainer._consumer = Consumer(
        {interactions: [Record(msgspec.msgpack.encode(viewed))], catalog: [Record(entry.value, entry.key)]}
    )
    trainer._checkpoint_due = trainer._snapshot_due = float("inf")
    await trainer._seek()
    await trainer._turn()
    assert sorted(learner.training.items.ids_of([0, 1])) == ["pan", "pot"]
    assert metrics.registry.get_sample_value("headrace_trainer_lag_records") == 0
