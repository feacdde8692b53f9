"""What the web tier reports as shown, through the real broker, to the policy whose list it was."""

import time
from pathlib import Path

import msgspec

from stream_app.client import AsyncClient, Client
from stream_app.client.impression_reporter import ImpressionReporter
from stream_app.client.redis_contract import user_key
from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import ADDITIVE, clean_stage, send_click
from topics.catalog import IMPRESSIONS, REWARDS
from topics.events import Impression
from topics.records import Reward, RewardKind

SHOPPERS = ("ann", "bob", "cem")
FOR_EVENT_LOOP = "änne"
ITEMS = 6


async def test_lists_shown_are_taken_by_the_worker_and_counted_for_what_ordered_them(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    everybody = (*SHOPPERS, FOR_EVENT_LOOP)
    with clean_stage(servers, tmp_path, models=ADDITIVE, fusion="rrf") as stage:
        worker = stage.start_worker().await_ready()
        for number, user in enumerate((*everybody, *everybody)):
            send_click(stage, user, f"item-{number % ITEMS}", event_id=f"click-{number}")
        worker.wait_until(lambda: worker.events("accepted") == 2 * len(everybody), "the clicks to be taken")
        worker.wait_until(lambda: worker.metric("headrace_dirty_users") == 0, "their lists")
        worker.wait_until(lambda: stage.lists_of(everybody).keys() == set(everybody), "the lists to be there")

        # some second clicks were rewards of a list, which then was seen for that
        seen_before = worker.metric("headrace_policy_lists_seen_total")

        url, broker = stage.settings.redis, stage.settings.broker
        shown: dict[str, list[str]] = {}
        with Client(url, timeout=5.0, impressions=ImpressionReporter(broker)) as client:
            for user in SHOPPERS:
                document = client.read(user)
                assert document is not None
                assert document.key == user_key(user)
                shown[user] = [item.id for item in document.items[:2]]
                assert client.shown(user, document, shown[user], surface="home")
            assert not client.shown("", document), "nobody"
        async with AsyncClient(url, timeout=5.0, impressions=ImpressionReporter(broker)) as in_loop:
            document = await in_loop.read(FOR_EVENT_LOOP)
            assert document is not None
            shown[FOR_EVENT_LOOP] = [item.id for item in document.items]
            assert in_loop.shown(FOR_EVENT_LOOP, document)

        # closing the clients has sent them
        records = stage.read(IMPRESSIONS.name)
        sent = [msgspec.json.decode(record.value or b"", type=Impression) for record in records]
        assert {event.user_id: event.items for event in sent} == shown
        assert {event.surface for event in sent} == {"home", None}
        assert all(abs(event.time - time.time()) < 60 for event in sent)
        worker.wait_until(
            lambda: (
                worker.metric("headrace_events_total", topic=IMPRESSIONS.name, outcome="accepted")
                == len(everybody)
            ),
            "the impressions to be taken",
        )
        assert worker.events("dead_lettered") == 0
        assert worker.events("rekeyed") == 0, "they came by the partition of the shopper's other events"
        worker.wait_until(
            lambda: worker.metric("headrace_policy_lists_seen_total") == seen_before + len(everybody),
            "the lists to count as seen",
        )
        rewards = [
            msgspec.msgpack.decode(each.value or b"", type=Reward) for each in stage.read(REWARDS.name)
        ]
        seen = {each.user_id: list(each.seen) for each in rewards if each.kind is RewardKind.IMPRESSION}
        assert seen == shown
        assert worker.terminate() == 0, worker.log
