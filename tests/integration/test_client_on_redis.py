"""The web tier's client on a real Redis; both clients must agree on everything."""

from collections.abc import AsyncIterator

import pytest
from redis import Redis

from stream_app.client import AsyncClient, Client, ClientUnavailableError
from stream_app.embedded import EmbeddedRedis, EmbeddedServers
from stream_app.publish.contract import encode_list, item_key, popular_key, user_key
from stream_app.publish.port import Document
from stream_app.publish.redis_publisher import RedisPublisher
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
