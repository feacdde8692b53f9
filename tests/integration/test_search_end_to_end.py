"""From search events to search and query lists, read by the client and removed by an erasure."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_app.client import AsyncClient, Client
from stream_app.client.redis_contract import query_key, search_key
from stream_app.kafka.event_records import event_record
from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import IntegrationEnvironment, clean_environment
from tests.support.kafka_records import KafkaRecord
from topics.events import Click, Erasure, Event, Search

RESULTS = ["tent", "rope", "stove", "lamp"]


@pytest.fixture
def environment(servers: EmbeddedServers, tmp_path: Path) -> Iterator[IntegrationEnvironment]:
    with clean_environment(servers, tmp_path, models='["popularity","item_to_item","search"]') as created:
        yield created


class UserEventSender:
    """Sends events with the current time and unique event ids."""

    def __init__(self, environment: IntegrationEnvironment) -> None:
        self._environment = environment
        self.sent = 0

    def search(self, user: str, query: str, results: list[str]) -> None:
        self._send(Search(event_id=self._next(), user_id=user, ts=_now(), query=query, results=results))

    def click(self, user: str, item: str) -> None:
        self._send(Click(event_id=self._next(), user_id=user, ts=_now(), item_id=item))

    def erase(self, user: str) -> None:
        self._send(Erasure(event_id=self._next(), user_id=user, ts=_now()))

    def _next(self) -> str:
        self.sent += 1
        return f"e{self.sent}"

    def _send(self, event: Event) -> None:
        sent = event_record(event)
        self._environment.send([KafkaRecord(sent.topic, sent.key, sent.value)])


def _now() -> int:
    return round(time.time() * 1000)


async def test_a_search_gets_a_personal_order_and_choices_are_learned(
    environment: IntegrationEnvironment,
) -> None:
    worker = environment.start_worker().wait_until_ready()
    event_sender = UserEventSender(environment)
    url = environment.settings.redis
    with Client(url, timeout=60.0) as client:
        # No search yet: the original order, after the timeout.
        assert client.search("ann", "camping", RESULTS, timeout=0.0) == (tuple(RESULTS), False, None)

        for user in ("bob", "cem", "dan"):
            event_sender.search(user, " Camping ", RESULTS)
            worker.wait_until(
                lambda: worker.events("accepted") >= event_sender.sent, "the search to be handled"
            )
            event_sender.click(user, "stove")
            worker.wait_until(
                lambda: worker.events("accepted") >= event_sender.sent, "the click to be handled"
            )
        worker.wait_until(lambda: environment.redis.exists(query_key("camping")), "the list of the query")
        query_list = client.query("CAMPING")
        assert query_list is not None
        assert query_list.query == "camping"
        assert query_list.items[0].id == "stove"
        assert query_list.items[0].why.source == "chosen_after_search"

        # A new user searches: the choice of the others comes first, and all results are there.
        event_sender.search("ann", "camping", ["tent", "rope", "lamp", "stove"])
        found = client.search("ann", "camping", ["tent", "rope", "lamp", "stove"], timeout=120.0)
        assert found.personal
        assert found.items[0] == "stove"
        assert sorted(found.items) == sorted(RESULTS)
        async with AsyncClient(url, timeout=60.0) as async_client:
            assert (
                await async_client.search("ann", "Camping", ["tent", "rope", "lamp", "stove"], timeout=120.0)
                == found
            )
            # The list of one query is not used for another.
            assert not (await async_client.search("ann", "boots", ["boot"], timeout=0.0)).personal
        assert not client.search("ann", "boots", ["boot"], timeout=0.0).personal

    status, output = environment.run_command("show", "search", "ann")
    assert status == 0, output
    assert "'camping'" in output
    assert "stove" in output
    status, output = environment.run_command("show", "query", "Camping")
    assert status == 0, output
    assert query_key("camping") in output
    status, output = environment.run_command("show", "search", "nobody")
    assert status != 0
    assert "Search lists appear when that user searches" in output
    worker.wait_until(
        lambda: worker.metric("headrace_search_freshness_seconds_count") >= 4,
        "the search lists to be counted, after Redis has acknowledged them",
    )

    # A restart publishes lists again that Redis lost, but not those of the erased user.
    event_sender.erase("bob")
    worker.wait_until(lambda: not environment.has_list(search_key("bob")), "the erased search list to vanish")
    assert worker.terminate() == 0, worker.log
    environment.redis.flushdb()
    worker = environment.start_worker().wait_until_ready()
    worker.wait_until(
        lambda: environment.redis.exists(search_key("ann")), "the search list to be published again"
    )
    worker.wait_until(lambda: worker.metric("headrace_pending_users") == 0, "all lists to be published")
    assert not environment.has_list(search_key("bob"))
