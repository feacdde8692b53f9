"""How many searches of a blocking client run at once, and what is left of a closed client."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest
from redis import Redis

from stream_app.client import AsyncClient, Client, ClientUnavailableError
from stream_app.client.redis_contract import search_key
from stream_app.client.search_order import SearchOrder
from stream_app.tools.embedded import EmbeddedRedis

MAX_WAIT = 60.0
RESULTS = ("b", "a")


class SlowRedis:
    """Answers no read before it is released."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_full = threading.Event()
        self.released = threading.Event()

    def get(self, keys: Sequence[str]) -> NoReturn:
        self.asked += keys
        if len(self.asked) == 32:
            self.is_full.set()
        self.released.wait(2 * MAX_WAIT)
        raise ClientUnavailableError("no answer in time")


@pytest.fixture
def slow() -> Iterator[SlowRedis]:
    made = SlowRedis()
    yield made
    made.released.set()


@pytest.fixture
def client(slow: SlowRedis, monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client("redis://127.0.0.1:1/0")
    monkeypatch.setattr(made, "_get", slow.get)
    return made


def search(client: Client, number: int, timeout: float) -> SearchOrder:
    return client.search(f"u{number}", "tents", RESULTS, timeout)


def test_32_searches_run_at_once_and_one_that_was_not_begun_in_time_never_is(
    client: Client, slow: SlowRedis
) -> None:
    with ThreadPoolExecutor(40) as threads:
        first = [threads.submit(search, client, number, MAX_WAIT) for number in range(32)]
        assert slow.is_full.wait(MAX_WAIT)
        more = [threads.submit(search, client, number, 0.05) for number in range(32, 40)]
        assert {each.result(MAX_WAIT) for each in more} == {SearchOrder(RESULTS, False, None)}
        assert len(slow.asked) == 32
        slow.released.set()
        assert {each.result(MAX_WAIT).items for each in first} == {RESULTS}
        client._executor.shutdown(wait=True)
    assert not {search_key(f"u{number}") for number in range(32, 40)}.intersection(slow.asked)


def test_a_client_is_closed_while_searches_run_and_those_that_wait_end(
    client: Client, slow: SlowRedis
) -> None:
    orders: list[SearchOrder] = []
    running = [
        threading.Thread(target=search, args=(client, number, MAX_WAIT), daemon=True) for number in range(32)
    ]
    for thread in running:
        thread.start()
    assert slow.is_full.wait(MAX_WAIT)
    waiting = threading.Thread(target=lambda: orders.append(search(client, 99, 2 * MAX_WAIT)), daemon=True)
    waiting.start()
    while not client._executor._work_queue.qsize():
        threading.Event().wait(0.001)
    closing = threading.Thread(target=client.close, daemon=True)
    closing.start()
    closing.join(MAX_WAIT)
    assert not closing.is_alive()
    waiting.join(MAX_WAIT)
    assert orders == [SearchOrder(RESULTS, False, None)]


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as running:
        yield running


def wait_for_connections(redis: Any, n: int) -> None:
    # The server notices a closed connection when it comes to it.
    deadline = time.monotonic() + MAX_WAIT
    while len(redis.client_list()) != n:
        assert time.monotonic() < deadline


async def test_closed_clients_have_no_connections(server: EmbeddedRedis) -> None:
    with Redis.from_url(server.address) as redis:
        redis.ping()
        with Client(server.address, MAX_WAIT) as client:
            client.read("ann")
            wait_for_connections(redis, 2)
        wait_for_connections(redis, 1)
        async with AsyncClient(server.address, MAX_WAIT) as client_:
            await client_.read("ann")
            wait_for_connections(redis, 2)
        wait_for_connections(redis, 1)


def test_a_search_before_its_list_is_there_reads_again_after_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads = 0
    pauses: list[float] = []

    def get(keys: Sequence[str]) -> list[None]:
        nonlocal reads
        reads += len(keys)
        return [None]

    sleep: Callable[[float], None] = pauses.append
    client = Client("redis://127.0.0.1:1/0")
    monkeypatch.setattr(client, "_get", get)
    monkeypatch.setattr("stream_app.client.client.time.sleep", sleep)
    assert client.search("ann", "tents", RESULTS, 0.02).items == RESULTS
    client._executor.shutdown(wait=True)
    assert len(pauses) in {reads - 1, reads}
    assert all(0.0 <= pause <= 0.005 for pause in pauses)
    client.close()


async def test_an_asynchronous_search_reads_again_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def get(keys: Sequence[str]) -> list[None]:
        nonlocal reads
        reads += len(keys)
        await sleep(0)
        return [None]

    async def record(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", record)
    async with AsyncClient("redis://127.0.0.1:1/0") as client:
        monkeypatch.setattr(client, "_get", get)
        assert (await client.search("ann", "tents", RESULTS, 0.02)).items == RESULTS
    assert reads > 1
    assert len(pauses) in {reads - 1, reads}
    assert all(0.0 <= pause <= 0.005 for pause in pauses)
