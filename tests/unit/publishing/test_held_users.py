"""While a worker has no partitions, or recovers their rows, it publishes no user's list."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from stream_app.client.redis_contract import user_key
from stream_app.publishing.publisher import OwnedKey
from tests.support.in_memory_worker import InMemoryWorker, click_shared_items, run_pending_tasks

ANN = user_key("ann")


async def test_a_held_user_is_published_once_the_rows_are_current(worker: InMemoryWorker) -> None:
    worker.queue.hold_users()
    click_shared_items(worker)
    async with worker.running_flush_loop():
        await run_pending_tasks()
        assert worker.published(ANN) is None
        assert worker.queue.is_pending("ann")
        worker.queue.release_users()
        await asyncio.wait_for(worker.flush_loop.wait_until_idle(), 10)
    assert worker.published(ANN) is not None
    assert not worker.queue.is_pending("ann")


async def test_a_held_user_keeps_no_worker_from_its_end(worker: InMemoryWorker) -> None:
    worker.queue.hold_users()
    worker.accept(worker.click("ann", "shoe"))
    async with worker.running_flush_loop():
        await asyncio.wait_for(worker.flush_loop.wait_until_idle(), 10)
    assert worker.published(ANN) is None


async def test_a_list_that_was_ranked_before_a_revocation_is_ranked_again(
    worker: InMemoryWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    click_shared_items(worker)
    erase, is_revoked = worker.publisher.erase, False

    async def revoke(keys: Sequence[OwnedKey]) -> None:
        nonlocal is_revoked
        await erase(keys)
        if not is_revoked:
            is_revoked = True
            # Another worker has the partitions, and gives them back.
            worker.queue.hold_users()
            worker.accept(worker.click("ann", "scarf"))
            worker.queue.release_users()

    monkeypatch.setattr(worker.publisher, "erase", revoke)
    worker.queue.add_erasure("cem")
    published: list[tuple[int, bool]] = []
    publish = worker.publisher.publish

    async def record(documents: Sequence[object]) -> None:
        await publish(documents)  # type: ignore[arg-type]
        found = worker.published(ANN)
        published.append((-1 if found is None else found.model_version, worker.queue.store_available))

    monkeypatch.setattr(worker.publisher, "publish", record)
    async with worker.running_flush_loop():
        await asyncio.wait_for(worker.flush_loop.wait_until_idle(), 10)
    assert is_revoked
    # It is no failure of Redis.
    assert set(published) == {(7, True)}
    assert worker.queue.n_users == 0


async def test_a_list_that_was_ranked_before_a_revocation_is_not_sent(
    worker: InMemoryWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    click_shared_items(worker)
    available: list[bool] = []
    publish = worker.publisher.publish

    async def record(documents: Sequence[Any]) -> None:
        await publish(documents)
        available.append(worker.queue.store_available)
        if len(available) == 1:
            # The next batch is ranked while Redis works on this one; then the partitions are revoked.
            worker.accept(worker.click("ann", "scarf"))
            while not worker.flush_loop.is_settled(0) or worker.flush_loop.n_built < 2:  # noqa: ASYNC110
                await asyncio.sleep(0)
            worker.queue.hold_users()
            worker.queue.release_users()

    monkeypatch.setattr(worker.publisher, "publish", record)
    async with worker.running_flush_loop():
        await asyncio.wait_for(worker.flush_loop.wait_until_idle(), 10)
    assert len(available) > 1
    assert all(available)
    found = worker.published(ANN)
    assert found is not None
    assert found.model_version == 7
    assert worker.queue.n_users == 0


async def test_degraded_lists_are_not_ranked_again_while_users_are_held(
    worker: InMemoryWorker,
) -> None:
    worker.accept(worker.click("ann", "shoe"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        worker.publisher.documents.clear()
        worker.queue.hold_users()
        worker.flush_loop._degraded_ranking.schedule("ann", worker.clock.now - 60.0)
        worker.queue.work_available.set()
        built = worker.flush_loop.n_built
        for _ in range(20):
            await run_pending_tasks()
        assert worker.flush_loop.n_built <= built + 1
        assert worker.published(ANN) is None
        worker.queue.release_users()
        async with asyncio.timeout(10):
            while worker.published(ANN) is None:  # noqa: ASYNC110  # the loop has no event for it
                await asyncio.sleep(0)
