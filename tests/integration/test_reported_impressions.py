"""Impressions from a web tier, by a real broker, attributed to the policy of the list."""

import time
from pathlib import Path

import msgspec

from stream_app.client import AsyncClient, Client
from stream_app.client.impression_reporter import ImpressionReporter
from stream_app.client.redis_contract import user_key
from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import ADDITIVE
from tests.support.integration_environment import clean_environment, send_click
from topics.catalog import IMPRESSIONS, REWARDS
from topics.events import Impression
from topics.records import Reward, RewardKind

USERS = ("ann", "bob", "cem")
ASYNC_CLIENT_USER = "änne"
ITEMS = 6


async def test_reported_impressions_are_attributed_to_the_policy_of_the_list(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    all_users = (*USERS, ASYNC_CLIENT_USER)
    with clean_environment(servers, tmp_path, models=ADDITIVE, fusion="rrf") as environment:
        worker = environment.start_worker().wait_until_ready()
        for number, user in enumerate((*all_users, *all_users)):
            send_click(environment, user, f"item-{number % ITEMS}", event_id=f"click-{number}")
        worker.wait_until(
            lambda: worker.events("accepted") == 2 * len(all_users), "the clicks to be accepted"
        )
        worker.wait_until(lambda: worker.metric("headrace_pending_users") == 0, "no pending user")
        worker.wait_until(
            lambda: environment.user_lists(all_users).keys() == set(all_users), "the lists to be published"
        )

        # Some second clicks are rewards of a list, which then counts as displayed.
        n_lists_seen_before = worker.metric("headrace_policy_lists_seen_total")

        url, broker = environment.settings.redis, environment.settings.broker
        displayed: dict[str, list[str]] = {}
        with Client(url, timeout=5.0, reporter=ImpressionReporter(broker)) as client:
            for user in USERS:
                document = client.read(user)
                assert document is not None
                assert document.key == user_key(user)
                displayed[user] = [item.id for item in document.items[:2]]
                assert client.report_impression(user, document, displayed[user], surface="home")
            assert not client.report_impression("", document), "an empty user id"
        async with AsyncClient(url, timeout=5.0, reporter=ImpressionReporter(broker)) as async_client:
            document = await async_client.read(ASYNC_CLIENT_USER)
            assert document is not None
            displayed[ASYNC_CLIENT_USER] = [item.id for item in document.items]
            assert async_client.report_impression(ASYNC_CLIENT_USER, document)

        # Closing the clients has sent the impressions.
        records = environment.read(IMPRESSIONS.name)
        sent = [msgspec.json.decode(record.value or b"", type=Impression) for record in records]
        assert {event.user_id: event.items for event in sent} == displayed
        assert {event.surface for event in sent} == {"home", None}
        assert all(abs(event.time - time.time()) < 60 for event in sent)
        worker.wait_until(
            lambda: (
                worker.metric("headrace_events_total", topic=IMPRESSIONS.name, outcome="accepted")
                == len(all_users)
            ),
            "the impressions to be accepted",
        )
        assert worker.events("dead_lettered") == 0
        assert worker.events("rekeyed") == 0, "they are on the partition of the user's other events"
        worker.wait_until(
            lambda: worker.metric("headrace_policy_lists_seen_total") == n_lists_seen_before + len(all_users),
            "the lists to count as displayed",
        )
        rewards = [
            msgspec.msgpack.decode(each.value or b"", type=Reward) for each in environment.read(REWARDS.name)
        ]
        seen = {each.user_id: list(each.seen) for each in rewards if each.kind is RewardKind.IMPRESSION}
        assert seen == displayed
        assert worker.terminate() == 0, worker.log
