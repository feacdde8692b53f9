"""The sentinel of Redis notices that lists are lost; the publisher says why Redis refuses."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from stream_app.client.redis_contract import item_key, query_key, search_key, user_key
from stream_app.publishing.publisher import (
    Document,
    OwnedKey,
    OwnershipUnconfirmedError,
    PublisherUnavailableError,
)
from stream_app.publishing.redis_publisher import RedisPublisher, token_key
from stream_app.publishing.redis_sentinel import SENTINEL_KEY, RedisSentinel
from stream_app.publishing.sentinel import StoreState
from stream_app.tools.embedded import EmbeddedRedis


class FixedOwnership:
    """Owns all partitions."""

    generation = 1
    lease = True

    def owns(self, partition: int) -> bool:
        del partition
        return True

    def holds_lease(self) -> bool:
        return self.lease

    async def confirm(self, partitions: Collection[int]) -> None: ...

    def on_refused(self, n_documents: int) -> None: ...


class Owner:
    """A publisher and its sentinel."""

    def __init__(self, url: str) -> None:
        self.publisher = RedisPublisher(url, ttl=60.0)
        self.ownership = FixedOwnership()
        self.publisher.ownership = self.ownership
        self.sentinel = RedisSentinel(url, self.publisher)

    async def publish(self, key: str) -> None:
        await self.publisher.publish([Document(key, b'{"items":[]}', 0)])


def configure(redis: "Redis", command: str) -> None:
    execute: Any = redis.execute_command
    execute(*command.split())


@asynccontextmanager
async def open_owner(redis_server: EmbeddedRedis) -> AsyncIterator[Owner]:
    owner = Owner(redis_server.address)
    yield owner
    await owner.sentinel.close()
    await owner.publisher.close()


async def test_an_epoch_lasts_until_redis_is_emptied(redis_server: EmbeddedRedis, redis: "Redis") -> None:
    async with open_owner(redis_server) as first, open_owner(redis_server) as second:
        epoch, complete = await first.sentinel.check()
        assert not complete
        await first.sentinel.report_remaining({0, 1}, 17)
        assert redis.hget(SENTINEL_KEY, "left:0") == "17"
        await first.sentinel.mark_complete({0, 1}, epoch)
        assert redis.hget(SENTINEL_KEY, "left:0") is None
        assert await second.sentinel.check() == StoreState(epoch, frozenset({0, 1}))
        redis.flushall()
        new_epoch, complete = await second.sentinel.check()
        assert new_epoch != epoch
        assert not complete
        # Marks of the lost epoch do not count.
        await first.sentinel.mark_complete({0}, epoch)
        assert await first.sentinel.check() == StoreState(new_epoch, frozenset())


@pytest.mark.usefixtures("redis")
async def test_earlier_data_begin_a_new_epoch(redis_server: EmbeddedRedis) -> None:
    with Redis.from_url(redis_server.address) as raw:
        async with open_owner(redis_server) as first, open_owner(redis_server) as second:
            epoch, _ = await first.sentinel.check()
            await first.sentinel.mark_complete({0}, epoch)
            dump = raw.dump(SENTINEL_KEY)
            assert dump is not None
            for _ in range(5):
                await first.sentinel.check()
                await second.sentinel.check()
            raw.restore(SENTINEL_KEY, 0, dump, replace=True)
            new_epoch, complete = await second.sentinel.check()
            assert new_epoch != epoch
            assert not complete
            assert (await second.sentinel.check()).epoch == new_epoch


async def test_a_later_owner_draws_a_larger_token_after_a_loss(
    redis_server: EmbeddedRedis, redis: "Redis"
) -> None:
    async with open_owner(redis_server) as first, open_owner(redis_server) as second:
        redis.set(token_key(0), 41)
        await first.sentinel.check()
        await first.publish("recs:user:{a}")
        redis.flushall()
        await first.sentinel.check()
        await second.publish("recs:user:{b}")
        with pytest.raises(OwnershipUnconfirmedError, match="a later owner wrote"):
            await first.publish("recs:user:{b}")


async def test_the_script_is_loaded_again_after_a_restart(
    redis_server: EmbeddedRedis, redis: "Redis"
) -> None:
    async with open_owner(redis_server) as owner:
        await owner.publish("recs:user:{a}")
        redis_server.restart()
        with pytest.raises(PublisherUnavailableError):
            # The connection was lost.
            await owner.publish("recs:user:{a}")
        with pytest.raises(PublisherUnavailableError, match="Redis lost the script"):
            await owner.publish("recs:user:{a}")
        await owner.publish("recs:user:{a}")
        assert redis.exists("recs:user:{a}")


@pytest.mark.parametrize(
    ("begin", "end", "message"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "Redis is full and refuses writes"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "Redis is a read-only replica"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "min-replicas-to-write"),
    ],
)
async def test_a_refusal_is_explained_without_the_document(
    redis_server: EmbeddedRedis, redis: "Redis", begin: str, end: str, message: str
) -> None:
    async with open_owner(redis_server) as owner:
        await owner.publish("recs:user:{a}")
        configure(redis, begin)
        try:
            with pytest.raises(PublisherUnavailableError, match=message) as refused:
                await owner.publish("recs:user:{b}")
            with pytest.raises(PublisherUnavailableError, match=message):
                await owner.sentinel.check()
        finally:
            configure(redis, end)
        assert "items" not in str(refused.value)
        await owner.publish("recs:user:{b}")
        await owner.sentinel.check()
        assert redis.exists("recs:user:{b}")


async def test_an_expired_lease_is_no_outage(redis_server: EmbeddedRedis, redis: "Redis") -> None:
    async with open_owner(redis_server) as owner:
        await owner.publish("recs:user:{a}")
        owner.ownership.lease = False
        with pytest.raises(OwnershipUnconfirmedError, match="the lease on the partitions expired"):
            await owner.publish("recs:user:{b}")
        assert not redis.exists("recs:user:{b}")


def test_republish_without_a_worker_or_redis_says_what_to_do(
    redis_server: EmbeddedRedis, redis: "Redis", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from typer.testing import CliRunner

    from stream_app.__main__ import build_cli
    from stream_app.errors import UserError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_REDIS", redis_server.address)
    done = CliRunner().invoke(build_cli(), ["republish", "--timeout", "1"])
    assert isinstance(done.exception, UserError)
    assert "No worker has answered for 1 s" in str(done.exception)
    assert redis.hget(SENTINEL_KEY, "epoch")
    assert CliRunner().invoke(build_cli(), ["republish", "--no-wait"]).exit_code == 0
    redis_server.kill()
    done = CliRunner().invoke(build_cli(), ["republish"])
    assert isinstance(done.exception, UserError)
    assert "did not take the request" in str(done.exception)


async def test_users_with_lists_are_found_by_their_keys(redis_server: EmbeddedRedis, redis: "Redis") -> None:
    users = ["ann", "a{b} c", "ünï:code%", "recs:user:{x}", "\u202e🙂"]
    redis.set(item_key("an item"), "{}")
    async with open_owner(redis_server) as owner:
        for user in users:
            await owner.publisher.publish([Document(user_key(user), b'{"list_id":"l","items":[]}', 0)])
        await owner.publisher.publish([Document(search_key("searched"), b'{"list_id":"l","items":[]}', 0)])
        await owner.publisher.erase([OwnedKey(user_key("erased"), 0)])
        found = [user async for portion in owner.sentinel.user_ids() for user in portion]
        assert sorted(found) == sorted([*users, "searched", "erased"])
        # the mark of an erased user is no list
        assert sorted(await owner.sentinel.with_lists(found)) == sorted([*users, "searched"])
        assert await owner.sentinel.with_lists([]) == []


async def test_keys_and_values_of_another_program_are_left_alone(
    redis_server: EmbeddedRedis, redis: "Redis"
) -> None:
    others = [
        b"recs:user:{\xff}",
        b"recs:user:{%ff}",
        b"recs:user:{a b}",
        b"recs:search:{\xc3}:Q",
        b"recs:query:{\xfe}",
    ]
    for key in others:
        redis.set(key, b"\xff")
    redis.set(user_key("ann"), b"\xff")
    async with open_owner(redis_server) as owner:
        await owner.publisher.publish([Document(query_key("shoes"), b'{"list_id":"l","items":[]}', None)])
        assert [user async for portion in owner.sentinel.user_ids() for user in portion] == ["ann"]
        assert [query async for portion in owner.sentinel.queries() for query in portion] == ["shoes"]
        assert await owner.sentinel.with_lists(["ann"]) == ["ann"]


@pytest.mark.usefixtures("redis")
async def test_the_queries_with_a_list_are_found_by_their_text(redis_server: EmbeddedRedis) -> None:
    queries = ["red shoes", "{}*?[a]", "größe 43", "any", "100 %"]
    async with open_owner(redis_server) as owner:
        await owner.publisher.publish(
            [Document(query_key(each), b'{"list_id":"l","items":[]}', None) for each in queries]
        )
        await owner.publisher.publish([Document(user_key("ann"), b'{"list_id":"l","items":[]}', 0)])
        found = [query async for portion in owner.sentinel.queries() for query in portion]
        assert sorted(found) == sorted(queries)


@pytest.mark.parametrize("of", ["sentinel", "publisher"])
@pytest.mark.parametrize("loss", ["closed", "restarted"])
async def test_each_new_connection_has_the_newest_writes_repeated(
    redis_server: EmbeddedRedis, redis: "Redis", loss: str, of: str
) -> None:
    n_calls = 0

    def count() -> None:
        nonlocal n_calls
        n_calls += 1

    async with open_owner(redis_server) as owner:
        owner.publisher.on_reconnect = count

        async def use() -> None:
            await (owner.sentinel.check() if of == "sentinel" else owner.publish("recs:user:{a}"))

        await use()
        await use()
        assert n_calls == 0
        if loss == "closed":
            # The client connects anew in silence.
            configure(redis, "CLIENT KILL TYPE normal SKIPME yes")
        else:
            redis_server.restart()
        for attempt in range(3):
            try:
                await use()
            except PublisherUnavailableError:
                assert attempt < 2
        assert n_calls == 1
