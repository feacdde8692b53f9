"""The Redis publisher writes to a node of a cluster: a call has keys of one slot."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from stream_app.publishing.publisher import OwnedKey, PublisherUnavailableError
from stream_app.tools.embedded import EmbeddedRedis, StepCallback
from tests.checks.test_redis_ownership import PARTITION, FakeOwnership, Owner, text_at
from tests.support.worker_handle import wait_until

KEYS = tuple(f"recs:user:{{user {number}}}" for number in range(40))


class ClusterNode(EmbeddedRedis):
    """A node that has all slots."""

    def _command(self, progress: StepCallback) -> list[str | Path]:
        return [*super()._command(progress), "--cluster-enabled", "yes"]


@pytest.fixture(scope="module")
def node() -> Iterator[Any]:
    server = ClusterNode()
    with server, Redis.from_url(server.address) as redis:
        redis.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
        wait_until(lambda: redis.cluster("INFO")["cluster_state"] == "ok", "the slots", seconds=60)
        yield server, redis


@pytest.fixture
async def owner(node: Any) -> AsyncIterator[Owner]:
    server, redis = node
    redis.flushall()
    owner = Owner(server.address, FakeOwnership())
    yield owner
    await owner.publisher.close()


async def test_lists_of_many_slots_are_written_and_removed(owner: Owner, node: Any) -> None:
    _, redis = node
    await owner.write("first", *KEYS)
    await owner.write("second", *KEYS)
    assert {text_at(redis, key) for key in KEYS} == {"second"}
    await owner.publisher.delete([OwnedKey(key, PARTITION) for key in KEYS])
    assert not redis.exists(KEYS[0])


async def test_a_former_owner_is_refused_in_each_slot(owner: Owner, node: Any) -> None:
    server, redis = node
    former = Owner(server.address, FakeOwnership())
    await former.write("old", *KEYS)
    await owner.write("new", *KEYS)
    former.ownership.refuse_confirmations()
    with pytest.raises(PublisherUnavailableError):
        await former.write("older", *KEYS)
    assert former.ownership.refused == len(KEYS)
    assert {text_at(redis, key) for key in KEYS} == {"new"}
    await former.publisher.close()
