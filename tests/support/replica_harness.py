"""A replica on a log in memory, with a consumer over lists instead of Kafka."""

import asyncio
import json
from collections.abc import Callable, Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka.structs import TopicPartition

from state.snapshots.store import folder_store
from stream_app.metrics import Metrics
from stream_app.models.model_set import ModelSet
from stream_app.worker import replica as replica_module
from stream_app.worker.model_loading import load_models
from stream_app.worker.replica import Replica
from topics.catalog import CATALOG_ITEMS, INTERACTIONS, REWARDS
from topics.codec import Limits
from topics.records import Interaction, Kind, Line, Reward, RewardKind, Source

PARTITIONS = [
    TopicPartition(INTERACTIONS.name, 0),
    TopicPartition(INTERACTIONS.name, 1),
    TopicPartition(CATALOG_ITEMS.name, 0),
    TopicPartition(REWARDS.name, 0),
    TopicPartition(REWARDS.name, 1),
]
FIRST_INTERACTIONS, SECOND_INTERACTIONS, CATALOG, FIRST_REWARDS, SECOND_REWARDS = PARTITIONS


class FakeBrokerLog:
    """The records on the broker; `changed` is set when a record is added."""

    def __init__(self) -> None:
        self.records: dict[TopicPartition, list[Any]] = {tp: [] for tp in PARTITIONS}
        self.beginnings = dict.fromkeys(PARTITIONS, 0)
        self.changed = asyncio.Event()
        self.failure: Exception | None = None

    def add(self, tp: TopicPartition, value: bytes | None, key: bytes | None = None) -> int:
        offset = self.beginnings[tp] + len(self.records[tp])
        timestamp = 1_700_000_000_000 + offset
        self.records[tp].append(
            SimpleNamespace(
                topic=tp.topic,
                offset=offset,
                partition=tp.partition,
                key=key,
                value=value,
                timestamp=timestamp,
            )
        )
        self.changed.set()
        return offset

    def control_record(self, tp: TopicPartition) -> None:
        """Add the end of a transaction, which has an offset and is invisible."""
        self.records[tp].append(None)
        self.changed.set()

    def interaction(self, tp: TopicPartition, offset: int, item: str, *segments: str) -> Interaction:
        """Add a click with offset `offset` in its source partition."""
        click = make_click(tp.partition, offset, item, *segments)
        self.add(tp, msgspec.msgpack.encode(click))
        return click

    def reward(self, tp: TopicPartition, offset: int, line: int = 0, **fields: Any) -> Reward:
        """Add a reward of a click with offset `offset` in its source partition."""
        reward = Reward(
            source=Source.CLICK,
            partition=tp.partition,
            offset=offset,
            line=line,
            ts=1000.0 + offset,
            user_id="ann",
            list_id="l",
            policy="thompson",
            kind=RewardKind.CLICK,
            **{"item_id": "shoe", **fields},
        )
        self.add(tp, msgspec.msgpack.encode(reward))
        return reward

    def item(self, item_id: str, **fields: Any) -> None:
        body = {"item_id": item_id, "ts": 1_700_000_000_000, **fields}
        self.add(CATALOG, json.dumps(body).encode(), item_id.encode())


def make_click(partition: int, offset: int, item: str, *segments: str) -> Interaction:
    ts = 1000.0 + offset
    return Interaction(Source.CLICK, partition, offset, ts, "ann", Kind.VIEW, (Line(item),), segments)


def listed(array: Any) -> Any:
    """An array as plain data for msgpack."""
    return array.tolist()


class FakeLogConsumer:
    """The methods of aiokafka's consumer that the replica uses."""

    def __init__(self, log: FakeBrokerLog) -> None:
        self.log = log
        self.offsets: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.read: list[tuple[TopicPartition, int]] = []
        self.stopped = False
        self.on_removed: Callable[[TopicPartition, int, int], None] = lambda *_: None

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    def assign(self, partitions: Collection[TopicPartition]) -> None:
        self.offsets = dict.fromkeys(partitions, 0)

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self.offsets)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.offsets[tp] = offset
        self.log.changed.set()

    def pause(self, *partitions: TopicPartition) -> None:
        self.paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.paused -= set(partitions)
        self.log.changed.set()

    async def beginning_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self.log.beginnings[tp] for tp in partitions}

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self.log.beginnings[tp] + len(self.log.records[tp]) for tp in partitions}

    async def first_offset(self, tp: TopicPartition, start: int, end: int) -> int | None:
        """The offset of the first record of a range."""
        offsets = (record.offset for record in self.log.records[tp] if record is not None)
        return min((each for each in offsets if start <= each < end), default=end)

    async def position(self, tp: TopicPartition) -> int:
        return self.offsets[tp]

    def highwater(self, tp: TopicPartition) -> int:
        return self.log.beginnings[tp] + len(self.log.records[tp])

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int, max_records: int) -> dict[Any, Any]:
        del partitions, timeout_ms
        while True:
            self.log.changed.clear()
            if self.log.failure is not None:
                raise self.log.failure
            for tp, fetched in list(self.offsets.items()):
                position = max(fetched, self.log.beginnings[tp])
                if tp not in self.paused and position > fetched:
                    self.offsets[tp] = position
                    self.on_removed(tp, fetched, position)
                records, start = self.log.records[tp], position - self.log.beginnings[tp]
                batch = records[start : start + max_records]
                if tp not in self.paused and batch:
                    self.offsets[tp] += len(batch)
                    visible = [record for record in batch if record is not None]
                    self.read += [(tp, record.offset) for record in visible]
                    return {tp: visible} if visible else {}
            await self.log.changed.wait()


class ReplicaHarness:
    """Starts replicas on one log, one after the other."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log = FakeBrokerLog()
        self.store = folder_store(folder)
        self.metrics = Metrics()
        self.running: list[Replica] = []
        self.consumer = FakeLogConsumer(self.log)
        self.stale: list[tuple[set[str], set[str]]] = []

        async def partitions(*_: Any) -> list[TopicPartition]:
            return list(PARTITIONS)

        def consumer(_broker: str) -> FakeLogConsumer:
            self.consumer = FakeLogConsumer(self.log)
            return self.consumer

        monkeypatch.setattr(replica_module, "log_consumer", consumer)
        monkeypatch.setattr(replica_module, "model_partitions", partitions)

    def models(self, **parameters: Any) -> ModelSet:
        return ModelSet(["popularity", "item_to_item"], max_items=100, max_users=100, **parameters)

    def make(self, make: Callable[[], ModelSet] | None = None) -> Replica:
        loaded = load_models(make or self.models, self.store)
        replica = Replica(
            loaded.models,
            loaded.positions,
            self.store,
            self.metrics,
            broker="unused",
            limits=Limits(max_future=300.0, max_age=60.0),
            on_stale=lambda items, segments: self.stale.append((set(items), set(segments))),
            clock=lambda: 1_700_000_060.0,
            relearning=loaded.relearning,
        )
        replica.fingerprint = loaded.fingerprint
        return replica

    async def start(self, make: Callable[[], ModelSet] | None = None) -> Replica:
        replica = self.make(make)
        await replica.start()
        self.running.append(replica)
        return replica

    def count(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(f"headrace_{name}") or 0.0

    def digest_of_the_log(self) -> str:
        """The digest of models that learned all interactions of the log from its start."""
        models = self.models()
        for tp in (FIRST_INTERACTIONS, SECOND_INTERACTIONS):
            for record in self.log.records[tp]:
                models.learn(msgspec.msgpack.decode(record.value, type=Interaction))
        return models.digest()


async def caught_up(replica: Replica) -> None:
    """Catch up within a short deadline."""
    await asyncio.wait_for(replica.catch_up(), 5.0)
