"""The client of the web tier, without a server."""

import asyncio
import inspect
import socket
import time
from collections.abc import Iterator

import pytest

from stream_app.client.client import (
    DEFAULT_TIMEOUT,
    AsyncClient,
    Client,
    ClientUnavailableError,
)
from stream_app.client.fallback_chain import fallback_keys, first_usable_list
from stream_app.client.redis_contract import SearchList, encode_list
from stream_app.client.search_order import reorder_results
from topics.records import ListedItem, Reason, RecommendationList


def document(key: str, *items: str) -> bytes:
    listed = tuple(ListedItem(item, 0.5, 1.0, Reason("popular")) for item in items)
    return encode_list(
        RecommendationList(
            list_id="l", key=key, generated_at="", policy="fixed", model_version=1, items=listed
        )
    )


def items_of(found: RecommendationList | None) -> list[str]:
    assert found is not None
    return [item.id for item in found.items]


def test_fallback_keys_go_from_the_user_over_items_and_segments_to_the_overall_list() -> None:
    assert fallback_keys("ann", ["a", "b", "c", "d"], ["country:FR", "channel:web"]) == [
        "recs:user:{ann}",
        "recs:item:{d}",
        "recs:item:{c}",
        "recs:item:{b}",
        "recs:popular:{country:FR}",
        "recs:popular:{channel:web}",
        "recs:popular:{all}",
    ]


def test_the_shortest_fallback_chain_is_the_user_and_the_overall_list() -> None:
    assert fallback_keys("ann", [], []) == ["recs:user:{ann}", "recs:popular:{all}"]


def test_the_first_list_with_items_is_returned() -> None:
    found = first_usable_list([None, document("empty"), document("second", "a", "b"), document("third", "c")])
    assert found is not None
    assert found.key == "second"
    assert items_of(found) == ["a", "b"]


def test_without_any_list_the_result_is_none() -> None:
    assert first_usable_list([]) is None
    assert first_usable_list([None, document("empty")]) is None


@pytest.mark.parametrize("broken", [b"", b"\xff\xfe", b"[]", b'{"list_id":1}', document("k", "x")[:-1]])
def test_a_value_that_cannot_be_read_counts_as_absent(broken: bytes) -> None:
    assert items_of(first_usable_list([broken, document("next", "a")])) == ["a"]


def test_excluded_items_are_left_out_and_the_rest_keep_their_order() -> None:
    found = first_usable_list([document("k", "a", "b", "c")], exclude={"b"})
    assert items_of(found) == ["a", "c"]


def test_a_list_emptied_by_exclusion_falls_back_to_the_next() -> None:
    found = first_usable_list([document("first", "a"), document("second", "a", "b")], exclude=["a"])
    assert found is not None
    assert (found.key, items_of(found)) == ("second", ["b"])


@pytest.fixture
def unresponsive_server() -> Iterator[str]:
    """A server that accepts connections and never replies."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


UNREACHABLE_REDIS = "redis://127.0.0.1:1/0"


def test_an_unreachable_redis_raises() -> None:
    with Client(UNREACHABLE_REDIS) as client, pytest.raises(ClientUnavailableError):
        client.read("ann")


async def test_an_unreachable_redis_raises_in_the_async_client() -> None:
    async with AsyncClient(UNREACHABLE_REDIS) as client:
        with pytest.raises(ClientUnavailableError):
            await client.read("ann")


# A page waits for one timeout, not for several; the margin is for a busy machine.
MAX_WAIT = 1.8 * DEFAULT_TIMEOUT


def test_an_unresponsive_redis_times_out(unresponsive_server: str) -> None:
    with Client(unresponsive_server) as client:
        started = time.monotonic()
        with pytest.raises(ClientUnavailableError):
            client.read("ann")
        assert time.monotonic() - started < MAX_WAIT


async def test_an_unresponsive_redis_times_out_in_the_async_client(unresponsive_server: str) -> None:
    async with AsyncClient(unresponsive_server) as client:
        started = time.monotonic()
        with pytest.raises(ClientUnavailableError):
            await client.read("ann")
        assert time.monotonic() - started < MAX_WAIT


def test_an_invalid_url_is_rejected_at_construction() -> None:
    for make in (Client, AsyncClient):
        with pytest.raises(ValueError, match="redis://"):
            make("localhost:6379")


def test_both_clients_have_the_same_methods_and_parameters() -> None:
    def public_methods(client: type[Client | AsyncClient]) -> dict[str, list[str]]:
        found = inspect.getmembers(client, inspect.isfunction)
        return {
            name: list(inspect.signature(function).parameters)
            for name, function in found
            if not name.startswith("_")
        }

    assert public_methods(AsyncClient) == public_methods(Client)
    assert inspect.iscoroutinefunction(AsyncClient.read)


def search_list(*items: str) -> SearchList:
    listed = tuple(ListedItem(item, 0.5, 1.0, Reason("popular")) for item in items)
    return SearchList(
        list_id="l", key="", generated_at="", policy="search", model_version=1, items=listed, query="q"
    )


def test_the_order_of_a_search_holds_every_result_once_and_nothing_else() -> None:
    found = reorder_results(search_list("c", "added", "a"), ["a", "b", "c", "d", "a"])
    assert found.items == ("c", "a", "b", "d")
    assert found.personal
    assert found.document is not None


def test_a_search_without_results_keeps_the_list_in_the_document() -> None:
    found = reorder_results(search_list("c"), [])
    assert found.items == ()
    assert found.document is not None
    assert [item.id for item in found.document.items] == ["c"]


def test_without_redis_a_search_returns_the_original_order_at_once() -> None:
    with Client(UNREACHABLE_REDIS) as client:
        started = time.monotonic()
        assert client.search("ann", "q", ["b", "a"], timeout=30.0) == (("b", "a"), False, None)
        assert time.monotonic() - started < 10.0


async def test_without_redis_a_search_returns_the_original_order_at_once_in_the_async_client() -> None:
    async with AsyncClient(UNREACHABLE_REDIS) as client, asyncio.timeout(10.0):
        assert await client.search("ann", "q", ["b", "a"], timeout=30.0) == (("b", "a"), False, None)


def test_a_search_waits_no_longer_than_its_timeout_for_an_unresponsive_redis(
    unresponsive_server: str,
) -> None:
    with Client(unresponsive_server, timeout=2.0) as client:
        started = time.monotonic()
        assert client.search("ann", "q", ["b", "a"], timeout=0.05).items == ("b", "a")
        assert time.monotonic() - started < 1.0


async def test_a_search_waits_no_longer_than_its_timeout_in_the_async_client(
    unresponsive_server: str,
) -> None:
    async with AsyncClient(unresponsive_server, timeout=20.0) as client, asyncio.timeout(5.0):
        assert (await client.search("ann", "q", ["b", "a"], timeout=0.05)).items == ("b", "a")
