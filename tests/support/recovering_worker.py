"""A list recovery over topics in memory: the log, a consumer of it, and the worker's stores."""

from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka.structs import TopicPartition

from state.list_store import PublishedListStore
from state.log_progress import LogProgress
from stream_app.client.redis_contract import encode_list, search_key, user_key
from stream_app.worker import list_recovery as list_recovery_module
from stream_app.worker.list_recovery import ListRecovery
from topics.catalog import LISTS, REWARDS
from topics.events import rfc3339
from topics.records import ListedItem, Reason, RecommendationList, Reward, RewardKind, Source

NOW = 1_700_000_000.0
DAY = 86_400.0


class FakeListLog:
    """The topics of lists and rewards; a record of age `age`, in seconds, is appended."""

    def __init__(self) -> None:
        self.records: dict[TopicPartition, list[Any]] = {}
        self.beginnings: dict[TopicPartition, int] = {}
        self.hidden = 0
        """Records that a new leader does not report yet."""

    def add(self, topic: str, partition: int, key: bytes | None, value: bytes | None, age: float) -> None:
        records = self.records.setdefault(TopicPartition(topic, partition), [])
        records.append(
            SimpleNamespace(
                offset=len(records),
                partition=partition,
                key=key,
                value=value,
                timestamp=int((NOW - age) * 1000),
            )
        )

    def list(
        self,
        user: str,
        list_id: str,
        *items: str,
        age: float = 60.0,
        partition: int = 0,
        propensity: float = 1.0,
        features: bytes = b"",
        search: bool = False,
    ) -> None:
        listed = RecommendationList(
            list_id=list_id,
            key=search_key(user) if search else user_key(user),
            generated_at=rfc3339(NOW - age),
            policy="thompson",
            model_version=1,
            items=tuple(ListedItem(item, 0.5, propensity, Reason("popular")) for item in items),
        )
        self.add(
            LISTS.name,
            partition,
            user.encode(),
            encode_list(msgspec.structs.replace(listed, features=features)),
            age,
        )

    def reward(
        self,
        user: str,
        list_id: str,
        offset: int,
        *seen: int,
        age: float = 30.0,
        line: int = 0,
        partition: int = 0,
        **fields: Any,
    ) -> None:
        reward = Reward(
            source=Source.CLICK,
            partition=partition,
            offset=offset,
            line=line,
            ts=NOW - age,
            user_id=user,
            list_id=list_id,
            policy="thompson",
            seen_positions=seen,
            **{"kind": RewardKind.CLICK, "position": max(seen), **fields},
        )
        self.add(REWARDS.name, partition, user.encode(), msgspec.msgpack.encode(reward), age)


class FakeListConsumer:
    """The methods of aiokafka's consumer that the recovery uses."""

    def __init__(self, log: FakeListLog) -> None:
        self.log = log
        self.offsets: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.read: list[tuple[str, int, int]] = []
        self.stopped = False

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    def assign(self, tps: Collection[TopicPartition]) -> None:
        self.offsets, self.paused = dict.fromkeys(tps, 0), set()

    async def end_offsets(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: len(self.log.records.get(tp, ())) - self.log.hidden for tp in tps}

    async def beginning_offsets(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self.log.beginnings.get(tp, 0) for tp in tps}

    async def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, Any]:
        found = {}
        for tp, at in times.items():
            offsets = [r.offset for r in self.log.records.get(tp, ()) if r.timestamp >= at]
            found[tp] = SimpleNamespace(offset=offsets[0]) if offsets else None
        return found

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.offsets[tp] = offset

    def pause(self, *tps: TopicPartition) -> None:
        self.paused |= set(tps)

    async def position(self, tp: TopicPartition) -> int:
        return self.offsets[tp]

    async def getmany(
        self, *tps: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[Any]]:
        del timeout_ms
        for tp in tps or tuple(self.offsets):
            start = self.offsets[tp]
            batch = self.log.records.get(tp, [])[start : start + min(3, max_records)]
            if tp not in self.paused and batch:
                self.offsets[tp] += len(batch)
                self.read += [(tp.topic, tp.partition, record.offset) for record in batch]
                return {tp: batch}
        raise AssertionError("nothing is left to read: this would wait for ever")


class RecoveringWorker:
    """The list store and log progress of a worker, and its recovery."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log = FakeListLog()
        self.list_store = PublishedListStore()
        self.log_progress = LogProgress()
        self.consumer = FakeListConsumer(self.log)

        def consumer(_broker: str) -> FakeListConsumer:
            self.consumer = FakeListConsumer(self.log)
            return self.consumer

        monkeypatch.setattr(list_recovery_module, "log_consumer", consumer)

    async def recover_lists(
        self,
        *partitions: int,
        limit: int = 1000,
        known_ends: Mapping[tuple[str, int], int] | None = None,
        without_rewards: Collection[int] = frozenset(),
    ) -> None:
        recovery = ListRecovery(
            self.list_store, self.log_progress, broker="", limit=limit, window=DAY, clock=lambda: NOW
        )
        await recovery.recover(set(partitions), known_ends or {}, without_rewards)

    def names(self, user: str) -> list[str]:
        return [each.list_id for each in self.list_store.lists_of(user)]
