"""Lists of erased users are removed from Redis as soon as it allows it."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any

import pytest

from stream_app.publishing.publisher import PublisherUnavailableError
from stream_app.worker import erasures
from tests.support.app_without_kafka import WorkerWithoutKafka


class RefusingSentinel:
    """Refuses to be looked through, some times."""

    def __init__(self, n_refusals: int) -> None:
        self.n_refusals = n_refusals
        self.n_attempts = 0
        self.looked_through = asyncio.Event()

    async def user_ids(self) -> AsyncIterator[list[str]]:
        self.n_attempts += 1
        if self.n_attempts <= self.n_refusals:
            raise PublisherUnavailableError("no right to SCAN")
        yield []

    async def with_lists(self, user_ids: Collection[str]) -> list[str]:
        return list(user_ids)

    async def queries(self) -> AsyncIterator[list[str]]:
        yield []
        self.looked_through.set()


async def test_a_refused_removal_is_tried_again(
    worker: WorkerWithoutKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasures, "_REMOVAL_RETRY_SECONDS", 0.0)
    parts = worker.app.headrace_worker.erasures
    sentinel: Any = RefusingSentinel(n_refusals=3)
    parts.sentinel = sentinel
    worker.catch_up_barrier.set()

    async def run(work: Any) -> None:
        await work()

    tasks = parts.tasks(run)
    removal = asyncio.create_task(next(work for work, name in tasks if name.startswith("removal of lists")))
    for work, name in tasks:
        if not name.startswith("removal of lists"):
            work.close()
    parts.request_removal()
    await asyncio.wait_for(sentinel.looked_through.wait(), 10)
    assert sentinel.n_attempts == 4
    assert not removal.done()
    removal.cancel()
