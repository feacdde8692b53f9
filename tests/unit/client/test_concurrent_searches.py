"""Searches of a blocking client at the same time."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from stream_app.client import Client, ClientUnavailableError

MAX_WAIT = 60.0


class BlockedClient(Client):
    """A client whose reads wait until the test lets them go."""

    def __init__(self) -> None:
        super().__init__("redis://127.0.0.1:1/0")
        self.may_answer = threading.Event()
        self.reading = threading.Semaphore(0)
        self.n_reads = 0
        self.is_unavailable = False

    def _get(self, keys: Sequence[str]) -> list[bytes | None]:
        self.n_reads += 1
        self.reading.release()
        assert self.may_answer.wait(MAX_WAIT)
        if self.is_unavailable:
            raise ClientUnavailableError("closed")
        return [None for _ in keys]


def test_32_searches_read_at_once_and_further_ones_wait_within_their_own_timeout() -> None:
    client = BlockedClient()
    with ThreadPoolExecutor(40) as pages:
        waiting = [
            pages.submit(client.search, f"u{number}", "q", ["b", "a"], MAX_WAIT) for number in range(32)
        ]
        for _ in waiting:
            assert client.reading.acquire(timeout=MAX_WAIT)
        late = pages.submit(client.search, "late", "q", ["b", "a"], 0.05).result(MAX_WAIT)
        assert (late.items, late.personal) == (("b", "a"), False)
        assert client.n_reads == 32
        assert not any(each.done() for each in waiting)
        client.is_unavailable = True
        client.may_answer.set()
        assert {each.result(MAX_WAIT).items for each in waiting} == {("b", "a")}
    client.close()


@pytest.mark.parametrize("timeout", [0.0, 0.05])
def test_a_search_without_a_list_ends_with_its_timeout(timeout: float) -> None:
    client = BlockedClient()
    client.may_answer.set()
    assert client.search("ann", "q", ["b", "a"], timeout).items == ("b", "a")
    assert client.n_reads == 1 if timeout == 0 else client.n_reads >= 1
    client.close()
