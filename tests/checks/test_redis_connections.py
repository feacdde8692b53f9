"""How often Redis is asked, and what is closed, loaded or restored again after an error."""

import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from stream_app.publishing.publisher import OwnedKey, PublisherUnavailableError
from stream_app.publishing.redis_connection import open_connection
from stream_app.publishing.redis_publisher import token_key
from stream_app.publishing.redis_sentinel import SENTINEL_KEY, RepublicationRequest, RepublicationState
from stream_app.tools.embedded import EmbeddedRedis
from tests.integration.test_redis_sentinel import Owner


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as running:
        yield running


@pytest.fixture
def redis(server: EmbeddedRedis) -> Iterator[Any]:
    with Redis.from_url(server.address, decode_responses=True) as connection:
        connection.flushall()
        yield connection


@asynccontextmanager
async def open_owner(server: EmbeddedRedis) -> AsyncIterator[Owner]:
    owner = Owner(server.address)
    yield owner
    await owner.sentinel.close()
    await owner.publisher.close()


def test_a_connection_that_is_closed_is_not_tried_again() -> None:
    n_accepted = 0
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def close_all() -> None:
            nonlocal n_accepted
            while True:
                try:
                    accepted, _ = listening.accept()
                except OSError:
                    return
                n_accepted += 1
                accepted.close()

        errors: list[Exception] = []

        def ask() -> None:
            with closing(open_connection(f"redis://127.0.0.1:{listening.getsockname()[1]}", 60.0)) as redis:
                try:
                    redis.ping()
                except (RedisError, OSError) as error:
                    errors.append(error)

        threads = [threading.Thread(target=target, daemon=True) for target in (close_all, ask)]
        for thread in threads:
            thread.start()
        threads[1].join(30.0)
        assert len(errors) == 1
        assert n_accepted == 1
        listening.shutdown(socket.SHUT_RDWR)
        threads[0].join(30.0)


async def test_a_refusal_leads_to_a_new_connection(server: EmbeddedRedis, redis: Any) -> None:
    n_calls = 0

    def count() -> None:
        nonlocal n_calls
        n_calls += 1

    async with open_owner(server) as owner:
        owner.publisher.on_reconnect = count
        await owner.publish("recs:user:{a}")
        redis.config_set("maxmemory", "1")
        try:
            with pytest.raises(PublisherUnavailableError, match="full"):
                await owner.publish("recs:user:{a}")
        finally:
            redis.config_set("maxmemory", "0")
        assert n_calls == 0
        # The address may lead to another server now.
        await owner.publish("recs:user:{a}")
        assert n_calls == 1


async def test_the_loss_of_a_single_check_is_noticed(server: EmbeddedRedis, redis: Any) -> None:
    with Redis.from_url(server.address) as raw:
        async with open_owner(server) as owner:
            epoch, _ = await owner.sentinel.check()
            dump = raw.dump(SENTINEL_KEY)
            assert dump is not None
            assert await owner.sentinel.check() == (epoch, frozenset())
            raw.restore(SENTINEL_KEY, 0, dump, replace=True)
            assert (await owner.sentinel.check()).epoch != epoch
    assert redis.hget(SENTINEL_KEY, "checks") == "2"


async def test_counters_of_tokens_are_restored_once_after_a_loss(server: EmbeddedRedis, redis: Any) -> None:
    async with open_owner(server) as owner:
        await owner.publish("recs:user:{a}")
        redis.delete(token_key(0))
        await owner.sentinel.check()
        assert redis.get(token_key(0)) == "1"
        redis.delete(token_key(0))
        await owner.sentinel.check()
        assert redis.get(token_key(0)) is None


async def test_the_first_check_after_a_request_keeps_its_epoch(server: EmbeddedRedis, redis: Any) -> None:
    with closing(RepublicationRequest(server.address)) as request:
        assert not request.state().is_current
        state = request.begin()
        assert (state.checks, state.is_current, state.n_remaining) == (0, True, 0)
        async with open_owner(server) as owner:
            epoch, complete = await owner.sentinel.check()
            assert not complete
            assert request.state().checks == 1
            await owner.sentinel.report_remaining({4, 2, 7}, 5)
            assert redis.hget(SENTINEL_KEY, "left:2") == "5"
            await owner.sentinel.mark_complete({2}, epoch)
            await owner.sentinel.check()
        state = request.state()
        assert (state.checks, state.is_current, state.n_remaining) == (2, True, 0)
        assert state.complete == state.partitions == {2}


def test_a_closed_request_has_no_connection(server: EmbeddedRedis, redis: Any) -> None:
    before = len(redis.client_list())
    request = RepublicationRequest(server.address)
    request.begin()
    assert len(redis.client_list()) == before + 1
    request.close()
    # The server notices a closed connection when it comes to it.
    deadline = time.monotonic() + 60.0
    while len(redis.client_list()) != before:
        assert time.monotonic() < deadline


def test_the_state_of_a_redis_without_a_worker() -> None:
    state = RepublicationState({}, "e")
    assert not state.partitions
    assert not state.complete
    assert (state.n_remaining, state.checks, state.is_current) == (0, 0, False)
    fields = {"epoch": "e", "0": "e", "1": "old", "left:1": "3", "left:5": "4", "checks": "9"}
    state = RepublicationState(fields, "e")
    assert state.partitions == {0, 1}
    assert state.complete == {0}
    assert (state.n_remaining, state.checks, state.is_current) == (7, 9, True)


def milliseconds(redis: Any) -> float:
    seconds, micros = redis.time()
    return float(seconds * 1_000 + micros / 1_000)


@pytest.mark.parametrize(("is_erased", "lifetime"), [(False, 60_000), (True, 900_000)])
async def test_a_list_lives_as_long_as_set_and_the_mark_of_an_erased_user_for_a_quarter_of_an_hour(
    server: EmbeddedRedis, redis: Any, is_erased: bool, lifetime: int
) -> None:
    key = "recs:user:{a}"
    async with open_owner(server) as owner:
        await owner.publish(key)
        before = milliseconds(redis)
        await (owner.publisher.erase([OwnedKey(key, 0)]) if is_erased else owner.publish(key))
        left = redis.pttl(key)
        elapsed = milliseconds(redis) - before
    assert lifetime - elapsed - 2 <= left <= lifetime
