"""Clients and the publisher with Sentinels while the master does not answer, and after the failover."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator

import pytest

from stream_app.client import AsyncClient, Client, ClientUnavailableError
from stream_app.client.redis_contract import item_key, user_key
from stream_app.publishing.publisher import Document, PublisherUnavailableError
from stream_app.redis_server import RedisServer, parse_redis
from tests.checks.test_redis_cluster import ClusterOwner as SentinelOwner
from tests.checks.test_redis_cluster import listed
from tests.support.redis_servers import RealSentinels

SECONDS = 120.0


@pytest.fixture
def sentinels() -> Iterator[RealSentinels]:
    with RealSentinels() as running:
        yield running


@pytest.fixture
def server(sentinels: RealSentinels) -> RedisServer:
    return parse_redis(sentinels.address, mode="sentinel", master="shop")


async def test_a_late_reply_is_not_taken_for_that_of_another_read(
    sentinels: RealSentinels, server: RedisServer
) -> None:
    master = sentinels.master()
    with master.connect() as redis:
        for key in (user_key("ann"), user_key("bob"), item_key("i")):
            redis.set(key, listed(key))
    with Client(server, 0.2) as client:
        async with AsyncClient(server, 0.2) as client_:
            assert client.read("ann") == await client_.read("ann") is not None
            os.kill(master.pid or 0, signal.SIGSTOP)
            with pytest.raises(ClientUnavailableError):
                client.read("ann")
            with pytest.raises(ClientUnavailableError):
                await client_.read("ann")
            os.kill(master.pid or 0, signal.SIGCONT)
            deadline = time.monotonic() + SECONDS
            while True:
                try:
                    found = client.read("bob"), await client_.read("bob")
                except ClientUnavailableError:
                    assert time.monotonic() < deadline
                    continue
                break
            assert [each.key for each in found if each is not None] == [user_key("bob")] * 2


async def test_a_master_that_does_not_answer_is_replaced_for_publisher_and_clients(
    sentinels: RealSentinels, server: RedisServer
) -> None:
    owner, master = SentinelOwner(server), sentinels.master()
    await owner.write("before", "recs:user:{ann}")
    with Client(server, 1.0) as client:
        async with AsyncClient(server, 1.0) as client_:
            assert client.read("none") is None
            assert await client_.read("none") is None
            os.kill(master.pid or 0, signal.SIGSTOP)
            deadline = time.monotonic() + SECONDS
            key = item_key("i")
            while True:
                try:
                    await owner.publisher.publish([Document(key, listed(key), None)])
                    assert client.item("i") == await client_.item("i") is not None
                except (PublisherUnavailableError, ClientUnavailableError):
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.05)
                    continue
                break
            assert sentinels.master() is not master
            assert owner.n_reconnections >= 1
    os.kill(master.pid or 0, signal.SIGCONT)
    await owner.sentinel.close()
    await owner.publisher.close()
