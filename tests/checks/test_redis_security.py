"""Wrong certificates, logins, rights and modes: one sentence each, with the next step and without a secret."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final, NamedTuple

import pytest

from stream_app.client import AsyncClient, Client, ClientUnavailableError
from stream_app.publishing.publisher import Document, PublisherUnavailableError
from stream_app.publishing.redis_inspection import RedisUnreachableError, inspect_redis
from stream_app.publishing.redis_publisher import RedisPublisher
from stream_app.redis_server import parse_redis
from tests.support.certificates import LOOPBACK, Authority
from tests.support.redis_acl import WEB, WORKER, grant, password_of
from tests.support.redis_servers import RealCluster, RealRedis, RealSentinels

PASSWORD: Final = "geheim/+?#@:"  # noqa: S105  # of a server of this test
LOGIN: Final = {"username": WEB[0], "password": password_of(WEB)}


class Faults(NamedTuple):
    """Servers with each kind of fault, and certificates."""

    tls: RealRedis
    mutual: RealRedis
    other_name: RealRedis
    expired: RealRedis
    plain: RealRedis
    ca: str
    other_ca: str
    own: tuple[str, str]
    foreign: tuple[str, str]
    outdated: tuple[str, str]


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    folder = tmp_path_factory.mktemp("certificates")
    authority, other = Authority(folder, "ours"), Authority(folder, "other")

    def files(authority: Authority, name: str, days: int = 10) -> tuple[str, str]:
        certificate, key = authority.issue(name, days=days)
        return str(certificate), str(key)

    with ExitStack() as stack:

        def start(**arguments: Any) -> RealRedis:
            return stack.enter_context(RealRedis(authority=authority, **arguments))

        faults = Faults(
            tls=start(),
            mutual=start(options={"tls-auth-clients": "yes"}),
            other_name=start(certificate=authority.issue("named", ["shop.example"])),
            expired=start(
                certificate=authority.issue("expired", LOOPBACK, days=-1), checks_certificate=False
            ),
            plain=stack.enter_context(RealRedis(acl=[f"user default on >{PASSWORD} ~* &* +@all"])),
            ca=str(authority.path),
            other_ca=str(other.path),
            own=files(authority, "own"),
            foreign=files(other, "foreign"),
            outdated=files(authority, "outdated", days=-1),
        )
        with faults.tls.connect() as redis:
            grant(redis, WORKER, WEB)
        yield faults


def address(server: RealRedis, scheme: str = "") -> str:
    return server.address if not scheme else f"{scheme}://{server.address.partition('://')[2]}"


CASES: Final[dict[str, tuple[Callable[[Faults], tuple[str, dict[str, Any]]], str]]] = {
    "no authority": (lambda at: (at.tls.address, {}), "authority .* is unknown: set .*CA"),
    "another authority": (
        lambda at: (at.tls.address, {"ca_file": at.other_ca}),
        "authority .* is unknown: set .*CA",
    ),
    "another host name": (lambda at: (at.other_name.address, {"ca_file": at.ca}), "is for another host"),
    "an expired certificate": (lambda at: (at.expired.address, {"ca_file": at.ca}), "has expired: renew it"),
    "no client certificate": (
        lambda at: (at.mutual.address, {"ca_file": at.ca}),
        "client's certificate.*set .*KEY",
    ),
    "a foreign client certificate": (
        lambda at: (
            at.mutual.address,
            {"ca_file": at.ca, "certificate_file": at.foreign[0], "key_file": at.foreign[1]},
        ),
        "client's certificate.*set .*KEY",
    ),
    "an expired client certificate": (
        lambda at: (
            at.mutual.address,
            {"ca_file": at.ca, "certificate_file": at.outdated[0], "key_file": at.outdated[1]},
        ),
        "client's certificate.*set .*KEY",
    ),
    "the key of another certificate": (
        lambda at: (
            at.mutual.address,
            {"ca_file": at.ca, "certificate_file": at.own[0], "key_file": at.foreign[1]},
        ),
        "KEY is not the key of .*CERTIFICATE",
    ),
    "no PEM file": (lambda at: (at.tls.address, {"ca_file": __file__}), "no file in PEM format"),
    "no TLS": (
        lambda at: (address(at.tls, "redis"), {}),
        "if Redis expects TLS, .* must begin with rediss://",
    ),
    "TLS at a plain port": (
        lambda at: (address(at.plain, "rediss"), {}),
        "must begin with redis://",
    ),
    "a wrong password": (
        lambda at: (at.tls.address, {"ca_file": at.ca, **LOGIN, "password": PASSWORD}),
        "refuses the login.*wrong or expired: set .*USERNAME and .*PASSWORD",
    ),
    "no password": (lambda at: (at.plain.address, {}), "asks for a login: set .*PASSWORD"),
    "a cluster that is none": (
        lambda at: (at.tls.address, {"ca_file": at.ca, "mode": "cluster"}),
        "no cluster: set .*MODE to standalone",
    ),
    "Sentinels that are none": (
        lambda at: (at.tls.address, {"ca_file": at.ca, "mode": "sentinel"}),
        "no Sentinel: give .* or set .*MODE to standalone",
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_fault_is_one_sentence_with_the_next_step(name: str, faults: Faults) -> None:
    make, expected = CASES[name]
    url, options = make(faults)
    server = parse_redis(url, **options)
    # A server without TLS waits for the rest of a command, and the client for an answer.
    timeout = 0.5 if name == "TLS at a plain port" else 30.0
    with pytest.raises(RedisUnreachableError, match=expected) as found:
        inspect_redis(server, timeout=timeout)
    messages = [str(found.value)]
    publisher = RedisPublisher(server, ttl=60.0, timeout=timeout)
    with pytest.raises(PublisherUnavailableError, match=expected) as refused:
        await publisher.publish([Document("recs:user:{a}", b"{}", None)])
    await publisher.close()
    messages.append(str(refused.value))
    with Client(server, timeout) as client, pytest.raises(ClientUnavailableError) as unread:
        client.read("ann")
    messages.append(str(unread.value))
    async with AsyncClient(server, timeout) as client_:
        with pytest.raises(ClientUnavailableError) as unread:
            await client_.read("ann")
    messages.append(str(unread.value))
    # A web tier has no settings of ours.
    assert not [message for message in messages[2:] if "HEADRACE" in message]
    for message in (*messages, repr(server), repr(client), repr(client_)):
        assert PASSWORD not in message
        assert password_of(WEB) not in message
        assert "\n" not in message


async def test_a_password_with_special_characters_is_in_the_url_or_by_itself(faults: Faults) -> None:
    from urllib.parse import quote

    url = faults.plain.address.replace("redis://", f"redis://:{quote(PASSWORD, safe='')}@")
    for client in (Client(url, 60.0), Client(faults.plain.address, 60.0, password=PASSWORD)):
        with client:
            assert client.read("ann") is None
            assert PASSWORD not in repr(client)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}@cache:6379/0",
        f"redis//:{PASSWORD}@cache",
        f"unix://:{PASSWORD}@/run/redis",
        PASSWORD,
    ],
)
def test_an_invalid_url_is_refused_without_its_text(url: str) -> None:
    with pytest.raises(ValueError, match=r"no URL of Redis|not host:port|no number") as error:
        parse_redis(url)
    assert "geheim" not in str(error.value)


async def test_a_web_tier_may_read_lists_and_nothing_else(faults: Faults) -> None:
    arguments: dict[str, Any] = {"ca_file": faults.ca, **LOGIN}
    with Client(faults.tls.address, 60.0, **arguments) as client:
        assert client.read("ann", session_items=["a"], segments=["b"]) is None
        with pytest.raises(ClientUnavailableError, match=r"lacks a right"):
            client.read_key("headrace:epoch")
    report = inspect_redis(parse_redis(faults.tls.address, **arguments))
    granted = {right for right in WEB if right.startswith("+")}
    assert {*report.missing_rights, *granted} >= {right for right in WORKER if right.startswith("+")}


async def test_a_right_that_is_missing_is_named(faults: Faults) -> None:
    login: dict[str, Any] = {"ca_file": faults.ca, "username": "reader", "password": PASSWORD}
    with faults.tls.connect() as redis:
        grant(redis, ("reader", "on", f">{PASSWORD}", "~recs:*", "+mget"))
    with Client(faults.tls.address, 60.0, **login) as client:
        assert client.item("a") is None
        with faults.tls.connect() as redis:
            grant(redis, ("reader", "-mget"))
        with pytest.raises(ClientUnavailableError, match=r"ACL SETUSER with \+mget"):
            client.item("a")


async def test_modes_that_do_not_suit_the_server() -> None:
    with RealCluster(3) as cluster, RealSentinels(n_sentinels=1) as sentinels:
        node, sentinel = (
            f"redis://127.0.0.1:{each.port}" for each in (cluster.nodes[0], sentinels.sentinels[0])
        )
        cases = [
            (node, {}, "node of a cluster: set .*MODE to cluster"),
            (node, {"mode": "sentinel"}, "no Sentinel"),
            (sentinel, {}, "it is a Sentinel, for which .*MODE must be sentinel"),
            (sentinel, {"mode": "cluster"}, "no cluster: set .*MODE to standalone, or to sentinel"),
            (sentinel, {"mode": "sentinel", "master": "other"}, "know no reachable master of that name"),
        ]
        for url, options, expected in cases:
            server = parse_redis(url, **options)
            publisher = RedisPublisher(server, ttl=60.0)
            documents = [Document(f"recs:user:{{{user}}}", b"{}", None) for user in "abcdefgh"]
            with pytest.raises(PublisherUnavailableError, match=expected):
                await publisher.publish(documents)
            await publisher.close()
            with pytest.raises(RedisUnreachableError, match=expected):
                inspect_redis(server)
