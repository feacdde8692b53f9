"""What the elected trainer reads."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast

import msgspec
import pytest
from aiokafka.structs import TopicPartition

from state.checkpoint_store import CheckpointStore
from state.snapshots.files import FolderFiles
from stream_app.kafka.event_records import event_record
from stream_app.models.item_content import ItemContent
from stream_app.trainer import active_trainer
from stream_app.trainer.active_trainer import ActiveTrainer, Pace, Ports
from stream_app.trainer.learner import Learner, Trial
from stream_app.trainer.metrics import TrainerMetrics
from stream_app.training.two_tower_training import TwoTowerTraining
from tests.support.trained_shop import CONFIG, SHAPE
from tests.support.two_tower_builders import random_weights
from topics.catalog import CATALOG_ITEMS, INTERACTIONS, REWARDS
from topics.events import CatalogItem
from topics.records import Interaction, Kind, Line, ModelAnnouncement, Source

NOW: Final = 1_700_000_000.0
HOUR: Final = 3_600.0


class Record(NamedTuple):
    value: bytes | None
    key: bytes | None = b""
    topic: str = ""
    partition: int = 0
    offset: int = 0
    timestamp: int = 1_700_000_000_000


class Consumer:
    """A consumer with one fetch, of logs that have further records after it."""

    def __init__(self, records: dict[TopicPartition, list[Record]], n_further: int = 0) -> None:
        self._records = records
        self._n_further = n_further
        self._assigned: list[TopicPartition] = []

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._assigned = partitions

    def assignment(self) -> list[TopicPartition]:
        return self._assigned

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def seek(self, tp: TopicPartition, offset: int) -> None: ...

    def highwater(self, tp: TopicPartition) -> int:
        return len(self._records.get(tp, ())) + self._n_further * (tp in self._records)

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


class Announcer:
    """Keeps what is announced."""

    def __init__(self) -> None:
        self.version = 0
        self.announced: list[ModelAnnouncement] = []

    async def start(self) -> None: ...

    async def announce(self, announcement: ModelAnnouncement) -> None:
        self.announced.append(announcement)


class CountingLearner:
    """Takes a step for each batch of interactions; its weights are random."""

    def __init__(self) -> None:
        self.training = SimpleNamespace(n_steps=0)
        self.trial: Trial | None = None

    def fold_interactions(self, records: list[Record]) -> None:
        assert records
        self.training.n_steps += 1

    def begin_trial(self, offsets: dict[int, int]) -> None:
        self.trial = Trial(random_weights(["pan", "pot"]), offsets, (0, self.training.n_steps))

    def end_trial(self) -> Trial:
        assert self.trial is not None
        trial, self.trial = self.trial, None
        return trial

    def report(self) -> None: ...


@pytest.mark.parametrize(("n_further", "lag"), [(1_000, HOUR), (0, 0.0)])
async def test_an_announcement_states_how_far_the_trainer_is_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, n_further: int, lag: float
) -> None:
    partition = TopicPartition(INTERACTIONS.name, 0)

    async def all_partitions(_: str) -> list[TopicPartition]:
        return [partition]

    monkeypatch.setattr(active_trainer, "model_partitions", all_partitions)
    metrics, announcer, learner = TrainerMetrics(), Announcer(), CountingLearner()
    store, unused = CheckpointStore(FolderFiles(tmp_path)), cast("Any", None)
    ports = Ports("", store, unused, cast("Any", announcer), metrics, clock=lambda: NOW)
    trainer = ActiveTrainer(lambda: cast("Any", learner), ports, Pace(0.0, 1e9))
    trainer._snapshot_due = float("inf")
    records = [Record(b"", offset=at, timestamp=int((NOW - HOUR) * 1000)) for at in range(5)]
    trainer._consumer = Consumer({partition: records}, n_further)
    await trainer._seek()
    await trainer._publish_when_due()
    assert learner.trial is None, "weights without a step say nothing"
    await trainer._turn()
    await trainer._publish_when_due()
    assert trainer._publication is not None
    await trainer._publication
    [announcement] = announcer.announced
    assert announcement.created_at == NOW
    assert announcement.lag_seconds == pytest.approx(lag)
    assert announcement.offsets == (5,)
    assert metrics.registry.get_sample_value("headrace_trainer_lag_seconds") == pytest.approx(lag)
    assert metrics.registry.get_sample_value("headrace_trainer_lag_records") == n_further


async def test_versions_go_on_from_the_store_where_the_announcements_are_lost(tmp_path: Path) -> None:
    store, announcer = CheckpointStore(FolderFiles(tmp_path)), Announcer()
    for version in (97, 98, 99):
        store.write(version, b"weights", created_at=0.0)
    trial = Trial(random_weights(["pan", "pot"]), {}, (0, 1))
    ports = Ports("", store, cast("Any", None), cast("Any", announcer), TrainerMetrics(), clock=lambda: NOW)
    trainer = ActiveTrainer(lambda: cast("Any", CountingLearner()), ports, Pace(0.0, 1e9))
    await trainer._begin_announcing()
    await trainer._publish(trial)
    [announcement] = announcer.announced
    assert announcement.version == 100
    assert store.read(announcement), "the file was removed as one of the oldest"
