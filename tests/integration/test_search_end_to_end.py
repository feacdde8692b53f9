"""From search events to search and query lists, read by the client, and gone after an erasure."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_app.client import AsyncClient, Client
from stream_app.client.redis_contract import query_key, search_key
from stream_app.kafka.event_records import event_record
from stream_app.tools.embedded import EmbeddedServers
from tests.support.integration_environment import Outgoing, Stage, clean_stage
from topics.events import Click, Erasure, Event, Search

RESULTS = ["tent", "rope", "stove", "lamp"]


@pytest.fixture
def stage(servers: EmbeddedServers, tmp_path: Path) -> Iterator[Stage]:
    with clean_stage(servers, tmp_path, models='["popularity","item_to_item","search"]') as made:
        yield made


class Shoppers:
    """Send events of now, each with an id of its own."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
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
        self._stage.send([Outgoing(sent.topic, sent.key, sent.value)])


def _now() -> int:
    return round(time.time() * 1000)


async def test_a_search_is_answered_in_the_shoppers_order_and_teaches_what_people_choose(
    stage: Stage,
) -> None:
    worker = stage.start_worker().await_ready()
    shoppers = Shoppers(stage)
    url = stage.settings.redis
    with Client(url, timeout=2.0) as client:
        # Nobody has searched: the shop's own order, after the timeout.
        assert client.search("ann", "camping", RESULTS, timeout=0.0) == (tuple(RESULTS), False, None)

        for user in ("bob", "cem", "dan"):
            shoppers.search(user, " Camping ", RESULTS)
            worker.wait_until(lambda: worker.events("accepted") >= shoppers.sent, "the search to be taken")
            shoppers.click(user, "stove")
            worker.wait_until(lambda: worker.events("accepted") >= shoppers.sent, "the click to be taken")
        worker.wait_until(lambda: stage.redis.exists(query_key("camping")), "the list of the query")
        known = client.query("CAMPING")
        assert known is not None
        assert known.query == "camping"
        assert known.items[0].id == "stove"
        assert known.items[0].why.source == "chosen_after_search"

        # A new shopper searches: what the others chose comes first, all results are there.
        shoppers.search("ann", "camping", ["tent", "rope", "lamp", "stove"])
        found = client.search("ann", "camping", ["tent", "rope", "lamp", "stove"], timeout=10.0)
        assert found.personal
        assert found.items[0] == "stove"
        assert sorted(found.items) == sorted(RESULTS)
        async with AsyncClient(url, timeout=2.0) as other:
            assert (
                await other.search("ann", "Camping", ["tent", "rope", "lamp", "stove"], timeout=10.0) == found
            )
            # Another query is not answered by the list of this one.
            assert not (await other.search("ann", "boots", ["boot"], timeout=0.0)).personal
        assert not client.search("ann", "boots", ["boot"], timeout=0.0).personal

    status, said = stage.headrace("show", "search", "ann")
    assert status == 0, said
    assert "'camping'" in said
    assert "stove" in said
    status, said = stage.headrace("show", "query", "Camping")
    assert status == 0, said
    assert query_key("camping") in said
    status, said = stage.headrace("show", "search", "nobody")
    assert status != 0
    assert "Search lists appear when that user searches" in said
    assert worker.metric("headrace_search_freshness_seconds_count") >= 4

    # What Redis lost comes back with a new start, the erased shopper's does not.
    shoppers.erase("bob")
    worker.wait_until(lambda: not stage.redis.exists(search_key("bob")), "the erased search list to vanish")
    assert worker.terminate() == 0, worker.log
    stage.redis.flushdb()
    worker = stage.start_worker().await_ready()
    worker.wait_until(lambda: stage.redis.exists(search_key("ann")), "the search list to be there again")
    worker.wait_until(lambda: worker.metric("headrace_dirty_users") == 0, "all to be published")
    assert not stage.redis.exists(search_key("bob"))
