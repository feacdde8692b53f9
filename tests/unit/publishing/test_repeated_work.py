"""What Redis acknowledged lately is done again when it is reached by a new connection: it may have lost it."""

from pathlib import Path

import pytest

from stream_app.client.redis_contract import search_key, user_key
from stream_app.publishing.acknowledged_work import AcknowledgedWork
from tests.support.in_memory_worker import InMemoryWorker, click_shared_items


@pytest.fixture
def worker(tmp_path: Path) -> InMemoryWorker:
    worker = InMemoryWorker(tmp_path)
    click_shared_items(worker)
    return worker


async def test_lost_erasures_and_lists_are_repeated(worker: InMemoryWorker) -> None:
    documents = worker.publisher.documents
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        lagging = dict(documents)
        worker.accept(worker.erasure("ann"), worker.search("bob", "shoes", "shoe", "hat"))
        worker.accept(worker.click("eve", "shoe"))
        await worker.flush_loop.wait_until_idle()
        assert user_key("ann") not in documents
        documents.clear()
        documents.update(lagging)
        worker.publisher.on_reconnect()
        await worker.flush_loop.wait_until_idle()
        assert user_key("ann") not in documents
        assert {user_key("eve"), search_key("bob")} <= documents.keys()


async def test_the_list_of_a_user_who_returned_stays(worker: InMemoryWorker) -> None:
    async with worker.running_flush_loop():
        worker.accept(worker.erasure("ann"))
        await worker.flush_loop.wait_until_idle()
        worker.clock.now += 1.0
        worker.accept(worker.click("ann", "hat"))
        await worker.flush_loop.wait_until_idle()
        worker.publisher.on_reconnect()
        await worker.flush_loop.wait_until_idle()
        assert worker.item_ids(user_key("ann"))


async def test_older_work_is_not_repeated(worker: InMemoryWorker) -> None:
    documents = worker.publisher.documents
    async with worker.running_flush_loop():
        worker.accept(worker.click("early", "hat"))
        await worker.flush_loop.wait_until_idle()
        # Without a later acknowledgement Redis may have been unavailable.
        worker.clock.now += 100.0
        documents.clear()
        worker.publisher.on_reconnect()
        await worker.flush_loop.wait_until_idle()
        assert user_key("early") in documents
        worker.clock.now += 4.0
        worker.accept(worker.click("late", "hat"))
        await worker.flush_loop.wait_until_idle()
        documents.clear()
        for _ in range(2):
            # A repeated list is not recorded as a new one.
            worker.publisher.on_reconnect()
            await worker.flush_loop.wait_until_idle()
        assert user_key("late") in documents
        assert user_key("early") not in documents


async def test_nothing_is_repeated_after_the_partitions_moved(worker: InMemoryWorker) -> None:
    async with worker.running_flush_loop():
        worker.accept(worker.erasure("ann"))
        await worker.flush_loop.wait_until_idle()
        worker.queue.drop_erasures()
        worker.publisher.on_reconnect()
        assert not worker.queue


def test_the_number_of_entries_is_bounded() -> None:
    work = AcknowledgedWork(limit=2)
    for user in ("ann", "bob", "ann", "eve"):
        work.add(1.0, users=[user])
    assert list(work.users) == ["ann", "eve"]
    assert list(work.users.values()) == [1.0, 1.0]


@pytest.mark.parametrize("kind", ["users", "erasures", "queries"])
@pytest.mark.parametrize(("age", "is_repeated"), [(0.0, True), (3.0, True), (3.001, False)])
def test_work_of_three_seconds_before_the_newest_acknowledgement_is_repeated(
    kind: str, age: float, is_repeated: bool
) -> None:
    # A log that is synchronized each second, and a check of the sentinel each second.
    work = AcknowledgedWork(limit=10)
    work.add(100.0, **{kind: ["ann"]})
    work.add(100.0 + age)
    assert list(getattr(work, kind)) == ["ann"] * is_repeated
    work.clear()
    assert not (work.users)
    assert not (work.erasures)
    assert not (work.queries)


def test_work_that_is_acknowledged_again_is_as_new() -> None:
    work = AcknowledgedWork(limit=10)
    for at, user in ((1.0, "ann"), (2.0, "bob"), (3.0, "ann")):
        work.add(at, users=[user])
    work.add(5.5)
    assert list(work.users) == ["ann"]
