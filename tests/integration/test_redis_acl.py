"""The rights of docs/security.md are enough for a worker, and `headrace doctor` misses none of them."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from redis import Redis

from stream_app.client import Client
from stream_app.client.redis_contract import query_key, user_key
from stream_app.publishing.publisher import (
    Document,
    OwnedKey,
    PublisherUnavailableError,
    StoreForbiddenError,
)
from stream_app.publishing.redis_inspection import inspect_redis
from stream_app.publishing.redis_sentinel import RepublicationRequest
from stream_app.tools.embedded import EmbeddedRedis
from tests.integration.test_redis_sentinel import Owner
from tests.support.redis_acl import WORKER, password_of

DATABASE: Final = 1
USER: Final = WORKER[0]
RIGHTS: Final = (*WORKER[1:], "+select")
PROBED: Final = tuple(right for right in RIGHTS if right[0] == "+" and right != "+select")
"""Without the right to select a database there is no connection to it."""


@pytest.fixture
def redis(redis_server: EmbeddedRedis) -> Iterator[Any]:
    with Redis(port=redis_server.port, db=DATABASE, decode_responses=True) as connection:
        connection.flushall()
        yield connection


def grant(redis: Any, *rights: str) -> None:
    redis.execute_command("ACL", "SETUSER", USER, "reset", *rights)


def address_of(redis_server: EmbeddedRedis) -> str:
    return f"redis://{USER}:{password_of(WORKER)}@127.0.0.1:{redis_server.port}/{DATABASE}"


@asynccontextmanager
async def open_owner(redis_server: EmbeddedRedis) -> AsyncIterator[Owner]:
    owner = Owner(address_of(redis_server))
    yield owner
    await owner.sentinel.close()
    await owner.publisher.close()


async def test_the_listed_rights_are_enough(redis_server: EmbeddedRedis, redis: Any) -> None:
    grant(redis, *RIGHTS)
    async with open_owner(redis_server) as owner:
        publisher, sentinel = owner.publisher, owner.sentinel
        epoch, _ = await sentinel.check()
        await owner.publish(user_key("ann"))
        await publisher.publish([Document(query_key("shoes"), b'{"list_id":"l","items":[]}', None)])
        await publisher.erase([OwnedKey(user_key("bob"), 0)])
        await publisher.delete([OwnedKey(user_key("eve"), 0), OwnedKey(query_key("hats"), None)])
        await publisher.restore_counters()
        await sentinel.report_remaining({0}, 17)
        await sentinel.mark_complete({0}, epoch)
        found = [user async for portion in sentinel.user_ids() for user in portion]
        assert sorted(found) == ["ann", "bob"]
        assert [query async for portion in sentinel.queries() for query in portion] == ["shoes"]
        await sentinel.with_lists(["ann", "bob"])
    request = RepublicationRequest(address_of(redis_server))
    assert request.begin().is_current
    request.close()
    with Client(address_of(redis_server), timeout=2.0) as client:
        assert client.read("ann") is None
    before = redis.keys()
    report = inspect_redis(address_of(redis_server))
    assert (report.missing_rights, report.write_error) == ((), "")
    assert sorted(redis.keys()) == sorted(before)


@pytest.mark.parametrize("right", [*PROBED, "~recs:*", "~headrace:*"])
def test_doctor_names_each_right_that_is_missing(redis_server: EmbeddedRedis, redis: Any, right: str) -> None:
    grant(redis, *(each for each in RIGHTS if each != right))
    report = inspect_redis(address_of(redis_server))
    assert (report.missing_rights, report.write_error) == ((right,), "")


async def test_a_refused_scan_is_reported_once(
    redis_server: EmbeddedRedis, redis: Any, caplog: pytest.LogCaptureFixture
) -> None:
    grant(redis, *(each for each in RIGHTS if each != "+scan"))
    async with open_owner(redis_server) as owner:
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                await owner.sentinel.check()
                with pytest.raises(StoreForbiddenError, match="'scan'"):
                    await anext(owner.sentinel.user_ids())
    [line] = caplog.messages
    assert "lists of erased users" in line
    assert "'scan'" in line


async def test_a_right_that_a_script_lacks_is_named(redis_server: EmbeddedRedis, redis: Any) -> None:
    grant(redis, *(each for each in RIGHTS if each != "+getrange"))
    async with open_owner(redis_server) as owner:
        with pytest.raises(PublisherUnavailableError, match=r"docs/security\.md"):
            await owner.publish(user_key("ann"))
