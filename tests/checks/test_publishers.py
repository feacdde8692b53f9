"""Every publisher passes every check; tests of Redis alone follow."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from redis import Redis

from stream_app.publishing.memory_publisher import MemoryPublisher
from stream_app.publishing.publisher import Document, PublisherUnavailableError
from stream_app.publishing.redis_publisher import RedisPublisher
from stream_app.tools.embedded import EmbeddedRedis
from tests.checks.publisher_checks import CHECKS, PublisherUnderTest

OpenPublisher = Callable[[], AbstractAsyncContextManager[PublisherUnderTest]]


class MemoryStore:
    """The memory publisher and its dict."""

    def __init__(self) -> None:
        self.publisher = MemoryPublisher()

    async def read(self, key: str) -> bytes | None:
        return self.publisher.documents.get(key)

    async def keys(self) -> set[str]:
        return set(self.publisher.documents)

    async def become_unavailable(self) -> None:
        self.publisher.available = False

    async def become_available(self) -> None:
        self.publisher.available = True


class RedisStore:
    """The Redis publisher and a server of its own."""

    def __init__(self, server: EmbeddedRedis) -> None:
        self.server = server
        self.publisher = RedisPublisher(server.address, ttl=60.0)

    async def read(self, key: str) -> bytes | None:
        with Redis.from_url(self.server.address) as connection:
            value = connection.get(key)
        assert value is None or isinstance(value, bytes)
        return value

    async def keys(self) -> set[str]:
        with Redis.from_url(self.server.address, decode_responses=True) as connection:
            return set(connection.scan_iter())

    async def become_unavailable(self) -> None:
        self.server.kill()

    async def become_available(self) -> None:
        self.server.start()


@asynccontextmanager
async def memory() -> AsyncIterator[PublisherUnderTest]:
    yield MemoryStore()


@pytest.fixture(params=["memory", "redis"])
def open_publisher(request: pytest.FixtureRequest) -> OpenPublisher:
    if request.param == "memory":
        return memory
    running: EmbeddedRedis = request.getfixturevalue("redis_server")

    @asynccontextmanager
    async def redis() -> AsyncIterator[PublisherUnderTest]:
        running.start()
        with Redis.from_url(running.address) as connection:
            connection.flushdb()
        store = RedisStore(running)
        try:
            yield store
        finally:
            await store.publisher.close()

    return redis


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
async def test_publisher(
    open_publisher: OpenPublisher, check: Callable[[PublisherUnderTest], Awaitable[None]]
) -> None:
    async with open_publisher() as store:
        await check(store)


async def test_every_write_renews_the_time_to_live(redis_server: EmbeddedRedis) -> None:
    redis_server.start()
    publisher = RedisPublisher(redis_server.address, ttl=3600.5)
    with Redis.from_url(redis_server.address) as connection:
        connection.flushdb()
        await publisher.publish([Document("a", b"1"), Document("b", b"2")])
        connection.persist("a")
        connection.pexpire("b", 1000)
        await publisher.publish([Document("a", b"1"), Document("b", b"2")])
        for key in ("a", "b"):
            left = connection.pttl(key)
            assert isinstance(left, int)
            assert 3_590_000 < left <= 3_600_500
    await publisher.close()


async def test_a_flush_is_one_round_trip_without_a_transaction(redis_server: EmbeddedRedis) -> None:
    redis_server.start()
    publisher = RedisPublisher(redis_server.address, ttl=60.0)
    await publisher.publish([Document("warm", b"")])
    with Redis.from_url(redis_server.address) as connection:
        connection.config_resetstat()
        await publisher.publish([Document(f"k{number}", b"v") for number in range(100)])
        statistics = connection.info("commandstats")
        reads = connection.info("stats")
    assert isinstance(statistics, dict)
    assert statistics["cmdstat_set"]["calls"] == 100
    assert "cmdstat_multi" not in statistics
    # the server read the whole pipeline at once; the other reads are commands of this test
    assert isinstance(reads, dict)
    assert reads["total_reads_processed"] <= 4
    await publisher.close()


async def test_redis_refusing_writes_counts_as_unavailable(redis_server: EmbeddedRedis) -> None:
    redis_server.start()
    publisher = RedisPublisher(redis_server.address, ttl=60.0)
    with Redis.from_url(redis_server.address) as connection:
        connection.config_set("maxmemory", "1")
        try:
            with pytest.raises(PublisherUnavailableError, match="maxmemory"):
                await publisher.publish([Document("a", b"1")])
        finally:
            connection.config_set("maxmemory", "0")
    await publisher.publish([Document("a", b"1")])
    await publisher.close()


async def test_publisher_can_be_created_before_redis_is_reachable() -> None:
    publisher = RedisPublisher("redis://127.0.0.1:1/0", ttl=60.0)
    with pytest.raises(PublisherUnavailableError):
        await publisher.publish([Document("a", b"1")])
    await publisher.close()
