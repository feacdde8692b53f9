"""The users agent, declared on a real Faust application."""

import asyncio
import time

import msgspec
import pytest

from state.row import decode_row
from stream_app.client.redis_contract import user_key
from tests.support.app_without_kafka import WorkerWithoutKafka
from topics.catalog import CLICKS, INTERACTIONS, LISTS, REWARDS, USER_EVENTS
from topics.log_keys import user_of
from topics.records import Interaction, RecommendationList, Reward


async def run_pending_tasks() -> None:
    """Let the agent run until it waits."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_agent_reads_every_user_topic_as_bytes(worker: WorkerWithoutKafka) -> None:
    [agent] = [agent for agent in worker.app.agents.values() if agent.name.endswith("users")]
    assert set(agent.channel.topics) == {spec.name for spec in USER_EVENTS}


async def test_events_update_the_row_the_log_and_the_list(worker: WorkerWithoutKafka) -> None:
    worker.catch_up_barrier.set()
    worker.components.flush_loop.start()
    async with worker.agent("users") as agent:
        await worker.click(agent, "ann", "shoe")
        await worker.click(agent, "ann", "sock")
        await worker.until(lambda: worker.count("events.click", "accepted") == 2)
        await worker.components.flush_loop.wait_until_idle()
    await worker.batch_producer.flush()
    assert [entry.item_id for entry in worker.rows.get("ann").recent] == ["shoe", "sock"]
    assert user_key("ann") in worker.publisher.documents
    sent = [
        msgspec.msgpack.decode(value, type=Interaction)
        for value in worker.sent_to(INTERACTIONS.name)
        if value
    ]
    assert [(each.partition, each.offset, each.lines[0].item_id) for each in sent] == [
        (2, 0, "shoe"),
        (2, 1, "sock"),
    ]
    assert worker.components.replica.models.version == 2


async def test_a_click_on_the_previous_list_is_rewarded_on_the_users_partition(
    worker: WorkerWithoutKafka,
) -> None:
    worker.catch_up_barrier.set()
    worker.components.flush_loop.start()
    async with worker.agent("users") as agent:
        await worker.click(agent, "bob", "shoe")
        await worker.click(agent, "ann", "sock")
        await worker.until(lambda: worker.count("events.click", "accepted") == 2)
        await worker.components.flush_loop.wait_until_idle()
        await worker.click(agent, "ann", "shoe")
        await worker.until(lambda: worker.count("events.click", "accepted") == 3)
    await worker.batch_producer.flush()
    [(_, partition, key, value)] = [sent for sent in worker.producer.sent if sent[0] == REWARDS.name]
    assert (partition, user_of(key or b"")) == (2, b"ann")
    reward = msgspec.msgpack.decode(value or b"", type=Reward)
    listed = [
        msgspec.json.decode(value or b"", type=RecommendationList) for value in worker.sent_to(LISTS.name)
    ]
    assert reward.list_id in {each.list_id for each in listed if each.key == user_key("ann")}
    assert (reward.kind, reward.item_id, reward.value) == ("click", "shoe", 1.0)


async def test_rows_are_written_to_the_changelog_of_the_events_partition(worker: WorkerWithoutKafka) -> None:
    worker.catch_up_barrier.set()
    async with worker.agent("users") as agent:
        await worker.click(agent, "ann", "shoe")
        await worker.until(lambda: worker.count("events.click", "accepted") == 1)
    await worker.batch_producer.flush()
    [(topic, partition, key, value)] = [record for record in worker.producer.sent if "changelog" in record[0]]
    assert (topic, partition, key) == (f"{worker.settings.app_id}-users-changelog", 2, b"ann")
    assert decode_row(value) == worker.rows.get("ann")


async def test_rows_are_counted_once_after_replays_and_erasures(worker: WorkerWithoutKafka) -> None:
    worker.catch_up_barrier.set()
    worker.components.flush_loop.start()
    rows = worker.rows
    async with worker.agent("users") as agent:
        first = await worker.click(agent, "ann", "shoe")
        await worker.click(agent, "bob", "shoe")
        await worker.until(lambda: worker.count("events.click", "accepted") == 2)
        assert rows.count == 2
        # as after a crash: ann's only event is consumed again, and the cache is empty
        rows.clear_cache()
        await worker.put(agent, "events.click", b"ann", first, offset=0)
        await worker.until(lambda: worker.count("events.click", "replayed") == 1)
        assert rows.count == 2
        # an erased user who returns still has a row
        erasure = {"event_id": "forget", "user_id": "bob", "ts": int(time.time() * 1000)}
        await worker.put(agent, "events.erasure", b"bob", msgspec.json.encode(erasure))
        await worker.until(lambda: worker.count("events.erasure", "accepted") == 1)
        await worker.click(agent, "bob", "shoe")
        await worker.until(lambda: worker.count("events.click", "accepted") == 3)
        assert rows.get("bob").counts.total == 1
        assert rows.count == 2


async def test_a_closed_barrier_holds_events_in_order(worker: WorkerWithoutKafka) -> None:
    async with worker.agent("users") as agent:
        for item in ("shoe", "sock", "hat"):
            await worker.click(agent, "ann", item)
        await run_pending_tasks()
        assert worker.count("events.click", "accepted") == 0
        assert worker.components.replica.models.version == 0
        worker.catch_up_barrier.set()
        await worker.components.queue.wait_for_capacity()
        await worker.until(lambda: worker.count("events.click", "accepted") == 3)
    assert [entry.item_id for entry in worker.rows.get("ann").recent] == ["shoe", "sock", "hat"]


async def test_a_rebalance_does_not_wait_for_capacity(worker: WorkerWithoutKafka) -> None:
    """Without Redis and with many erasures pending, the agent waits, but not beyond its assignment."""
    worker.catch_up_barrier.set()
    worker.components.queue.has_capacity.clear()
    async with worker.agent("users") as agent:
        await worker.click(agent, "ann", "shoe")
        await worker.until(lambda: worker.count("events.click", "accepted") == 1)
        await run_pending_tasks()
        assert agent.counted == []
        worker.suspend()
        await worker.until(lambda: len(agent.counted) == 1)


async def test_a_barrier_that_closes_again_holds_later_events(worker: WorkerWithoutKafka) -> None:
    worker.catch_up_barrier.set()
    async with worker.agent("users") as agent:
        await worker.click(agent, "ann", "shoe")
        await worker.until(lambda: worker.count("events.click", "accepted") == 1)
        worker.catch_up_barrier.clear()
        await worker.click(agent, "ann", "sock")
        await run_pending_tasks()
        assert worker.count("events.click", "accepted") == 1
        worker.catch_up_barrier.set()
        await worker.until(lambda: worker.count("events.click", "accepted") == 2)


@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
async def test_events_of_an_earlier_assignment_are_dropped(
    worker: WorkerWithoutKafka, *, is_open: bool
) -> None:
    if is_open:
        worker.catch_up_barrier.set()
    async with worker.agent("users") as agent:
        worker.app.consumer_generation_id += 1
        await worker.click(agent, "ann", "shoe")
        worker.app.consumer_generation_id += 1
        await worker.click(agent, "ann", "sock")
        await run_pending_tasks()
        worker.catch_up_barrier.set()
        await worker.until(lambda: worker.count("events.click", "accepted") > 0)
    assert [entry.item_id for entry in worker.rows.get("ann").recent] == ["sock"]
    # The new owner reads the first one again.
    assert [offset for _, offset in agent.counted] == [1]


async def test_an_event_that_waits_for_the_barrier_does_not_hold_up_a_revocation(
    worker: WorkerWithoutKafka,
) -> None:
    async with worker.agent("users") as agent:
        await worker.click(agent, "ann", "shoe")
        await run_pending_tasks()
        worker.suspend()
    # The agent has ended, though the barrier never opened.
    assert worker.count("events.click", "accepted") == 0
    assert agent.counted == []


async def test_an_event_under_a_foreign_key_is_forwarded_unchanged(worker: WorkerWithoutKafka) -> None:
    worker.catch_up_barrier.set()
    async with worker.agent("users") as agent:
        by_none = await worker.click(agent, "ann", "shoe", key=None)
        by_bob = await worker.click(agent, "ann", "sock", key=b"bob")
        await worker.click(agent, "cem", "hat")
        await worker.until(lambda: worker.count("events.click", "accepted") == 1)
    assert worker.producer.forwarded == [
        (CLICKS.name, 2, b"ann", by_none),
        (CLICKS.name, 2, b"ann", by_bob),
    ]
    assert worker.count("events.click", "rekeyed") == 2
    assert worker.rows.get("ann").counts.total == 0


async def test_an_event_in_another_partition_than_its_users_is_forwarded_not_replayed(
    worker: WorkerWithoutKafka,
) -> None:
    worker.catch_up_barrier.set()
    async with worker.agent("users") as agent:
        for item in ("shoe", "sock"):
            await worker.click(agent, "ann", item)
        misplaced = await worker.click(agent, "ann", "hat", partition=1)
        await worker.until(lambda: worker.count("events.click", "misplaced") == 1)
        assert worker.producer.forwarded == [(CLICKS.name, 2, b"ann", misplaced)]
        await worker.put(agent, CLICKS.name, b"ann", misplaced)
        await worker.until(lambda: worker.count("events.click", "accepted") == 3)
    assert worker.count("events.click", "replayed") == 0
    assert [entry.item_id for entry in worker.rows.get("ann").recent] == ["shoe", "sock", "hat"]


async def test_the_agent_waits_for_capacity_when_a_full_batch_is_pending(worker: WorkerWithoutKafka) -> None:
    worker.catch_up_barrier.set()
    async with worker.agent("users") as agent:
        for user in ("ann", "bob", "cem", "dee"):
            await worker.click(agent, user, "shoe")
        await worker.until(lambda: worker.count("events.click", "accepted") == 2)
        await run_pending_tasks()
        assert worker.count("events.click", "accepted") == 2
        worker.components.flush_loop.start()
        await worker.until(lambda: worker.count("events.click", "accepted") == 4)
        await worker.components.flush_loop.wait_until_idle()
    assert {user_key(user) for user in ("ann", "bob", "cem", "dee")} <= set(worker.publisher.documents)


async def test_invalid_events_do_not_block_valid_ones(worker: WorkerWithoutKafka) -> None:
    worker.catch_up_barrier.set()
    worker.components.flush_loop.start()
    hostile = (None, b"", b"\xff", b"[]", b"{}", b'{"event_id":' + b"[" * 10_000)
    async with worker.agent("users") as agent:
        for number, value in enumerate(hostile):
            await worker.put(agent, "events.click", b"ann", value)
            await worker.click(agent, f"u{number}", "shoe")
        await worker.until(lambda: worker.count("events.click", "accepted") == len(hostile))
    await worker.batch_producer.flush()
    assert [letter.value for letter in worker.letters()] == list(hostile)
    assert worker.count("events.click", "dead_lettered") == len(hostile)
