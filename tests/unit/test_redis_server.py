"""A URL of Redis is parsed or refused, and nothing that is printed of it has a part of its password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.redis_server import RedisServer, parse_redis

MIDDLE = st.text(alphabet="ab:/?#@[]%&=,. \\\"'é\n0", max_size=8)


@given(
    scheme=st.sampled_from(["redis://", "rediss://", "unix://", "redis:/", "http://", ""]),
    user=st.sampled_from(["ann:", ":"]),
    middle=MIDDLE,
    host=st.sampled_from(["h:1/0", "h,g:2", "[::1]:1/2", "h/x", "h?db=a", "/run/redis.sock"]),
    mode=st.sampled_from(["standalone", "cluster", "sentinel"]),
)
def test_no_part_of_a_password_is_printed(scheme: str, user: str, middle: str, host: str, mode: str) -> None:
    url = f"{scheme}{user}GEH{middle}EIM@{host}"
    try:
        server = parse_redis(url, mode=mode)
    except ValueError as error:
        printed = str(error)
    else:
        printed = f"{server} {server!r} {server.__rich_repr__()}"
    assert "GEH" not in printed
    assert "EIM" not in printed


@pytest.mark.parametrize(
    ("url", "addresses", "database"),
    [
        ("redis://", (("localhost", 6379),), 0),
        ("redis://cache", (("cache", 6379),), 0),
        ("redis://cache:1/2", (("cache", 1),), 2),
        ("redis://cache/?db=3", (("cache", 6379),), 3),
        ("rediss://[::1]:7000", (("::1", 7000),), 0),
    ],
)
def test_the_parts_of_a_url_have_the_defaults_of_redis(
    url: str, addresses: tuple[tuple[str, int], ...], database: int
) -> None:
    server = parse_redis(url)
    assert (server.addresses, server.database, server.mode) == (addresses, database, "standalone")
    assert parse_redis(server.url) == server


def test_sentinels_and_nodes_have_several_addresses_and_their_own_port() -> None:
    assert parse_redis("redis://a,b:1", mode="sentinel").addresses == (("a", 26_379), ("b", 1))
    assert parse_redis("redis://a,b:1", mode="cluster").addresses == (("a", 6_379), ("b", 1))


def test_options_take_precedence_over_the_url_unless_they_are_empty() -> None:
    def login(server: RedisServer) -> tuple[str, str]:
        return server.username, server.password.reveal()

    assert login(parse_redis("redis://ann:a%2Fb@h", username="", password="")) == ("ann", "a/b")
    assert login(parse_redis("redis://ann:a%2Fb@h", username="bob", password="c")) == ("bob", "c")  # noqa: S106  # an example
    assert login(parse_redis("redis://h?username=ann&password=a")) == ("ann", "a")


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("redis://a,b", {}, "several addresses: the mode must be cluster or sentinel"),
        ("redis://a/1", {"mode": "cluster"}, "a cluster has database 0 alone"),
        ("unix:///run/redis", {"mode": "cluster"}, "needs redis:// or rediss://"),
        ("redis://a", {"mode": "ring"}, "standalone, cluster or sentinel, not 'ring'"),
        ("redis://a", {"ca_file": __file__}, "not of TLS: let it begin with rediss://"),
        ("rediss://a", {"key_file": __file__}, "a key without a certificate"),
        ("rediss://a", {"ca_file": "/nonexistent"}, "the CA file /nonexistent cannot be read"),
        ("redis://a:0", {}, "not host:port"),
        ("redis://a/b", {}, "is no number"),
    ],
)
def test_parts_that_do_not_suit_each_other_are_refused(
    url: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        parse_redis(url, **options)
