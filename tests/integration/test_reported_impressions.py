"""Impressions from a web tier, by a real broker, attributed to the policy of the list."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from stream_app.client import AsyncClient, Client
from stream_app.client.impression_reporter import ImpressionReporter
from stream_app.client.redis_contract import user_key
from stream_app.tools.embedded import EmbeddedServers
from tests.support.crash_runs import ADDITIVE
from tests.support.integration_environment import IntegrationEnvironment, clean_environment, send_click
from tests.support.reward_log import rewards_on_log
from topics.catalog import IMPRESSIONS
from topics.events import Impression
from topics.records import RewardKind

USERS = ("ann", "bob", "cem")
ASYNC_CLIENT_USER = "änne"
ITEMS = 6


def list_ids(environment: IntegrationEnvironment, users: Sequence[str]) -> dict[str, str]:
    return {user: each.list_id for user, each in environment.user_lists(users).items()}


def has_new_lists(after: Mapping[str, str], before: Mapping[str, str], users: Sequence[str]) -> bool:
    return after.keys() == set(users) and not after.items() & before.items()


async def test_reported_impressions_are_attributed_to_the_policy_of_the_list(
    servers: EmbeddedServers, tmp_path: Path
) -> None:
    all_users = (*USERS, ASYNC_CLIENT_USER)
    with clean_environment(servers, tmp_path, models=ADDITIVE, fusion="rrf") as environment:
        worker = environment.start_worker().wait_until_ready()
        for first in (0, len(all_users)):
            before = list_ids(environment, all_users)
            for number, user in enumerate(all_users, start=first):
                send_click(environment, user, f"item-{number % ITEMS}", event_id=f"click-{number}")
            worker.wait_until(
                lambda before=before: has_new_lists(list_ids(environment, all_users), before, all_users),  # type: ignore[misc]
                "a list that reflects each click",
            )
        worker.wait_until(lambda: environment.uncommitted() == 0, "the clicks to be committed")

        # Some second clicks are rewards of a list, which then counts as displayed.
        n_lists_seen_before = sum(each.first_exposure for each, _ in rewards_on_log(environment))
        worker.wait_until(
            lambda: worker.metric("headrace_policy_lists_seen_total") == n_lists_seen_before,
            "the rewards to be counted",
        )

        url, broker = environment.settings.redis, environment.settings.broker
        displayed: dict[str, list[str]] = {}
        started_at = time.time()
        with Client(url, timeout=60.0, reporter=ImpressionReporter(broker)) as client:
            for user in USERS:
                document = client.read(user)
                assert document is not None
                assert document.key == user_key(user)
                displayed[user] = [item.id for item in document.items[:2]]
                assert client.report_impression(user, document, displayed[user], surface="home")
            assert not client.report_impression("", document), "an empty user id"
        async with AsyncClient(url, timeout=60.0, reporter=ImpressionReporter(broker)) as async_client:
            document = await async_client.read(ASYNC_CLIENT_USER)
            assert document is not None
            displayed[ASYNC_CLIENT_USER] = [item.id for item in document.items]
            assert async_client.report_impression(ASYNC_CLIENT_USER, document)

        # Closing the clients has sent the impressions.
        records = environment.read(IMPRESSIONS.name)
        sent = [msgspec.json.decode(record.value or b"", type=Impression) for record in records]
        assert {event.user_id: event.items for event in sent} == displayed
        assert {event.surface for event in sent} == {"home", None}
        # Event times are milliseconds.
        assert all(started_at - 0.001 <= event.time <= time.time() for event in sent)
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
        rewards = [each for each, _ in rewards_on_log(environment)]
        seen = {each.user_id: list(each.seen) for each in rewards if each.kind is RewardKind.IMPRESSION}
        assert seen == displayed
        assert worker.terminate() == 0, worker.log
