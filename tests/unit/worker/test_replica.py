"""The replica follows the log; a consumer over lists stands where Kafka would be."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from aiokafka.structs import TopicPartition

from state.model_store import DirectoryModelStore
from stream_app.experiment.assignment import Shares
from stream_app.experiment.feature_rows import pack_rows
from stream_app.experiment.live_policies import LivePolicies
from stream_app.experiment.policy_features import FEATURES, STAMP
from stream_app.metrics import Metrics
from stream_app.models.model_set import ModelSet
from stream_app.worker import replica as replica_module
from stream_app.worker.replica import Replica, load_models
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
FIRST, SECOND, CATALOG, REWARDED, REWARDED_SECOND = PARTITIONS


class Log:
    """What is on the broker; `changed` is set when something was added."""

    def __init__(self) -> None:
        self.records: dict[TopicPartition, list[Any]] = {tp: [] for tp in PARTITIONS}
        self.beginnings = dict.fromkeys(PARTITIONS, 0)
        self.changed = asyncio.Event()
        self.failure: Exception | None = None

    def add(self, tp: TopicPartition, value: bytes | None, key: bytes | None = None) -> int:
        offset = self.beginnings[tp] + len(self.records[tp])
        timestamp = 1_700_000_000_000 + offset
        self.records[tp].append(
            SimpleNamespace(offset=offset, partition=tp.partition, key=key, value=value, timestamp=timestamp)
        )
        self.changed.set()
        return offset

    def interaction(self, tp: TopicPartition, offset: int, item: str, *segments: str) -> Interaction:
        """Add a click that stood at `offset` of its source partition."""
        click = made(tp.partition, offset, item, *segments)
        self.add(tp, msgspec.msgpack.encode(click))
        return click

    def reward(self, tp: TopicPartition, offset: int, line: int = 0, **fields: Any) -> Reward:
        """Add a reward of a click that stood at `offset` of its source partition."""
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


def made(partition: int, offset: int, item: str, *segments: str) -> Interaction:
    ts = 1000.0 + offset
    return Interaction(Source.CLICK, partition, offset, ts, "ann", Kind.VIEW, (Line(item),), segments)


def listed(array: Any) -> Any:
    """An array as msgpack can have it."""
    return array.tolist()


class Consumer:
    """The part of aiokafka's consumer that the replica uses."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.places: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.read: list[tuple[TopicPartition, int]] = []
        self.stopped = False

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    def assign(self, partitions: Collection[TopicPartition]) -> None:
        self.places = dict.fromkeys(partitions, 0)

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self.places)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.places[tp] = offset
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

    def highwater(self, tp: TopicPartition) -> int:
        return self.log.beginnings[tp] + len(self.log.records[tp])

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int, max_records: int) -> dict[Any, Any]:
        del partitions, timeout_ms
        while True:
            self.log.changed.clear()
            if self.log.failure is not None:
                raise self.log.failure
            for tp, records in self.log.records.items():
                start = self.places[tp] - self.log.beginnings[tp]
                batch = records[start : start + max_records]
                if tp not in self.paused and batch:
                    self.places[tp] += len(batch)
                    self.read += [(tp, record.offset) for record in batch]
                    return {tp: batch}
            await self.log.changed.wait()


class Follower:
    """Starts replicas on one log, one after the other."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log = Log()
        self.store = DirectoryModelStore(folder)
        self.metrics = Metrics()
        self.running: list[Replica] = []
        self.consumer = Consumer(self.log)
        self.news: list[tuple[set[str], set[str]]] = []

        async def partitions(*_: Any) -> list[TopicPartition]:
            return list(PARTITIONS)

        def consumer(_broker: str) -> Consumer:
            self.consumer = Consumer(self.log)
            return self.consumer

        monkeypatch.setattr(replica_module, "log_consumer", consumer)
        monkeypatch.setattr(replica_module, "_partitions", partitions)

    def models(self, **parameters: Any) -> ModelSet:
        return ModelSet(["popularity", "item_to_item"], max_items=100, max_users=100, **parameters)

    def make(self, make: Callable[[], ModelSet] | None = None) -> Replica:
        models, positions = load_models(make or self.models, self.store)
        return Replica(
            models,
            positions,
            self.store,
            self.metrics,
            broker="unused",
            limits=Limits(max_future=300.0, max_age=60.0),
            on_news=lambda items, segments: self.news.append((set(items), set(segments))),
            clock=lambda: 1_700_000_060.0,
        )

    async def start(self) -> Replica:
        made = self.make()
        await made.start()
        self.running.append(made)
        return made

    def count(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(f"headrace_{name}") or 0.0

    def digest_of_the_log(self) -> str:
        """The digest of models that learned every interaction of the log from its start."""
        models = self.models()
        for tp in (FIRST, SECOND):
            for record in self.log.records[tp]:
                models.learn(msgspec.msgpack.decode(record.value, type=Interaction))
        return models.digest()


@pytest.fixture
async def follower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Follower]:
    made = Follower(tmp_path / "models", monkeypatch)
    yield made
    for replica in made.running:
        await replica.stop()


async def caught_up(replica: Replica) -> None:
    """Catch up, or fail: nothing here takes long."""
    await asyncio.wait_for(replica.catch_up(), 5.0)


async def test_a_replica_learns_all_partitions_from_the_start(follower: Follower) -> None:
    for offset in range(250):
        follower.log.interaction(FIRST, offset, f"i{offset % 7}")
        follower.log.interaction(SECOND, offset, f"i{offset % 5}")
    follower.log.item("i1", available=False)
    replica = await follower.start()
    await caught_up(replica)
    assert replica.models.version == 500
    assert replica.models.digest() == follower.digest_of_the_log()
    assert not replica.models.index.available[replica.models.index.find("i1")]
    assert follower.count("interactions_folded_total") == 500
    assert follower.count("replica_lag_messages") == 0


async def test_what_stands_at_or_below_the_watermark_is_dropped(follower: Follower) -> None:
    follower.log.interaction(FIRST, 0, "shoe")
    follower.log.interaction(FIRST, 1, "sock")
    follower.log.interaction(FIRST, 0, "shoe")
    follower.log.interaction(FIRST, 1, "sock")
    # the same offset of another partition is another event
    follower.log.interaction(SECOND, 1, "hat")
    replica = await follower.start()
    await caught_up(replica)
    assert replica.models.version == 3
    assert follower.count("interactions_folded_total") == 3
    assert follower.count("interactions_dropped_total") == 2


async def test_own_interactions_are_learned_at_once_and_dropped_when_they_come_round(
    follower: Follower,
) -> None:
    replica = await follower.start()
    replica.fold_own(made(0, 0, "shoe"))
    assert replica.models.version == 1
    follower.log.interaction(FIRST, 0, "shoe")
    await caught_up(replica)
    assert replica.models.version == 1
    assert follower.count("interactions_dropped_total") == 1


async def test_owned_partitions_are_not_read_and_their_position_follows_what_was_delivered(
    follower: Follower,
) -> None:
    replica = await follower.start()
    replica.own({0})
    for offset in range(3):
        follower.log.interaction(FIRST, offset, "shoe")
    follower.log.interaction(SECOND, 0, "sock")
    replica.delivered(0, 2)
    await caught_up(replica)
    assert {tp for tp, _ in follower.consumer.read} == {SECOND}
    # batches are acknowledged in order, but a late word of an older one must not move it back
    replica.delivered(0, 1)
    positions = {(topic, at): offset for topic, at, offset in replica.snapshot_state()["positions"]}
    assert positions == {
        (FIRST.topic, 0): 3,
        (SECOND.topic, 1): 1,
        (CATALOG.topic, 0): 0,
        (REWARDED.topic, 0): 0,
        (REWARDED_SECOND.topic, 1): 0,
    }


async def test_a_partition_given_up_is_read_on_from_where_its_deliveries_stopped(follower: Follower) -> None:
    replica = await follower.start()
    replica.own({0, 1})
    for offset in range(2):
        replica.fold_own(follower.log.interaction(FIRST, offset, "shoe"))
    replica.delivered(0, 1)
    replica.own({1})
    # the new owner goes on
    follower.log.interaction(FIRST, 2, "hat")
    await caught_up(replica)
    assert follower.consumer.read == [(FIRST, 2)]
    assert replica.models.version == 3


async def test_rewards_are_read_beside_the_interactions_and_learned_once(follower: Follower) -> None:
    for tp in (REWARDED, REWARDED_SECOND):
        for offset, line in ((0, 0), (0, 1), (3, 0), (0, 1), (3, 0), (4, 0)):
            follower.log.reward(tp, offset, line)
    follower.log.add(REWARDED, b"no reward")
    follower.log.add(REWARDED, None)
    replica = await follower.start()
    await caught_up(replica)
    assert replica.models.reward_watermarks == {(Source.CLICK, 0): (4, 0), (Source.CLICK, 1): (4, 0)}
    assert follower.count("rewards_folded_total") == 8
    assert follower.count("rewards_dropped_total") == 6
    assert follower.count("replica_lag_messages") == 0


async def test_what_is_learned_anew_from_the_log_is_what_was_learned_as_it_came(follower: Follower) -> None:
    def made_with_policies() -> ModelSet:
        models = follower.models()
        models.listeners.append(LivePolicies(models, Shares({"thompson": 1.0, "item_thompson": 0.0})))
        return models

    log, models = follower.log, made_with_policies()
    row = pack_rows(np.eye(1, len(FEATURES), dtype=np.float32), STAMP)
    for offset in range(60):
        # each is new when it is viewed, and chosen from a list right after that
        item = f"item {offset}"
        assert models.learn(log.interaction(FIRST, offset, item))
        told = log.reward(
            REWARDED, offset, item_id=item, position=0, value=1.0, features=row,
            seen=(item,), seen_positions=(0,), seen_features=row,
        )  # fmt: skip
        assert models.learn_reward(told)
    # the broker hands out the rewards before anything else
    log.records = {tp: log.records[tp] for tp in (REWARDED, REWARDED_SECOND, FIRST, SECOND, CATALOG)}
    replica = follower.make(made_with_policies)
    await replica.start()
    follower.running.append(replica)
    await caught_up(replica)
    assert replica.models.digest() == models.digest()
    learned, again = (each.state()["listeners"]["policies"] for each in (models, replica.models))
    assert again["policies"].keys() == {"thompson", "item_thompson"}
    assert msgspec.msgpack.encode(again, enc_hook=listed) == msgspec.msgpack.encode(learned, enc_hook=listed)
    assert learned["rates"]["chosen"][:60].min() > 0
    assert learned["policies"]["thompson"]["posterior"]["folded"] == 120


async def test_rewards_are_read_on_beside_the_interactions_that_come_later(follower: Follower) -> None:
    follower.log.records = dict(reversed(follower.log.records.items()))
    follower.log.interaction(FIRST, 0, "shoe")
    follower.log.reward(REWARDED, 0)
    replica = await follower.start()
    await caught_up(replica)
    assert follower.consumer.read == [(FIRST, 0), (REWARDED, 0)]
    follower.consumer.pause(FIRST)
    follower.log.interaction(FIRST, 1, "sock")
    follower.log.reward(REWARDED, 1)
    while len(follower.consumer.read) < 3:  # noqa: ASYNC110  # what is read has no event
        await asyncio.sleep(0)
    assert follower.consumer.read[-1] == (REWARDED, 1)
    follower.consumer.resume(FIRST)
    await caught_up(replica)
    assert follower.consumer.read[-1] == (FIRST, 1)


async def test_own_rewards_are_learned_at_once_and_their_partitions_are_not_read(follower: Follower) -> None:
    replica = await follower.start()
    replica.own({0})
    replica.fold_own_reward(follower.log.reward(REWARDED, 0))
    replica.delivered(0, 0, REWARDS.name)
    follower.log.reward(REWARDED_SECOND, 0)
    await caught_up(replica)
    assert {tp for tp, _ in follower.consumer.read} == {REWARDED_SECOND}
    assert follower.count("rewards_folded_total") == 2
    # the partition goes to another worker, which goes on
    replica.own(())
    follower.log.reward(REWARDED, 1)
    await caught_up(replica)
    assert follower.consumer.read[-1] == (REWARDED, 1)
    assert replica.models.reward_watermarks == {(Source.CLICK, 0): (1, 0), (Source.CLICK, 1): (0, 0)}


async def test_a_snapshot_knows_which_rewards_it_holds(follower: Follower) -> None:
    follower.log.reward(REWARDED, 0)
    first = await follower.start()
    await caught_up(first)
    # folded and not known to be delivered when the snapshot is taken
    first.own({0})
    first.fold_own_reward(follower.log.reward(REWARDED, 1))
    await first.snapshot()
    await first.stop()
    follower.log.reward(REWARDED, 2)
    second = await follower.start()
    await caught_up(second)
    assert [place for place in follower.consumer.read if place[0] == REWARDED] == [
        (REWARDED, 1),
        (REWARDED, 2),
    ]
    assert second.models.reward_watermarks == {(Source.CLICK, 0): (2, 0)}
    assert follower.count("rewards_dropped_total") == 1


async def test_catching_up_waits_for_all_that_was_there_when_it_began(follower: Follower) -> None:
    for offset in range(5):
        follower.log.interaction(FIRST, offset, "shoe")
    replica = follower.make()
    told: list[tuple[int, int]] = []
    await replica.start()
    follower.running.append(replica)
    follower.consumer.pause(FIRST)
    waiting = asyncio.create_task(replica.catch_up(lambda done, total: told.append((done, total))))
    while not told:  # noqa: ASYNC110  # the progress is told by a call
        await asyncio.sleep(0)
    assert told == [(0, 5)]
    assert not waiting.done()
    follower.consumer.resume(FIRST)
    await asyncio.wait_for(waiting, 5.0)
    assert replica.models.version == 5


async def test_catching_up_with_an_empty_log_returns_at_once(follower: Follower) -> None:
    replica = await follower.start()
    await caught_up(replica)
    assert replica.models.version == 0


async def test_catching_up_says_when_following_has_failed(follower: Follower) -> None:
    follower.log.interaction(FIRST, 0, "shoe")
    replica = follower.make()
    await replica.start()
    follower.running.append(replica)
    follower.consumer.pause(FIRST)
    waiting = asyncio.create_task(replica.catch_up())
    await asyncio.sleep(0)
    follower.log.failure = ConnectionError("not allowed to read any more")
    follower.log.changed.set()
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(waiting, 0.5)


async def test_a_log_whose_beginning_has_expired_is_read_from_what_is_left(follower: Follower) -> None:
    follower.log.beginnings[FIRST] = 100
    follower.log.interaction(FIRST, 300, "shoe")
    replica = await follower.start()
    await caught_up(replica)
    assert follower.consumer.read == [(FIRST, 100)]


NO_INTERACTIONS = [
    b"",
    b"\xc1 no msgpack",
    b"\x90",
    msgspec.msgpack.encode([0, 0, 0, 1.0, "ann", 99]),
    None,
    pytest.param(
        b"\x96\x00\x00\x00\xcb\x00\x00\x00\x00\x00\x00\x00\x00\xa1\xff\x00",
    ),
]


@pytest.mark.parametrize("value", NO_INTERACTIONS)
async def test_a_record_that_is_no_interaction_is_passed_over(
    follower: Follower, value: bytes | None
) -> None:
    follower.log.add(FIRST, value)
    follower.log.interaction(FIRST, 0, "shoe")
    replica = await follower.start()
    await caught_up(replica)
    assert replica.models.version == 1


async def test_an_interaction_that_a_model_cannot_take_does_not_stop_the_others(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = follower.make()
    model = replica.models.models[0]
    learn = model.learn_one

    def picky(observation: Any) -> None:
        if replica.models.index.id_of(observation.item) == "cursed":
            raise ValueError("no such thing")
        learn(observation)

    monkeypatch.setattr(model, "learn_one", picky)
    for offset, item in enumerate(("cursed", "shoe")):
        follower.log.interaction(FIRST, offset, item)
    await replica.start()
    follower.running.append(replica)
    await caught_up(replica)
    replica.fold_own(made(1, 0, "cursed"))
    assert follower.count("interactions_folded_total") == 1
    assert follower.count("interactions_dropped_total") == 2


async def test_the_catalogue_is_followed_and_what_cannot_be_read_is_passed_over(follower: Follower) -> None:
    follower.log.item("shoe", price=10.0, categories=["footwear"])
    follower.log.add(CATALOG, b"not json", b"shoe")
    follower.log.item("sock", price=-1.0)
    follower.log.item("hat", price=5.0)
    follower.log.add(CATALOG, None, b"hat")
    follower.log.add(CATALOG, None, None)
    replica = await follower.start()
    await caught_up(replica)
    index = replica.models.index
    assert index.categories(index.find("shoe")) == ("footwear",)
    assert index.find("sock") == -1
    # a removed item is on no list
    assert not index.available[index.find("hat")]
    assert index.available[index.find("shoe")]


async def test_an_item_from_the_future_is_passed_over_as_the_agent_does_and_hides_no_later_word(
    follower: Follower,
) -> None:
    hour = 3_600_000
    follower.log.item("shoe", price=1.0, ts=1_700_000_000_000 - 1000 * hour)  # of any age
    follower.log.item("shoe", price=2.0, ts=1_700_000_000_000 + hour, available=False)
    replica = await follower.start()
    await caught_up(replica)
    index = replica.models.index
    shoe = index.find("shoe")
    assert (index.prices[shoe], index.available[shoe]) == (1.0, True)
    follower.log.item("shoe", price=3.0)
    await caught_up(replica)
    assert (index.prices[shoe], index.available[shoe]) == (3.0, True)


@pytest.mark.parametrize("tombstone", [False, True])
async def test_news_of_an_item_that_can_be_bought_no_more_goes_to_every_list_that_may_hold_it(
    follower: Follower, *, tombstone: bool
) -> None:
    follower.log.item("shoe", categories=["footwear"])
    follower.log.item("hat", categories=["head"])
    replica = await follower.start()
    await caught_up(replica)
    for offset, item in enumerate(("shoe", "sock", "shoe", "sock")):
        follower.log.interaction(FIRST, offset, item, "country:FR")
    replica.fold_own(
        Interaction(Source.CLICK, 5, 0, 9000.0, "bob", Kind.VIEW, (Line("hat"),), ("country:DE",))
    )
    await caught_up(replica)
    follower.news.clear()
    if tombstone:
        follower.log.add(CATALOG, None, b"shoe")
    else:
        follower.log.item("shoe", categories=["footwear"], available=False)
    await caught_up(replica)
    gone = [({"shoe", "sock"}, {"country:FR", "category:footwear"})]
    assert follower.news == gone
    # the same again is no news; that it is back is
    follower.log.item("shoe", available=False, ts=1_700_000_000_100)
    await caught_up(replica)
    assert follower.news == gone
    follower.log.item("shoe", ts=1_700_000_000_200)
    await caught_up(replica)
    assert follower.news == gone * 2


async def test_an_item_that_was_never_on_a_list_is_no_news(follower: Follower) -> None:
    follower.log.item("shoe", available=False)
    replica = await follower.start()
    await caught_up(replica)
    assert follower.news == []


async def test_news_of_other_workers_interactions_are_of_the_items_categories_too(follower: Follower) -> None:
    follower.log.item("shoe", categories=["footwear", "women"])
    replica = await follower.start()
    await caught_up(replica)
    follower.log.interaction(FIRST, 0, "shoe", "country:FR")
    await caught_up(replica)
    assert follower.news == [(set(), {"country:FR", "category:footwear", "category:women"})]


async def test_the_lag_is_what_is_waiting_and_the_age_of_the_newest_that_was_read(follower: Follower) -> None:
    replica = await follower.start()
    follower.consumer.pause(SECOND)
    for offset in range(3):
        follower.log.interaction(SECOND, offset, "sock")
    follower.log.interaction(FIRST, 0, "shoe")
    while replica.models.version < 1:  # noqa: ASYNC110  # what is read has no event
        await asyncio.sleep(0)
    # the clock is 60 s ahead of the log
    assert (follower.count("replica_lag_messages"), follower.count("replica_lag_seconds")) == (3, 60)
    follower.consumer.resume(SECOND)
    await caught_up(replica)
    assert (follower.count("replica_lag_messages"), follower.count("replica_lag_seconds")) == (0, 0)


async def test_a_snapshot_and_the_rest_of_the_log_make_the_same_models(follower: Follower) -> None:
    for offset in range(40):
        follower.log.interaction(FIRST, offset, f"i{offset % 7}")
        follower.log.interaction(SECOND, offset, f"i{offset % 5}")
    first = await follower.start()
    await caught_up(first)
    assert (await first.snapshot()).startswith("models-")
    for offset in range(40, 60):
        follower.log.interaction(FIRST, offset, f"i{offset % 3}")
    await caught_up(first)
    await first.stop()

    second = await follower.start()
    await caught_up(second)
    assert follower.consumer.read == [(FIRST, offset) for offset in range(40, 60)]
    assert second.models.version == first.models.version == 100
    assert second.models.digest() == first.models.digest() == follower.digest_of_the_log()
    assert follower.count("snapshot_seconds_count") == 1


async def test_a_snapshot_shares_nothing_with_what_is_learned_after(follower: Follower) -> None:
    replica = await follower.start()
    replica.fold_own(made(0, 0, "shoe"))
    state = replica.snapshot_state()
    for offset in range(1, 50):
        replica.fold_own(made(0, offset, f"i{offset}"))
    restored = follower.models()
    restored.restore(state["models"])
    assert restored.version == 1
    once = follower.models()
    once.learn(made(0, 0, "shoe"))
    assert restored.digest() == once.digest()


def test_without_a_snapshot_all_is_learned_anew(follower: Follower) -> None:
    models, positions = load_models(follower.models, follower.store)
    assert models.version == 0
    assert positions == {}


async def test_a_snapshot_of_other_models_is_passed_over(
    follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    replica = await follower.start()
    replica.fold_own(made(0, 0, "shoe"))
    await replica.snapshot()
    models, positions = load_models(lambda: follower.models(half_life=1.0), follower.store)
    assert (models.version, positions) == (0, {})
    assert "half_life" in caplog.text
    assert "learning the log from its start" in caplog.text


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"positions": []},
        {"positions": 7, "models": {}},
        {"positions": [["interactions", 0]], "models": {}},
        {"positions": [["interactions", "x", 0]], "models": {}},
        {"positions": [], "models": {}},
        {"positions": [], "models": {"format": 99}},
    ],
)
def test_a_snapshot_that_does_not_fit_is_passed_over(follower: Follower, state: dict[str, Any]) -> None:
    follower.store.save(state)
    models, positions = load_models(follower.models, follower.store)
    assert (models.version, positions) == (0, {})
    # and the models can be used
    assert models.learn(made(0, 0, "shoe"))


def test_a_torn_snapshot_gives_way_to_the_one_before(follower: Follower, tmp_path: Path) -> None:
    models = follower.models()
    models.learn(made(0, 0, "shoe"))
    state = {"models": models.state(), "positions": [[INTERACTIONS.name, 0, 1]]}
    follower.store.save(state)
    torn = tmp_path / "models" / follower.store.save(state)
    torn.write_bytes(torn.read_bytes()[:-10])
    restored, positions = load_models(follower.models, follower.store)
    assert restored.version == 1
    assert positions == {(INTERACTIONS.name, 0): 1}


async def test_stopping_lets_go_of_the_consumer_and_can_be_done_twice(follower: Follower) -> None:
    replica = await follower.start()
    await replica.stop()
    assert follower.consumer.stopped
    await replica.stop()
