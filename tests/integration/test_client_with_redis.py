"""The web tier's client on a real Redis; both clients must agree on everything."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest
from redis import Redis

from stream_app.client import SEARCH_TOLERANCE, AsyncClient, Client, ClientUnavailableError, SearchOrder
from stream_app.client.redis_contract import (
    SearchList,
    encode_list,
    item_key,
    popular_key,
    search_key,
    user_key,
)
from stream_app.publishing.publisher import Document
from stream_app.publishing.redis_publisher import RedisPublisher
from stream_app.tools.embedded import EmbeddedRedis, EmbeddedServers
from topics.events import rfc3339
from topics.records import ListedItem, Reason, RecommendationList


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
    made = RedisPublisher(redis_url, ttl=60.0)
    yield made
    await made.close()


class Both:
    """Reads by both clients and insists that they agree."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def read(
        self,
        user_id: str,
        session_items: tuple[str, ...] = (),
        segments: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
    ) -> RecommendationList | None:
        with Client(self.url) as client:
            blocking = client.read(user_id, session_items=session_items, segments=segments, exclude=exclude)
        async with AsyncClient(self.url) as client_in_loop:
            found = await client_in_loop.read(
                user_id, session_items=session_items, segments=segments, exclude=exclude
            )
        assert found == blocking
        return found


@pytest.fixture
def both(redis_url: str) -> Both:
    return Both(redis_url)


async def test_each_link_of_the_chain_answers_when_those_before_it_are_missing(
    publisher: RedisPublisher, both: Both
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
        found = await both.read("ann", ("older", "newest"), ("country:FR", "channel:web"))
        assert found is not None
        assert found.key == key
        await publisher.delete([key])
    assert await both.read("ann", ("older", "newest"), ("country:FR", "channel:web")) is None


async def test_what_is_empty_unreadable_or_wholly_excluded_is_passed_over(
    publisher: RedisPublisher, both: Both
) -> None:
    await publisher.publish(
        [
            document(user_key("ann")),
            Document(item_key("shoe"), b"not a document"),
            document(popular_key("country:FR"), "a"),
            document(popular_key(), "a", "b", "c"),
        ]
    )
    found = await both.read("ann", ("shoe",), ("country:FR",), exclude=("a", "c"))
    assert found is not None
    assert (found.key, [item.id for item in found.items]) == (popular_key(), ["b"])


@pytest.mark.parametrize("identifier", ["a{b} c", "}:Q", "é🛒", "%7B", "\n", "*", "x" * 256])
async def test_any_id_reads_its_own_list(publisher: RedisPublisher, both: Both, identifier: str) -> None:
    await publisher.publish([document(user_key(identifier), "a"), document(user_key("other"), "b")])
    found = await both.read(identifier)
    assert found is not None
    assert found.key == user_key(identifier)


async def test_a_read_is_one_command_however_long_the_chain(redis_url: str) -> None:
    with Client(redis_url) as client, Redis.from_url(redis_url) as connection:
        client.read("warm")
        async with AsyncClient(redis_url) as client_in_loop:
            await client_in_loop.read("warm")
            for read in (client.read, client_in_loop.read):
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
    with Client(redis_url) as client:
        found = [
            client.read_key(user_key("ann")),
            client.item("shoe"),
            client.popular("country:FR"),
            client.popular(),
        ]
        assert [one.key for one in found if one is not None] == keys
        assert client.item("hat") is None
        assert client.read_key(user_key("bob")) is None
    async with AsyncClient(redis_url) as client_in_loop:
        assert [await client_in_loop.read_key(key) for key in keys] == found
        assert await client_in_loop.read_key(user_key("bob")) is None


async def test_a_single_key_that_cannot_be_read_is_absent(publisher: RedisPublisher, redis_url: str) -> None:
    await publisher.publish([Document(item_key("shoe"), b"{")])
    with Client(redis_url) as client:
        assert client.item("shoe") is None
    async with AsyncClient(redis_url) as client_in_loop:
        assert await client_in_loop.read_key(item_key("shoe")) is None


async def test_a_client_says_that_redis_is_away_and_reads_again_when_it_is_back(
    servers: EmbeddedServers, redis_url: str
) -> None:
    if not isinstance(servers.redis, EmbeddedRedis):
        pytest.skip("HEADRACE_REDIS names a Redis that is not ours to stop")
    with Client(redis_url) as client:
        async with AsyncClient(redis_url) as client_in_loop:
            assert client.read("ann") is None
            assert await client_in_loop.read("ann") is None
            servers.redis.kill()
            with pytest.raises(ClientUnavailableError):
                client.read("ann")
            with pytest.raises(ClientUnavailableError):
                await client_in_loop.read("ann")
            servers.redis.start()
            assert client.read("ann") is None
            assert await client_in_loop.read("ann") is None


RESULTS = ("a", "b", "c")


def search_list(made_at: float | str, *items: str, query: str = "tents") -> Document:
    listed = tuple(ListedItem(item, 0.5, 1.0, Reason("matches_search", query=query)) for item in items)
    value = encode_list(
        SearchList(
            list_id="l",
            key=search_key("ann"),
            generated_at=made_at if isinstance(made_at, str) else rfc3339(made_at),
            policy="search_rrf",
            model_version=1,
            items=listed,
            query=query,
        )
    )
    return Document(search_key("ann"), value)


async def orders(url: str, timeout: float = 0.05, **more: float) -> tuple[str, ...]:  # noqa: ASYNC109
    """What both clients give back for a search, one after the other."""
    with Client(url, timeout=5.0) as client:
        blocking = await asyncio.to_thread(client.search, "ann", " Tents", RESULTS, timeout, **more)
    async with AsyncClient(url, timeout=5.0) as client_in_loop:
        found = await client_in_loop.search("ann", " Tents", RESULTS, timeout, **more)
    assert found == blocking
    assert found.personal == (found.document is not None)
    return found.items


async def test_a_list_of_this_search_is_taken_at_once(publisher: RedisPublisher, redis_url: str) -> None:
    # clocks may differ, and the event was sent before the question
    for made_at in (time.time(), time.time() - SEARCH_TOLERANCE / 2, time.time() + 3600):
        searched_at = time.time()
        await publisher.publish([search_list(made_at, "c", "b", "a")])
        async with asyncio.timeout(20):
            assert await orders(redis_url, 60.0, searched_at=searched_at) == ("c", "b", "a")


@pytest.mark.parametrize("made_at", ["2026-01-01T00:00:00.000Z", "yesterday"])
async def test_a_list_of_before_is_taken_only_where_no_other_comes_in_time(
    publisher: RedisPublisher, redis_url: str, made_at: str
) -> None:
    await publisher.publish([search_list(made_at, "c", "b", "a")])
    started = time.monotonic()
    assert await orders(redis_url, 0.5) == ("c", "b", "a")
    assert time.monotonic() - started >= 1.0, "both have waited"


async def test_of_a_search_repeated_the_new_list_is_waited_for(
    publisher: RedisPublisher, redis_url: str
) -> None:
    before = search_list(time.time() - 60.0, "c", "b", "a")
    with Client(redis_url, timeout=5.0) as client, Redis.from_url(redis_url) as connection:
        looked = threading.Event()

        def search() -> SearchOrder:
            looked.set()
            return client.search("ann", "tents", RESULTS, 30.0)

        async with AsyncClient(redis_url, timeout=5.0) as client_in_loop:
            await publisher.publish([before])
            connection.config_resetstat()
            both = asyncio.gather(
                asyncio.to_thread(search), client_in_loop.search("ann", "tents", RESULTS, 30.0)
            )
            async with asyncio.timeout(20):
                while not looked.is_set() or await _looks(connection) < 6:  # noqa: ASYNC110  # Redis alone knows
                    await asyncio.sleep(0.002)
                assert not both.done()
                await publisher.publish([search_list(time.time(), "b", "c", "a")])
                assert {found.items for found in await both} == {("b", "c", "a")}


async def test_a_page_shown_again_takes_a_list_of_any_age_at_once(
    publisher: RedisPublisher, redis_url: str
) -> None:
    await publisher.publish([search_list("2026-01-01T00:00:00.000Z", "c", "b", "a")])
    async with asyncio.timeout(20):
        assert await orders(redis_url, 60.0, searched_at=0.0) == ("c", "b", "a")


async def test_a_list_of_other_words_is_never_taken(publisher: RedisPublisher, redis_url: str) -> None:
    for made_at in (time.time(), time.time() - 60.0):
        await publisher.publish([search_list(made_at, "c", "b", "a", query="boots")])
        assert await orders(redis_url) == RESULTS


async def _looks(connection: Redis) -> int:
    """Lists asked for since the statistics began."""
    statistics = await asyncio.to_thread(connection.info, "commandstats")
    assert isinstance(statistics, dict)
    return int(statistics.get("cmdstat_mget", {"calls": 0})["calls"])
