"""The client of a web tier on a real Redis; both clients must return the same."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest
from redis import Redis

from stream_app.client import STALE_SEARCH_TOLERANCE, AsyncClient, Client, ClientUnavailableError, SearchOrder
from stream_app.client.redis_contract import (
    SearchList,
    encode_list,
    item_key,
    popular_key,
    search_key,
    user_key,
)
from stream_app.publishing.publisher import Document, OwnedKey
from stream_app.publishing.redis_publisher import RedisPublisher
from stream_app.tools.embedded import EmbeddedRedis, EmbeddedServers
from topics.events import rfc3339
from topics.records import ListedItem, Reason, RecommendationList

TIMEOUT = 60.0
"""Seconds of a read; the default, a twentieth of a second, is too short for a busy machine."""


def document(key: str, *items: str) -> Document:
    listed = tuple(ListedItem(item, 0.5, 1.0, Reason("also_viewed", item_id="x")) for item in items)
    value = encode_list(
        RecommendationList(
            list_id="l",
            key=key,
            generated_at="2026-11-24T09:30:00.123Z",
            policy="fixed",
            model_version=1,
            items=listed,
        )
    )
    return Document(key, value)


@pytest.fixture
async def publisher(redis_url: str) -> AsyncIterator[RedisPublisher]:
    created = RedisPublisher(redis_url, ttl=60.0)
    yield created
    await created.close()


class BothClients:
    """Reads by both clients and asserts that they agree."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def read(
        self,
        user_id: str,
        session_items: tuple[str, ...] = (),
        segments: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
    ) -> RecommendationList | None:
        with Client(self.url, TIMEOUT) as client:
            blocking = client.read(user_id, session_items=session_items, segments=segments, exclude=exclude)
        async with AsyncClient(self.url, TIMEOUT) as async_client:
            found = await async_client.read(
                user_id, session_items=session_items, segments=segments, exclude=exclude
            )
        assert found == blocking
        return found


@pytest.fixture
def both_clients(redis_url: str) -> BothClients:
    return BothClients(redis_url)


async def test_each_fallback_key_is_used_when_the_keys_before_it_are_missing(
    publisher: RedisPublisher, both_clients: BothClients
) -> None:
    chain = [
        user_key("ann"),
        item_key("newest"),
        item_key("older"),
        popular_key("country:FR"),
        popular_key("channel:web"),
        popular_key(),
    ]
    await publisher.publish([document(key, "a") for key in chain])
    for key in chain:
        found = await both_clients.read("ann", ("older", "newest"), ("country:FR", "channel:web"))
        assert found is not None
        assert found.key == key
        await publisher.delete([OwnedKey(key)])
    assert await both_clients.read("ann", ("older", "newest"), ("country:FR", "channel:web")) is None


async def test_empty_unreadable_and_fully_excluded_lists_are_skipped(
    publisher: RedisPublisher, both_clients: BothClients
) -> None:
    await publisher.publish(
        [
            document(user_key("ann")),
            Document(item_key("shoe"), b"not a document"),
            document(popular_key("country:FR"), "a"),
            document(popular_key(), "a", "b", "c"),
        ]
    )
    found = await both_clients.read("ann", ("shoe",), ("country:FR",), exclude=("a", "c"))
    assert found is not None
    assert (found.key, [item.id for item in found.items]) == (popular_key(), ["b"])


@pytest.mark.parametrize("identifier", ["a{b} c", "}:Q", "é🛒", "%7B", "\n", "*", "x" * 256])
async def test_any_id_reads_its_own_list(
    publisher: RedisPublisher, both_clients: BothClients, identifier: str
) -> None:
    await publisher.publish([document(user_key(identifier), "a"), document(user_key("other"), "b")])
    found = await both_clients.read(identifier)
    assert found is not None
    assert found.key == user_key(identifier)


async def test_a_read_is_one_command_however_long_the_chain(redis_url: str) -> None:
    with Client(redis_url, TIMEOUT) as client, Redis.from_url(redis_url) as connection:
        client.read("warm")
        async with AsyncClient(redis_url, TIMEOUT) as async_client:
            await async_client.read("warm")
            for read in (client.read, async_client.read):
                connection.config_resetstat()
                answer = read("ann", session_items=["a", "b", "c"], segments=["country:FR", "channel:web"])
                if not isinstance(answer, RecommendationList | None):
                    await answer
                statistics = connection.info("commandstats")
                assert isinstance(statistics, dict)
                calls = {name: of["calls"] for name, of in statistics.items()}
                calls.pop("cmdstat_config|resetstat", None)
                calls.pop("cmdstat_config", None)
                calls.pop("cmdstat_info", None)
                assert calls == {"cmdstat_mget": 1}


async def test_single_keys_are_read_without_fallbacks(publisher: RedisPublisher, redis_url: str) -> None:
    keys = [user_key("ann"), item_key("shoe"), popular_key("country:FR"), popular_key()]
    await publisher.publish([document(key, "a") for key in keys])
    with Client(redis_url, TIMEOUT) as client:
        found = [
            client.read_key(user_key("ann")),
            client.item("shoe"),
            client.popular("country:FR"),
            client.popular(),
        ]
        assert [one.key for one in found if one is not None] == keys
        assert client.item("hat") is None
        assert client.read_key(user_key("bob")) is None
    async with AsyncClient(redis_url, TIMEOUT) as async_client:
        assert [await async_client.read_key(key) for key in keys] == found
        assert await async_client.read_key(user_key("bob")) is None


async def test_an_unreadable_single_key_counts_as_absent(publisher: RedisPublisher, redis_url: str) -> None:
    await publisher.publish([Document(item_key("shoe"), b"{")])
    with Client(redis_url, TIMEOUT) as client:
        assert client.item("shoe") is None
    async with AsyncClient(redis_url, TIMEOUT) as async_client:
        assert await async_client.read_key(item_key("shoe")) is None


async def test_a_client_raises_while_redis_is_unavailable_and_recovers(
    servers: EmbeddedServers, redis_url: str
) -> None:
    if not isinstance(servers.redis, EmbeddedRedis):
        pytest.skip("HEADRACE_REDIS names an external Redis, which the test must not stop")
    with Client(redis_url, TIMEOUT) as client:
        async with AsyncClient(redis_url, TIMEOUT) as async_client:
            assert client.read("ann") is None
            assert await async_client.read("ann") is None
            servers.redis.kill()
            with pytest.raises(ClientUnavailableError):
                client.read("ann")
            with pytest.raises(ClientUnavailableError):
                await async_client.read("ann")
            servers.redis.start()
            assert client.read("ann") is None
            assert await async_client.read("ann") is None


RESULTS = ("a", "b", "c")


def search_list(generated_at: float | str, *items: str, query: str = "tents") -> Document:
    listed = tuple(ListedItem(item, 0.5, 1.0, Reason("matches_search", query=query)) for item in items)
    value = encode_list(
        SearchList(
            list_id="l",
            key=search_key("ann"),
            generated_at=generated_at if isinstance(generated_at, str) else rfc3339(generated_at),
            policy="search_rrf",
            model_version=1,
            items=listed,
            query=query,
        )
    )
    return Document(search_key("ann"), value)


async def search_with_both_clients(url: str, timeout: float = 0.05, **arguments: float) -> tuple[str, ...]:  # noqa: ASYNC109  # it is the argument under test
    """Search with both clients, one after the other."""
    with Client(url, timeout=TIMEOUT) as client:
        blocking = await asyncio.to_thread(client.search, "ann", " Tents", RESULTS, timeout, **arguments)
    async with AsyncClient(url, timeout=TIMEOUT) as async_client:
        found = await async_client.search("ann", " Tents", RESULTS, timeout, **arguments)
    assert found == blocking
    assert found.personal == (found.document is not None)
    return found.items


async def test_a_current_search_list_is_used_at_once(publisher: RedisPublisher, redis_url: str) -> None:
    # Clocks may differ, and the event was sent before the read.
    for seconds in (0.0, -STALE_SEARCH_TOLERANCE / 2, 3600.0):
        searched_at = time.time()
        await publisher.publish([search_list(searched_at + seconds, "c", "b", "a")])
        async with asyncio.timeout(240):
            assert await search_with_both_clients(redis_url, 120.0, searched_at=searched_at) == (
                "c",
                "b",
                "a",
            )


@pytest.mark.parametrize("generated_at", ["2026-01-01T00:00:00.000Z", "yesterday"])
async def test_a_stale_search_list_is_used_only_after_the_timeout(
    publisher: RedisPublisher, redis_url: str, generated_at: str
) -> None:
    await publisher.publish([search_list(generated_at, "c", "b", "a")])
    started = time.monotonic()
    assert await search_with_both_clients(redis_url, 3.0) == ("c", "b", "a")
    assert time.monotonic() - started >= 6.0, "both clients waited"


async def test_a_repeated_search_waits_for_the_new_list(publisher: RedisPublisher, redis_url: str) -> None:
    stale_list = search_list(time.time() - 60.0, "c", "b", "a")
    with Client(redis_url, timeout=TIMEOUT) as client, Redis.from_url(redis_url) as connection:
        search_started = threading.Event()

        def search() -> SearchOrder:
            search_started.set()
            return client.search("ann", "tents", RESULTS, 200.0)

        async with AsyncClient(redis_url, timeout=TIMEOUT) as async_client:
            await publisher.publish([stale_list])
            connection.config_resetstat()
            both_clients = asyncio.gather(
                asyncio.to_thread(search), async_client.search("ann", "tents", RESULTS, 200.0)
            )
            async with asyncio.timeout(240):
                while not search_started.is_set() or await _n_reads(connection) < 6:  # noqa: ASYNC110  # Redis offers no event
                    await asyncio.sleep(0.002)
                assert not both_clients.done()
                await publisher.publish([search_list(time.time(), "b", "c", "a")])
                assert {found.items for found in await both_clients} == {("b", "c", "a")}


async def test_a_rendered_page_uses_a_search_list_of_any_age_at_once(
    publisher: RedisPublisher, redis_url: str
) -> None:
    await publisher.publish([search_list("2026-01-01T00:00:00.000Z", "c", "b", "a")])
    async with asyncio.timeout(240):
        assert await search_with_both_clients(redis_url, 120.0, searched_at=0.0) == ("c", "b", "a")


async def test_a_search_list_of_another_query_is_never_used(
    publisher: RedisPublisher, redis_url: str
) -> None:
    for generated_at in (time.time(), time.time() - 60.0):
        await publisher.publish([search_list(generated_at, "c", "b", "a", query="boots")])
        assert await search_with_both_clients(redis_url) == RESULTS


async def _n_reads(connection: Redis) -> int:
    """Reads since the statistics were reset."""
    statistics = await asyncio.to_thread(connection.info, "commandstats")
    assert isinstance(statistics, dict)
    return int(statistics.get("cmdstat_mget", {"calls": 0})["calls"])
