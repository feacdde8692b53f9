"""A whole worker, the client and all commands: a secured Redis Cluster, and a secured master of Sentinels."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from stream_app.client import AsyncClient, Client
from stream_app.redis_server import parse_redis
from stream_app.tools.embedded import EmbeddedServers
from tests.support.certificates import Authority
from tests.support.integration_environment import IntegrationEnvironment, clean_environment, send_click
from tests.support.redis_acl import (
    SENTINEL,
    WEB,
    WEB_IN_CLUSTER,
    WORKER,
    WORKER_IN_CLUSTER,
    grant,
    password_of,
)
from tests.support.redis_servers import RealCluster, RealSentinels

USERS: Final = [f"u{number}" for number in range(12)]
MUTUAL: Final = {"tls-auth-clients": "yes"}


class Secured(NamedTuple):
    """A Redis, and the settings of a worker and the arguments of a web tier."""

    settings: dict[str, Any]
    url: str
    arguments: dict[str, Any]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def secured(address: str, mode: str, authority: Authority, **more: str) -> Secured:
    certificate, key = map(str, authority.issue("client"))
    ca = str(authority.path)
    settings = {
        "redis": address,
        "redis_mode": mode,
        "redis_username": WORKER[0],
        "redis_password": password_of(WORKER),
        "redis_ca": ca,
        "redis_certificate": certificate,
        "redis_key": key,
        **{f"redis_{name}": value for name, value in more.items()},
    }
    arguments = {
        "mode": mode,
        "username": WEB[0],
        "password": password_of(WEB),
        "ca_file": ca,
        "certificate_file": certificate,
        "key_file": key,
        **more,
    }
    return Secured(settings, address, arguments)


@pytest.fixture(scope="module")
def cluster(authority: Authority) -> Iterator[Secured]:
    """Three primaries with mutual TLS."""
    with RealCluster(3, authority=authority, options=MUTUAL) as running:
        for node in running.nodes:
            with node.connect() as redis:
                grant(redis, WORKER, WEB, WORKER_IN_CLUSTER, WEB_IN_CLUSTER)
        yield secured(running.address, "cluster", authority)


@pytest.fixture(scope="module")
def sentinels(authority: Authority) -> Iterator[Secured]:
    """A master, a replica and three Sentinels with mutual TLS and users."""
    with RealSentinels(authority=authority, options=MUTUAL) as running:
        for server in running.servers:
            with server.connect() as redis:
                grant(redis, WORKER, WEB)
        for sentinel in running.sentinels:
            with sentinel.connect() as redis:
                grant(redis, SENTINEL)
        yield secured(
            running.address,
            "sentinel",
            authority,
            master="shop",
            sentinel_username=SENTINEL[0],
            sentinel_password=password_of(SENTINEL),
        )


def check_lists(environment: IntegrationEnvironment, redis: Secured) -> None:
    """Check that a worker publishes lists, which the web tier reads."""
    worker = environment.start_worker().wait_until_ready()
    for number, user in enumerate(USERS):
        send_click(environment, user, f"i{number % 3}")
    worker.wait_until(lambda: len(environment.user_lists(USERS)) == len(USERS), "the lists")
    with Client(redis.url, 60.0, **redis.arguments) as client:
        found = [client.read(user, session_items=["i1"], segments=["country:FR"]) for user in USERS]
        assert [each.key for each in found if each is not None] == [f"recs:user:{{{user}}}" for user in USERS]
        popular = client.popular()
        assert popular is not None
    status, output = environment.run_command("republish")
    assert status == 0, output
    assert output.rstrip().endswith("all lists of 4 partitions were published"), output
    assert worker.terminate() == 0, worker.log


async def check_asyncio(redis: Secured) -> None:
    async with AsyncClient(redis.url, 60.0, **redis.arguments) as client:
        for user in USERS:
            found = await client.read(user, session_items=["i1"])
            assert found is not None
            assert found.key == f"recs:user:{{{user}}}"


def check_commands(environment: IntegrationEnvironment) -> None:
    status, output = environment.run_command("doctor")
    assert status == 0, output
    assert "all commands of a worker are allowed" in output
    outputs = [output]
    for arguments in (("show", "user", USERS[0]), ("show", "popular"), ("settings",)):
        status, output = environment.run_command(*arguments)
        assert status == 0, output
        outputs.append(output)
    printed = "".join([*outputs, environment.log_text()])
    for secret in (password_of(WORKER), password_of(SENTINEL)):
        assert secret not in printed


@pytest.mark.parametrize("name", ["cluster", "sentinels"])
async def test_a_worker_and_a_web_tier_with_the_documented_rights(
    name: str, request: pytest.FixtureRequest, servers: EmbeddedServers, tmp_path: Path
) -> None:
    redis: Secured = request.getfixturevalue(name)
    with clean_environment(servers, tmp_path, **redis.settings) as environment:
        check_lists(environment, redis)
        await check_asyncio(redis)
        check_commands(environment)
    assert password_of(WORKER) not in repr(parse_redis(redis.url, **redis.arguments))
