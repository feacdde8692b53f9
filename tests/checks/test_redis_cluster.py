"""The publisher, its sentinel, both clients and the doctor on a real cluster: losses, a resharding, a failover."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from stream_app.client import AsyncClient, Client
from stream_app.client.redis_clients import close_blocking, open_blocking
from stream_app.client.redis_contract import encode_list, item_key, popular_key, user_key
from stream_app.publishing.publisher import Document, OwnedKey, PublisherUnavailableError
from stream_app.publishing.redis_connection import slot_of
from stream_app.publishing.redis_inspection import inspect_redis
from stream_app.publishing.redis_sentinel import RedisSentinel
from stream_app.redis_server import RedisServer, parse_redis
from tests.checks.test_redis_ownership import PARTITION, FakeOwnership, Owner
from tests.support.redis_acl import WORKER, WORKER_IN_CLUSTER, grant, password_of
from tests.support.redis_servers import RealCluster, RealRedis
from topics.records import ListedItem, Reason, RecommendationList

USERS: Final = tuple(f"user-{number}" for number in range(60))
KEYS: Final = tuple(map(user_key, USERS))
PATIENT: Final = 60.0
SECONDS: Final = 120.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[RealCluster]:
    """Three primaries, with a replica each."""
    with RealCluster(3, replicas=1) as running:
        yield running


@pytest.fixture
def server(cluster: RealCluster) -> RedisServer:
    """The cluster, empty."""
    for node in cluster.primaries():
        with node.connect() as redis:
            redis.flushall()
    return parse_redis(cluster.address, mode="cluster")


class ClusterOwner(Owner):
    """A publisher and its sentinel."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__(server, FakeOwnership())
        self.sentinel = RedisSentinel(server, self.publisher)
        self.n_reconnections = 0
        self.publisher.on_reconnect = self._count

    def _count(self) -> None:
        self.n_reconnections += 1

    async def write_within(self, text: str, seconds: float = SECONDS) -> None:
        """Write as the flush loop does, until Redis is available again."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                await self.write(text, *KEYS)
            except PublisherUnavailableError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            else:
                return

    async def epoch(self) -> str:
        """The epoch that a check finds, as soon as Redis answers it."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                return (await self.sentinel.check()).epoch
            except PublisherUnavailableError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)


@asynccontextmanager
async def open_owner(server: RedisServer) -> AsyncIterator[ClusterOwner]:
    owner = ClusterOwner(server)
    yield owner
    await owner.sentinel.close()
    await owner.publisher.close()


def texts(server: RedisServer) -> set[str | None]:
    """The texts of all documents."""
    redis = open_blocking(server, PATIENT, retries=3)
    pipeline = redis.pipeline()
    for key in KEYS:
        pipeline.get(key)
    found = pipeline.execute()
    close_blocking(redis)
    return {None if value is None else value.decode().partition('"text":"')[2][:-2] for value in found}


def other_primary(cluster: RealCluster) -> RealRedis:
    """A primary that has not the hash of the sentinel."""
    for node in cluster.primaries():
        with node.connect() as redis:
            if not _has(redis, "headrace:epoch"):
                return node
    raise AssertionError


def _has(redis: Any, key: str) -> bool:
    return any(redis.scan_iter(match=key))


def listed(key: str) -> bytes:
    item = ListedItem("a", 0.5, 1.0, Reason("popular"))
    return encode_list(
        RecommendationList(
            list_id="l",
            key=key,
            generated_at="2026-01-01T00:00:00.000Z",
            policy="p",
            model_version=1,
            items=(item,),
        )
    )


async def test_lists_of_all_nodes_are_written_erased_and_removed(server: RedisServer) -> None:
    async with open_owner(server) as owner:
        await owner.write("first", *KEYS)
        await owner.write("second", *KEYS)
        assert texts(server) == {"second"}
        await owner.publisher.erase([OwnedKey(KEYS[0], PARTITION)])
        assert await owner.sentinel.with_lists(USERS) == list(USERS[1:])
        await owner.publisher.delete([OwnedKey(key, PARTITION) for key in KEYS])
        assert texts(server) == {None}


async def test_a_former_owner_is_refused_at_each_node(server: RedisServer) -> None:
    async with open_owner(server) as former, open_owner(server) as owner:
        await former.write("old", *KEYS)
        await owner.write("new", *KEYS)
        former.ownership.refuse_confirmations()
        with pytest.raises(PublisherUnavailableError):
            await former.write("older", *KEYS)
        assert former.ownership.refused == len(KEYS)
        assert texts(server) == {"new"}


async def test_scripts_that_one_node_lost_are_loaded_again(cluster: RealCluster, server: RedisServer) -> None:
    async with open_owner(server) as owner:
        await owner.write("before", *KEYS)
        with cluster.primaries()[1].connect() as redis:
            redis.script_flush()
        assert await owner.write_until_accepted("after", *KEYS) == 1
        assert texts(server) == {"after"}


async def test_users_of_all_nodes_are_found_once(server: RedisServer) -> None:
    async with open_owner(server) as owner:
        await owner.write("text", *KEYS)
        found = [user async for portion in owner.sentinel.user_ids() for user in portion]
        assert sorted(found) == sorted(USERS)


async def test_an_emptied_node_begins_one_epoch_for_all_workers(
    cluster: RealCluster, server: RedisServer
) -> None:
    async with open_owner(server) as first, open_owner(server) as second:
        epoch = await first.epoch()
        assert await second.epoch() == epoch
        await first.sentinel.mark_complete({0}, epoch)
        with other_primary(cluster).connect() as redis:
            redis.flushall()
        new_epoch = await first.epoch()
        assert new_epoch != epoch
        for owner in (second, first, second):
            assert await owner.sentinel.check() == (new_epoch, frozenset())


async def test_a_node_that_was_emptied_while_no_worker_ran_is_noticed(
    cluster: RealCluster, server: RedisServer
) -> None:
    async with open_owner(server) as owner:
        epoch = await owner.epoch()
    with other_primary(cluster).connect() as redis:
        redis.flushall()
    async with open_owner(server) as owner:
        assert await owner.epoch() != epoch


async def test_both_clients_read_a_chain_whose_keys_are_at_several_nodes(server: RedisServer) -> None:
    async with open_owner(server) as owner:
        keys = [user_key("ann"), item_key("i1"), popular_key("country:FR"), popular_key()]
        assert len({slot_of(key) // 5_462 for key in keys}) > 1
        for at in reversed(range(len(keys))):
            await owner.publisher.publish([Document(keys[at], listed(keys[at]), None)])
            arguments = {"session_items": ["i1"], "segments": ["country:FR"]}
            with Client(server, PATIENT) as client:
                found = client.read("ann", **arguments)
            async with AsyncClient(server, PATIENT) as client_:
                assert await client_.read("ann", **arguments) == found
            assert found is not None
            assert found.key == keys[at]


async def test_a_resharding_loses_no_list_and_is_no_loss() -> None:
    with RealCluster(3) as cluster:
        server = parse_redis(cluster.address, mode="cluster")
        async with open_owner(server) as owner, AsyncClient(server, PATIENT) as client_:
            await owner.write("before", *KEYS)
            epoch = await owner.epoch()
            source, target = cluster.nodes[0], cluster.add_primary()
            slots = sorted({slot_of(key) for key in KEYS} & set(range(5_461)))
            with Client(server, PATIENT) as client:
                assert client.item("none") is None
                cluster.move_slots(source, target, range(600))
                # One slot is being moved, without its keys: the target is asked for them.
                moving = next(slot for slot in slots if slot >= 600)
                cluster.begin_move(source, target, moving)
                await owner.write_within("after")
                assert texts(server) == {"after"}
                for key in KEYS:
                    assert client.read_key(key) is None  # no whole list, and no error
                    assert await client_.read_key(key) is None
            for _ in range(4):
                assert await owner.epoch() == epoch
            # The new node has a counter, too.
            with target.connect() as redis:
                redis.flushall()
            assert await owner.epoch() != epoch


async def test_after_a_failover_lists_are_written_and_former_owners_refused(
    cluster: RealCluster, server: RedisServer
) -> None:
    async with open_owner(server) as former, open_owner(server) as owner:
        await former.write("old", *KEYS)
        await owner.write("before", *KEYS)
        epoch = await owner.epoch()
        with Client(server, PATIENT) as client:
            assert client.read("none", session_items=USERS) is None
            killed = other_primary(cluster)
            killed.kill()
            await owner.write_within("after")
            assert owner.n_reconnections >= 1
            assert texts(server) == {"after"}
            # The first read after the failover finds the new primary.
            assert client.read("none", session_items=USERS) is None
        former.ownership.refuse_confirmations()
        for _ in range(3):
            with pytest.raises(PublisherUnavailableError):
                await former.write("older", *KEYS)
        assert texts(server) == {"after"}
        # The replica had everything.
        assert await owner.epoch() == epoch
    killed.start()


def test_doctor_names_a_right_that_one_node_lacks(cluster: RealCluster, server: RedisServer) -> None:
    for node in cluster.primaries():
        with node.connect() as redis:
            grant(redis, (WORKER[0], "reset"), WORKER, WORKER_IN_CLUSTER)
    login = {"username": WORKER[0], "password": password_of(WORKER)}
    server = parse_redis(cluster.address, mode="cluster", **login)
    report = inspect_redis(server)
    assert (report.n_nodes, report.missing_rights, report.write_error) == (3, (), "")
    with cluster.primaries()[2].connect() as redis:
        grant(redis, (WORKER[0], "-getrange", "-scan"))
        before = set(redis.scan_iter())
        assert inspect_redis(server).missing_rights == ("+getrange", "+scan")
        assert set(redis.scan_iter()) == before
