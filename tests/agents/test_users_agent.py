"""The agent of the shoppers' events, declared on a real Faust application."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from state.row import decode_row
from stream_app.client.redis_contract import user_key
from topics.catalog import CLICKS, INTERACTIONS, LISTS, REWARDS, USER_EVENTS
from topics.records import Interaction, RecommendationList, Reward

if TYPE_CHECKING:
    from tests.support.app_without_kafka import Shop, opened
else:
    from tests.support.app_without_kafka import Shop, opened


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with opened(tmp_path) as made:
        yield made


async def a_while() -> None:
    """Let the agent do what it can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_it_reads_every_topic_of_shoppers_as_bytes(shop: Shop) -> None:
    [agent] = [agent for agent in shop.app.agents.values() if agent.name.endswith("users")]
    assert set(agent.channel.topics) == {spec.name for spec in USER_EVENTS}


async def test_events_go_through_to_the_row_the_log_and_the_list(shop: Shop) -> None:
    shop.parts.gate.set()
    shop.parts.flusher.start()
    async with shop.agent("users") as agent:
        await shop.click(agent, "ann", "shoe", partition=3)
        await shop.click(agent, "ann", "sock", partition=3)
        await shop.until(lambda: shop.count("events.click", "accepted") == 2)
        await shop.parts.flusher.drained()
    await shop.parts.outbox.flush()
    assert [entry.item_id for entry in shop.parts.rows.get("ann").recent] == ["shoe", "sock"]
    assert user_key("ann") in shop.publisher.documents
    sent = [
        msgspec.msgpack.decode(value, type=Interaction) for value in shop.sent_to(INTERACTIONS.name) if value
    ]
    assert [(each.partition, each.offset, each.lines[0].item_id) for each in sent] == [
        (3, 0, "shoe"),
        (3, 1, "sock"),
    ]
    assert shop.parts.replica.models.version == 2


async def test_a_click_on_the_list_of_before_is_rewarded_on_the_shoppers_partition(shop: Shop) -> None:
    shop.parts.gate.set()
    shop.parts.flusher.start()
    async with shop.agent("users") as agent:
        await shop.click(agent, "bob", "shoe")
        await shop.click(agent, "ann", "sock", partition=3)
        await shop.until(lambda: shop.count("events.click", "accepted") == 2)
        await shop.parts.flusher.drained()
        await shop.click(agent, "ann", "shoe", partition=3)
        await shop.until(lambda: shop.count("events.click", "accepted") == 3)
    await shop.parts.outbox.flush()
    [(_, partition, key, value)] = [sent for sent in shop.producer.sent if sent[0] == REWARDS.name]
    assert (partition, key) == (3, b"ann")
    reward = msgspec.msgpack.decode(value or b"", type=Reward)
    listed = [
        msgspec.json.decode(value or b"", type=RecommendationList) for value in shop.sent_to(LISTS.name)
    ]
    assert reward.list_id in {each.list_id for each in listed if each.key == user_key("ann")}
    assert (reward.kind, reward.item_id, reward.value) == ("click", "shoe", 1.0)


async def test_rows_are_written_to_the_changelog_of_the_events_partition(shop: Shop) -> None:
    shop.parts.gate.set()
    async with shop.agent("users") as agent:
        await shop.click(agent, "ann", "shoe", partition=3)
        await shop.until(lambda: shop.count("events.click", "accepted") == 1)
    await shop.parts.outbox.flush()
    [(topic, partition, key, value)] = [record for record in shop.producer.sent if "changelog" in record[0]]
    assert (topic, partition, key) == (f"{shop.settings.app_id}-users-changelog", 3, b"ann")
    assert decode_row(value) == shop.parts.rows.get("ann")


async def test_rows_are_counted_once_whatever_comes_of_them(shop: Shop) -> None:
    shop.parts.gate.set()
    shop.parts.flusher.start()
    rows = shop.parts.rows
    async with shop.agent("users") as agent:
        first = await shop.click(agent, "ann", "shoe")
        await shop.click(agent, "bob", "shoe")
        await shop.until(lambda: shop.count("events.click", "accepted") == 2)
        assert rows.count == 2
        # as after a crash: ann's only event comes again, and nothing is in memory
        rows.forget_cached()
        await shop.put(agent, "events.click", b"ann", first, offset=0)
        await shop.until(lambda: shop.count("events.click", "replayed") == 1)
        assert rows.count == 2
        # whoever was forgotten and comes back has a row still
        erasure = {"event_id": "forget", "user_id": "bob", "ts": int(time.time() * 1000)}
        await shop.put(agent, "events.erasure", b"bob", msgspec.json.encode(erasure))
        await shop.until(lambda: shop.count("events.erasure", "accepted") == 1)
        await shop.click(agent, "bob", "shoe")
        await shop.until(lambda: shop.count("events.click", "accepted") == 3)
        assert rows.get("bob").counts.total == 1
        assert rows.count == 2


async def test_a_closed_gate_holds_events_back_in_their_order(shop: Shop) -> None:
    async with shop.agent("users") as agent:
        for item in ("shoe", "sock", "hat"):
            await shop.click(agent, "ann", item)
        await a_while()
        assert shop.count("events.click", "accepted") == 0
        assert shop.parts.replica.models.version == 0
        shop.parts.gate.set()
        await shop.parts.flusher.room()
        await shop.until(lambda: shop.count("events.click", "accepted") == 3)
    assert [entry.item_id for entry in shop.parts.rows.get("ann").recent] == ["shoe", "sock", "hat"]


async def test_a_gate_that_closes_again_holds_back_what_comes_after(shop: Shop) -> None:
    shop.parts.gate.set()
    async with shop.agent("users") as agent:
        await shop.click(agent, "ann", "shoe")
        await shop.until(lambda: shop.count("events.click", "accepted") == 1)
        shop.parts.gate.clear()
        await shop.click(agent, "ann", "sock")
        await a_while()
        assert shop.count("events.click", "accepted") == 1
        shop.parts.gate.set()
        await shop.until(lambda: shop.count("events.click", "accepted") == 2)


async def test_an_event_under_a_foreign_key_is_forwarded_as_it_came(shop: Shop) -> None:
    shop.parts.gate.set()
    async with shop.agent("users") as agent:
        by_none = await shop.click(agent, "ann", "shoe", key=None)
        by_bob = await shop.click(agent, "ann", "sock", key=b"bob")
        await shop.click(agent, "cem", "hat")
        await shop.until(lambda: shop.count("events.click", "accepted") == 1)
    assert shop.producer.forwarded == [(CLICKS.name, b"ann", by_none), (CLICKS.name, b"ann", by_bob)]
    assert shop.count("events.click", "rekeyed") == 2
    assert shop.parts.rows.get("ann").counts.total == 0


async def test_the_agent_waits_for_room_when_a_full_batch_waits(shop: Shop) -> None:
    shop.parts.gate.set()
    async with shop.agent("users") as agent:
        for user in ("ann", "bob", "cem", "dee"):
            await shop.click(agent, user, "shoe")
        await shop.until(lambda: shop.count("events.click", "accepted") == 2)
        await a_while()
        assert shop.count("events.click", "accepted") == 2
        shop.parts.flusher.start()
        await shop.until(lambda: shop.count("events.click", "accepted") == 4)
        await shop.parts.flusher.drained()
    assert {user_key(user) for user in ("ann", "bob", "cem", "dee")} <= set(shop.publisher.documents)


async def test_bad_events_do_not_stop_the_good_ones(shop: Shop) -> None:
    shop.parts.gate.set()
    shop.parts.flusher.start()
    hostile = (None, b"", b"\xff", b"[]", b"{}", b'{"event_id":' + b"[" * 10_000)
    async with shop.agent("users") as agent:
        for number, value in enumerate(hostile):
            await shop.put(agent, "events.click", b"ann", value)
            await shop.click(agent, f"u{number}", "shoe")
        await shop.until(lambda: shop.count("events.click", "accepted") == len(hostile))
    await shop.parts.outbox.flush()
    assert [letter.value for letter in shop.letters()] == list(hostile)
    assert shop.count("events.click", "dead_lettered") == len(hostile)
