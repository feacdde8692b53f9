"""Reads of both clients from a server: their keys, and what happens to a pooled connection that the server closed."""

import socket
import threading
from collections.abc import Iterator

import msgspec
import pytest

from stream_app.client import AsyncClient, Client, ClientUnavailableError
from stream_app.client.redis_contract import (
    SearchList,
    encode_list,
    item_key,
    popular_key,
    query_key,
    search_key,
    user_key,
)
from stream_app.tools.embedded import EmbeddedRedis
from topics.records import ListedItem, Reason, RecommendationList

PATIENT = 60.0
"""Seconds of a read on a busy machine."""


def put(redis_server: EmbeddedRedis, key: str, *items: str, query: str | None = None) -> None:
    import redis

    listed = tuple(ListedItem(item, 0.5, 1.0, Reason("popular")) for item in items or ("a",))
    document = RecommendationList(
        list_id="l",
        key=key,
        generated_at="2026-01-01T00:00:00.000Z",
        policy="p",
        model_version=1,
        items=listed,
    )
    if query is not None:
        document = SearchList(query=query, **msgspec.structs.asdict(document))
    with redis.Redis.from_url(redis_server.address) as connection:
        connection.set(key, encode_list(document))


async def test_each_method_reads_the_key_of_its_kind(redis_server: EmbeddedRedis) -> None:
    for key in (user_key("x"), item_key("x"), popular_key("x"), popular_key()):
        put(redis_server, key)
    put(redis_server, query_key("x"), query="x")
    put(redis_server, search_key("x"), query="x")
    with Client(redis_server.address, PATIENT) as client:
        found = [
            client.read("x"),
            client.read_key(item_key("x")),
            client.item("x"),
            client.popular("x"),
            client.popular(),
        ]
        found += [client.query(" X"), client.last_search("x")]
    async with AsyncClient(redis_server.address, PATIENT) as client_:
        assert found == [
            await client_.read("x"),
            await client_.read_key(item_key("x")),
            await client_.item("x"),
            await client_.popular("x"),
            await client_.popular(),
            await client_.query(" X"),
            await client_.last_search("x"),
        ]
    kinds = [item_key("x"), item_key("x"), popular_key("x"), popular_key(), query_key("x"), search_key("x")]
    assert [each.key for each in found if each is not None] == [user_key("x"), *kinds]


async def test_both_clients_read_the_fallbacks_without_the_excluded_items(
    redis_server: EmbeddedRedis,
) -> None:
    put(redis_server, item_key("newest"), "a")
    put(redis_server, popular_key("country:FR"), "a", "b")
    arguments = {"session_items": ["newest"], "segments": ["country:FR"], "exclude": ["a"]}
    with Client(redis_server.address, PATIENT) as client:
        found = client.read("nobody", **arguments)
    async with AsyncClient(redis_server.address, PATIENT) as client_:
        assert await client_.read("nobody", **arguments) == found
    assert found is not None
    assert (found.key, [item.id for item in found.items]) == (popular_key("country:FR"), ["b"])


async def test_a_connection_that_the_server_closed_is_opened_again(redis_server: EmbeddedRedis) -> None:
    import redis

    put(redis_server, user_key("ann"))
    with (
        Client(redis_server.address, PATIENT) as client,
        redis.Redis.from_url(redis_server.address) as operator,
    ):
        async with AsyncClient(redis_server.address, PATIENT) as client_:
            assert client.read("ann") == await client_.read("ann") is not None
            operator.client_kill_filter(_type="normal", skipme=True)
            assert client.read("ann") == await client_.read("ann") is not None


class ClosingServer:
    """Accepts connections and closes them when the first command arrives."""

    def __init__(self) -> None:
        self.n_connections = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._server.getsockname()[1]}/0"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.n_connections += 1
            with connection:
                connection.recv(1)

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def closing_server() -> Iterator[ClosingServer]:
    redis_server = ClosingServer()
    yield redis_server
    redis_server.close()


async def test_a_read_is_tried_twice_and_not_more_often(closing_server: ClosingServer) -> None:
    with Client(closing_server.url, PATIENT) as client, pytest.raises(ClientUnavailableError):
        client.read("ann")
    blocking, closing_server.n_connections = closing_server.n_connections, 0
    async with AsyncClient(closing_server.url, PATIENT) as client_:
        with pytest.raises(ClientUnavailableError):
            await client_.read("ann")
    assert blocking == closing_server.n_connections == 2
