"""The replica follows the log, with a consumer over lists instead of Kafka."""

import asyncio
from collections.abc import Collection
from typing import Any

import msgspec
import numpy as np
import pytest
from aiokafka.structs import TopicPartition

from stream_app.experiment.assignment import Assignment
from stream_app.experiment.feature_rows import pack_rows
from stream_app.experiment.live_policies import LivePolicies
from stream_app.experiment.policy_features import FEATURES, FEATURES_VERSION
from stream_app.models.model_set import ModelSet
from stream_app.models.segments import NEW_USERS
from tests.support.replica_harness import (
    CATALOG,
    FIRST_INTERACTIONS,
    FIRST_REWARDS,
    SECOND_INTERACTIONS,
    SECOND_REWARDS,
    ReplicaHarness,
    caught_up,
    listed,
    make_click,
)
from topics.catalog import INTERACTIONS, REWARDS
from topics.records import Interaction, Kind, Line, Source


async def test_a_replica_learns_all_partitions_from_the_start(harness: ReplicaHarness) -> None:
    for offset in range(250):
        harness.log.interaction(FIRST_INTERACTIONS, offset, f"i{offset % 7}")
        harness.log.interaction(SECOND_INTERACTIONS, offset, f"i{offset % 5}")
    harness.log.item("i1", available=False)
    replica = await harness.start()
    await caught_up(replica)
    assert replica.models.version == 500
    assert replica.models.digest() == harness.digest_of_the_log()
    assert not replica.models.index.available[replica.models.index.find("i1")]
    assert harness.count("interactions_folded_total") == 500
    assert harness.count("replica_lag_messages") == 0


async def test_records_at_or_below_the_watermark_are_dropped(harness: ReplicaHarness) -> None:
    harness.log.interaction(FIRST_INTERACTIONS, 0, "shoe")
    harness.log.interaction(FIRST_INTERACTIONS, 1, "sock")
    harness.log.interaction(FIRST_INTERACTIONS, 0, "shoe")
    harness.log.interaction(FIRST_INTERACTIONS, 1, "sock")
    # The same offset in another partition is another event.
    harness.log.interaction(SECOND_INTERACTIONS, 1, "hat")
    replica = await harness.start()
    await caught_up(replica)
    assert replica.models.version == 3
    assert harness.count("interactions_folded_total") == 3
    assert harness.count("interactions_dropped_total") == 2


async def test_local_interactions_are_learned_immediately_and_dropped_when_consumed(
    harness: ReplicaHarness,
) -> None:
    replica = await harness.start()
    replica.fold_local(make_click(0, 0, "shoe"))
    assert replica.models.version == 1
    harness.log.interaction(FIRST_INTERACTIONS, 0, "shoe")
    await caught_up(replica)
    assert replica.models.version == 1
    assert harness.count("interactions_dropped_total") == 1


async def test_owned_partitions_are_not_read_and_their_position_follows_deliveries(
    harness: ReplicaHarness,
) -> None:
    replica = await harness.start()
    replica.set_owned_partitions({0})
    for offset in range(3):
        harness.log.interaction(FIRST_INTERACTIONS, offset, "shoe")
    harness.log.interaction(SECOND_INTERACTIONS, 0, "sock")
    replica.on_delivered(0, 2)
    await caught_up(replica)
    assert {tp for tp, _ in harness.consumer.read} == {SECOND_INTERACTIONS}
    # Batches are acknowledged in order, but a late acknowledgement must not move the position back.
    replica.on_delivered(0, 1)
    positions = {(topic, at): offset for topic, at, offset in replica.snapshot_state()["positions"]}
    assert positions == {
        (FIRST_INTERACTIONS.topic, 0): 3,
        (SECOND_INTERACTIONS.topic, 1): 1,
        (CATALOG.topic, 0): 0,
        (FIRST_REWARDS.topic, 0): 0,
        (SECOND_REWARDS.topic, 1): 0,
    }


async def test_a_revoked_partition_is_read_from_its_last_delivery(harness: ReplicaHarness) -> None:
    replica = await harness.start()
    replica.set_owned_partitions({0, 1})
    for offset in range(2):
        replica.fold_local(harness.log.interaction(FIRST_INTERACTIONS, offset, "shoe"))
    replica.on_delivered(0, 1)
    replica.set_owned_partitions({1})
    # The new owner continues.
    harness.log.interaction(FIRST_INTERACTIONS, 2, "hat")
    await caught_up(replica)
    assert harness.consumer.read == [(FIRST_INTERACTIONS, 2)]
    assert replica.models.version == 3


async def test_rewards_are_read_with_the_interactions_and_learned_once(harness: ReplicaHarness) -> None:
    for tp in (FIRST_REWARDS, SECOND_REWARDS):
        for offset, line in ((0, 0), (0, 1), (3, 0), (0, 1), (3, 0), (4, 0)):
            harness.log.reward(tp, offset, line)
    harness.log.add(FIRST_REWARDS, b"no reward")
    harness.log.add(FIRST_REWARDS, None)
    replica = await harness.start()
    await caught_up(replica)
    assert replica.models.reward_watermarks == {(Source.CLICK, 0): (4, 0), (Source.CLICK, 1): (4, 0)}
    assert harness.count("rewards_folded_total") == 8
    # A tombstone is no reward.
    assert harness.count("rewards_dropped_total") == 5
    assert harness.count("replica_lag_messages") == 0


async def test_rebuilding_from_the_log_gives_the_same_models(harness: ReplicaHarness) -> None:
    def made_with_policies() -> ModelSet:
        models = harness.models()
        models.learners.append(LivePolicies(models, Assignment({"thompson": 1.0, "item_thompson": 0.0})))
        return models

    log, models = harness.log, made_with_policies()
    row = pack_rows(np.eye(1, len(FEATURES), dtype=np.float32), FEATURES_VERSION)
    for offset in range(60):
        # Each item is new when it is viewed, and chosen from a list right after that.
        item = f"item {offset}"
        assert models.learn(log.interaction(FIRST_INTERACTIONS, offset, item))
        progress_calls = log.reward(
            FIRST_REWARDS, offset, item_id=item, position=0, value=1.0, features=row,
            seen=(item,), seen_positions=(0,), seen_features=row,
        )  # fmt: skip
        assert models.learn_reward(progress_calls)
    # The broker returns the rewards before other records.
    log.records = {
        tp: log.records[tp]
        for tp in (FIRST_REWARDS, SECOND_REWARDS, FIRST_INTERACTIONS, SECOND_INTERACTIONS, CATALOG)
    }
    replica = harness.make(made_with_policies)
    await replica.start()
    harness.running.append(replica)
    await caught_up(replica)
    assert replica.models.digest() == models.digest()
    learned, again = (each.state()["learners"]["policies"] for each in (models, replica.models))
    assert again["policies"].keys() == {"thompson", "item_thompson"}
    assert msgspec.msgpack.encode(again, enc_hook=listed) == msgspec.msgpack.encode(learned, enc_hook=listed)
    assert learned["rates"]["chosen"][:60].min() > 0
    assert learned["policies"]["thompson"]["posterior"]["n_updates"] == 120


async def test_rewards_are_read_alongside_later_interactions(harness: ReplicaHarness) -> None:
    harness.log.records = dict(reversed(harness.log.records.items()))
    harness.log.interaction(FIRST_INTERACTIONS, 0, "shoe")
    harness.log.reward(FIRST_REWARDS, 0)
    replica = await harness.start()
    await caught_up(replica)
    assert harness.consumer.read == [(FIRST_INTERACTIONS, 0), (FIRST_REWARDS, 0)]
    harness.consumer.pause(FIRST_INTERACTIONS)
    harness.log.interaction(FIRST_INTERACTIONS, 1, "sock")
    harness.log.reward(FIRST_REWARDS, 1)
    while len(harness.consumer.read) < 3:  # noqa: ASYNC110  # reading has no asyncio event
        await asyncio.sleep(0)
    assert harness.consumer.read[-1] == (FIRST_REWARDS, 1)
    harness.consumer.resume(FIRST_INTERACTIONS)
    await caught_up(replica)
    assert harness.consumer.read[-1] == (FIRST_INTERACTIONS, 1)


async def test_local_rewards_are_learned_immediately_and_their_partitions_are_not_read(
    harness: ReplicaHarness,
) -> None:
    replica = await harness.start()
    replica.set_owned_partitions({0})
    replica.fold_local_reward(harness.log.reward(FIRST_REWARDS, 0))
    replica.on_delivered(0, 0, REWARDS.name)
    harness.log.reward(SECOND_REWARDS, 0)
    await caught_up(replica)
    assert {tp for tp, _ in harness.consumer.read} == {SECOND_REWARDS}
    assert harness.count("rewards_folded_total") == 2
    # The partition moves to another worker, which continues.
    replica.set_owned_partitions(())
    harness.log.reward(FIRST_REWARDS, 1)
    await caught_up(replica)
    assert harness.consumer.read[-1] == (FIRST_REWARDS, 1)
    assert replica.models.reward_watermarks == {(Source.CLICK, 0): (1, 0), (Source.CLICK, 1): (0, 0)}


async def test_catching_up_waits_for_all_records_present_at_its_start(harness: ReplicaHarness) -> None:
    for offset in range(5):
        harness.log.interaction(FIRST_INTERACTIONS, offset, "shoe")
    replica = harness.make()
    progress_calls: list[tuple[int, int]] = []
    await replica.start()
    harness.running.append(replica)
    harness.consumer.pause(FIRST_INTERACTIONS)
    waiting = asyncio.create_task(replica.catch_up(lambda done, total: progress_calls.append((done, total))))
    while not progress_calls:  # noqa: ASYNC110  # progress is reported by a call
        await asyncio.sleep(0)
    assert progress_calls == [(0, 5)]
    assert not waiting.done()
    harness.consumer.resume(FIRST_INTERACTIONS)
    await asyncio.wait_for(waiting, 5.0)
    assert replica.models.version == 5


async def test_catching_up_waits_for_a_known_end_that_a_new_leader_does_not_report(
    harness: ReplicaHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await harness.start()

    async def no_ends(tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 0)

    monkeypatch.setattr(harness.consumer, "end_offsets", no_ends)
    known_end = {(FIRST_INTERACTIONS.topic, FIRST_INTERACTIONS.partition): 2}
    waiting = asyncio.create_task(replica.catch_up(known_ends=known_end))
    for offset in range(2):
        await asyncio.sleep(0)
        assert not waiting.done()
        harness.log.interaction(FIRST_INTERACTIONS, offset, "shoe")
    await asyncio.wait_for(waiting, 60.0)
    assert replica.models.version == 2


async def test_catching_up_with_an_empty_log_returns_at_once(harness: ReplicaHarness) -> None:
    replica = await harness.start()
    await caught_up(replica)
    assert replica.models.version == 0


async def test_catching_up_raises_when_following_has_failed(harness: ReplicaHarness) -> None:
    harness.log.interaction(FIRST_INTERACTIONS, 0, "shoe")
    replica = harness.make()
    await replica.start()
    harness.running.append(replica)
    harness.consumer.pause(FIRST_INTERACTIONS)
    waiting = asyncio.create_task(replica.catch_up())
    await asyncio.sleep(0)
    harness.log.failure = ConnectionError("not allowed to read any more")
    harness.log.changed.set()
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(waiting, 0.5)


async def test_a_partly_expired_log_is_read_from_its_first_offset(harness: ReplicaHarness) -> None:
    harness.log.beginnings[FIRST_INTERACTIONS] = 100
    harness.log.interaction(FIRST_INTERACTIONS, 300, "shoe")
    replica = await harness.start()
    await caught_up(replica)
    assert harness.consumer.read == [(FIRST_INTERACTIONS, 100)]


async def test_control_records_at_the_end_of_a_log_are_passed(harness: ReplicaHarness) -> None:
    harness.log.item("shoe")
    harness.log.control_record(CATALOG)
    harness.log.control_record(FIRST_INTERACTIONS)
    replica = await harness.start()
    await caught_up(replica)
    assert harness.consumer.read == [(CATALOG, 0)]
    assert harness.count("replica_lag_messages") == 0


async def test_records_removed_since_the_snapshot_are_counted_and_logged(
    harness: ReplicaHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.log.interaction(FIRST_INTERACTIONS, 0, "shoe")
    first = await harness.start()
    await caught_up(first)
    await first.snapshot()
    await first.stop()
    harness.log.beginnings[FIRST_INTERACTIONS] = 100
    await harness.start()
    labels = {"topic": INTERACTIONS.name}
    assert harness.metrics.registry.get_sample_value("headrace_events_skipped_total", labels) == 99
    assert (
        "retention removed 99 records of interactions[0] before they were read: offsets 1 to 99"
        in caplog.text
    )


async def test_records_removed_before_a_running_replica_read_them_are_counted(
    harness: ReplicaHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.log.interaction(FIRST_INTERACTIONS, 0, "shoe")
    replica = await harness.start()
    await caught_up(replica)
    harness.log.records[FIRST_INTERACTIONS].clear()
    harness.log.beginnings[FIRST_INTERACTIONS] = 100
    harness.log.interaction(FIRST_INTERACTIONS, 300, "sock")
    await caught_up(replica)
    labels = {"topic": INTERACTIONS.name}
    assert harness.metrics.registry.get_sample_value("headrace_events_skipped_total", labels) == 99
    assert "offsets 1 to 99" in caplog.text
    # What this worker wrote itself is not read, and not lost.
    replica.set_owned_partitions({1})
    harness.consumer.on_removed(SECOND_INTERACTIONS, 0, 7)
    assert harness.metrics.registry.get_sample_value("headrace_events_skipped_total", labels) == 99


INVALID_INTERACTIONS = [
    b"",
    b"\xc1 no msgpack",
    b"\x90",
    msgspec.msgpack.encode([0, 0, 0, 1.0, "ann", 99]),
    None,
    pytest.param(
        b"\x96\x00\x00\x00\xcb\x00\x00\x00\x00\x00\x00\x00\x00\xa1\xff\x00",
    ),
]


@pytest.mark.parametrize("value", INVALID_INTERACTIONS)
async def test_an_invalid_interaction_record_is_skipped(harness: ReplicaHarness, value: bytes | None) -> None:
    harness.log.add(FIRST_INTERACTIONS, value)
    harness.log.interaction(FIRST_INTERACTIONS, 0, "shoe")
    replica = await harness.start()
    await caught_up(replica)
    assert replica.models.version == 1


async def test_an_interaction_that_a_model_rejects_does_not_stop_the_others(
    harness: ReplicaHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = harness.make()
    model = replica.models.models[0]
    learn = model.learn

    def learn_or_raise(observation: Any) -> None:
        if replica.models.index.id_of(observation.item) == "cursed":
            raise ValueError("no such thing")
        learn(observation)

    monkeypatch.setattr(model, "learn", learn_or_raise)
    for offset, item in enumerate(("cursed", "shoe")):
        harness.log.interaction(FIRST_INTERACTIONS, offset, item)
    await replica.start()
    harness.running.append(replica)
    await caught_up(replica)
    replica.fold_local(make_click(1, 0, "cursed"))
    assert harness.count("interactions_folded_total") == 1
    assert harness.count("interactions_dropped_total") == 2


async def test_the_catalog_is_followed_and_unreadable_items_are_skipped(harness: ReplicaHarness) -> None:
    harness.log.item("shoe", price=10.0, categories=["footwear"])
    harness.log.add(CATALOG, b"not json", b"shoe")
    harness.log.item("sock", price=-1.0)
    harness.log.item("hat", price=5.0)
    harness.log.add(CATALOG, None, b"hat")
    harness.log.add(CATALOG, None, None)
    replica = await harness.start()
    await caught_up(replica)
    index = replica.models.index
    assert index.categories(index.find("shoe")) == ("footwear",)
    assert index.find("sock") == -1
    # A removed item is on no list.
    assert not index.available[index.find("hat")]
    assert index.available[index.find("shoe")]


async def test_an_item_dated_in_the_future_is_skipped_and_does_not_mask_later_updates(
    harness: ReplicaHarness,
) -> None:
    hour = 3_600_000
    harness.log.item("shoe", price=1.0, ts=1_700_000_000_000 - 1000 * hour)  # of any age
    harness.log.item("shoe", price=2.0, ts=1_700_000_000_000 + hour, available=False)
    replica = await harness.start()
    await caught_up(replica)
    index = replica.models.index
    shoe = index.find("shoe")
    assert (index.prices[shoe], index.available[shoe]) == (1.0, True)
    harness.log.item("shoe", price=3.0)
    await caught_up(replica)
    assert (index.prices[shoe], index.available[shoe]) == (3.0, True)


@pytest.mark.parametrize("tombstone", [False, True])
async def test_an_unavailable_item_invalidates_every_list_that_may_contain_it(
    harness: ReplicaHarness, *, tombstone: bool
) -> None:
    harness.log.item("shoe", categories=["footwear"])
    harness.log.item("hat", categories=["head"])
    replica = await harness.start()
    await caught_up(replica)
    for offset, item in enumerate(("shoe", "sock", "shoe", "sock")):
        harness.log.interaction(FIRST_INTERACTIONS, offset, item, "country:FR")
    replica.fold_local(
        Interaction(Source.CLICK, 5, 0, 9000.0, "bob", Kind.VIEW, (Line("hat"),), ("country:DE",))
    )
    await caught_up(replica)
    harness.stale.clear()
    if tombstone:
        harness.log.add(CATALOG, None, b"shoe")
    else:
        harness.log.item("shoe", categories=["footwear"], available=False)
    await caught_up(replica)
    gone = [({"shoe", "sock"}, {"country:FR", "category:footwear", NEW_USERS})]
    assert harness.stale == gone
    # An unchanged item makes no list stale; its return does.
    harness.log.item("shoe", available=False, ts=1_700_000_000_100)
    await caught_up(replica)
    assert harness.stale == gone
    harness.log.item("shoe", ts=1_700_000_000_200)
    await caught_up(replica)
    assert harness.stale == gone * 2


async def test_an_item_never_listed_invalidates_nothing(harness: ReplicaHarness) -> None:
    harness.log.item("shoe", available=False)
    replica = await harness.start()
    await caught_up(replica)
    assert harness.stale == []


async def test_other_workers_interactions_invalidate_category_lists_too(harness: ReplicaHarness) -> None:
    harness.log.item("shoe", categories=["footwear", "women"])
    replica = await harness.start()
    await caught_up(replica)
    harness.log.interaction(FIRST_INTERACTIONS, 0, "shoe", "country:FR")
    await caught_up(replica)
    assert harness.stale == [(set(), {"country:FR", "category:footwear", "category:women", NEW_USERS})]


async def test_the_lag_is_the_unread_records_and_the_age_of_the_newest_read(harness: ReplicaHarness) -> None:
    replica = await harness.start()
    harness.consumer.pause(SECOND_INTERACTIONS)
    for offset in range(3):
        harness.log.interaction(SECOND_INTERACTIONS, offset, "sock")
    harness.log.interaction(FIRST_INTERACTIONS, 0, "shoe")
    while replica.models.version < 1:  # noqa: ASYNC110  # reading has no asyncio event
        await asyncio.sleep(0)
    # The clock is 60 s ahead of the log.
    assert (harness.count("replica_lag_messages"), harness.count("replica_lag_seconds")) == (3, 60)
    harness.consumer.resume(SECOND_INTERACTIONS)
    await caught_up(replica)
    assert (harness.count("replica_lag_messages"), harness.count("replica_lag_seconds")) == (0, 0)


async def test_stopping_releases_the_consumer_and_is_idempotent(harness: ReplicaHarness) -> None:
    replica = await harness.start()
    await replica.stop()
    assert harness.consumer.stopped
    await replica.stop()


async def test_a_replica_has_passed_offsets_when_it_has_folded_all_before_them(
    harness: ReplicaHarness,
) -> None:
    for offset in range(3):
        harness.log.interaction(FIRST_INTERACTIONS, offset, "shoe")
    replica = await harness.start()
    await caught_up(replica)
    assert await replica.interaction_ends() == {0: 3, 1: 0}
    await asyncio.wait_for(replica.wait_until_passed((3, 0)), 5.0)
    waiting = asyncio.create_task(replica.wait_until_passed((3, 2)))
    harness.log.interaction(SECOND_INTERACTIONS, 0, "sock")
    await caught_up(replica)
    assert not waiting.done()
    # the end of a transaction is no interaction, but it has an offset
    harness.log.control_record(SECOND_INTERACTIONS)
    await asyncio.wait_for(waiting, 5.0)


async def test_a_replica_has_passed_all_offsets_of_partitions_that_it_owns(harness: ReplicaHarness) -> None:
    replica = await harness.start()
    await caught_up(replica)
    replica.set_owned_partitions({0})
    # acknowledged by Kafka, and read by a trainer, before this worker hears of it
    await asyncio.wait_for(replica.wait_until_passed((7,)), 5.0)
