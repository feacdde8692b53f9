"""The flush loop: take, build, send, acknowledge, retry, stop."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from stream_app.client.redis_contract import item_key, popular_key, search_key, user_key
from stream_app.publishing.publisher import (
    Document,
    OwnedKey,
    OwnershipUnconfirmedError,
    PublisherUnavailableError,
    StoreRestartedError,
)
from tests.support.in_memory_worker import InMemoryWorker, click_shared_items, run_pending_tasks
from topics.catalog import LISTS
from topics.events import rfc3339
from topics.log_keys import user_of


async def test_pending_user_is_published_under_their_key(worker: InMemoryWorker) -> None:
    click_shared_items(worker)
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    document = worker.published(user_key("ann"))
    assert document is not None
    assert document.key == user_key("ann")
    assert document.generated_at == rfc3339(worker.clock.now)
    assert document.model_version == 6
    assert {item.id for item in document.items} == {"shoe", "sock", "hat"}
    assert worker.queue.n_users == 0
    assert worker.count("lists_published_total", kind="user") == 2


async def test_each_flush_is_one_pipeline(worker: InMemoryWorker) -> None:
    click_shared_items(worker)
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    # two users, three items, two segments
    assert worker.publisher.flush_sizes == [7]
    assert worker.count("flush_lists_sum") == 7
    assert worker.count("flush_lists_count") == 1
    assert worker.count("flush_seconds_count") == 1
    assert worker.count("ranking_seconds_count") == 2


async def test_events_of_one_user_are_coalesced_into_one_list(worker: InMemoryWorker) -> None:
    for number in range(10):
        worker.accept(worker.click("ann", f"i{number}"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert worker.count("lists_published_total", kind="user") == 1
    assert worker.count("freshness_seconds_count") == 10


async def test_users_beyond_flush_size_take_several_pipelines(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(flush_users=4)
    for user in range(10):
        worker.queue.mark_pending(f"u{user}", worker.clock.now)
        worker.accept(worker.click(f"u{user}", "shoe"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert worker.count("lists_published_total", kind="user") == 10
    assert len(worker.publisher.flush_sizes) == 3


async def test_freshness_is_observed_once_per_event_after_acknowledgement(
    worker: InMemoryWorker,
) -> None:
    worker.accept(worker.click("ann", "shoe"), worker.click("ann", "sock"))
    worker.publisher.block()
    async with worker.running_flush_loop():
        await worker.publisher.publish_started.wait()
        assert worker.count("freshness_seconds_count") == 0
        worker.clock.now += 0.25
        worker.publisher.unblocked.set()
        await worker.flush_loop.wait_until_idle()
        assert worker.count("freshness_seconds_count") == 2
        assert worker.count("freshness_seconds_sum") == pytest.approx(0.5)
        worker.queue.mark_pending("ann")
        await worker.flush_loop.wait_until_idle()
    assert worker.count("freshness_seconds_count") == 2


async def test_user_marked_during_a_flush_is_published_again(
    worker: InMemoryWorker,
) -> None:
    click_shared_items(worker)
    worker.publisher.block()
    async with worker.running_flush_loop():
        await worker.publisher.publish_started.wait()
        worker.accept(worker.click("ann", "scarf"))
        worker.publisher.unblocked.set()
        await worker.flush_loop.wait_until_idle()
    document = worker.published(user_key("ann"))
    assert document is not None
    assert document.model_version == 7
    assert worker.count("freshness_seconds_count") == 7


async def test_pending_users_survive_a_redis_outage_and_get_current_lists(
    worker: InMemoryWorker,
) -> None:
    click_shared_items(worker)
    worker.publisher.available = False
    async with worker.running_flush_loop():
        await worker.publisher.publish_failed.wait()
        await run_pending_tasks()
        assert worker.publisher.documents == {}
        assert worker.count("freshness_seconds_count") == 0
        # the lists of the first failed attempt are on the topic, those of later attempts are not
        assert [user_of(record.key or b"") for record in worker.producer.of(LISTS)] == [b"ann", b"bob"]
        assert len(worker.list_store) == 0
        worker.accept(worker.click("bob", "scarf"), worker.click("cem", "scarf"))
        worker.clock.now += 30.0
        worker.publisher.available = True
        await worker.flush_loop.wait_until_idle()
    assert worker.count("flush_failures_total") >= 1
    for user in ("ann", "bob", "cem"):
        document = worker.published(user_key(user))
        assert document is not None
        assert document.model_version == 8
        assert document.generated_at == rfc3339(worker.clock.now)
    # the lists of items and segments are published as well
    assert set(worker.item_ids(popular_key())) == {"shoe", "sock", "hat", "scarf"}
    assert set(worker.item_ids(item_key("shoe"))) >= {"sock", "hat"}
    assert worker.count("freshness_seconds_count") == 8
    assert worker.count("lists_published_total", kind="user") == 3


async def test_an_outage_is_logged_once(worker: InMemoryWorker, caplog: pytest.LogCaptureFixture) -> None:
    worker.accept(worker.click("ann", "shoe"))
    worker.publisher.available = False
    with caplog.at_level(logging.WARNING):
        async with worker.running_flush_loop():
            for _ in range(3):
                await worker.publisher.publish_failed.wait()
                worker.publisher.publish_failed.clear()
            worker.publisher.available = True
            await worker.flush_loop.wait_until_idle()
    [message] = [record.message for record in caplog.records if "Redis is unavailable" in record.message]
    assert message == (
        "Redis is unavailable; 1 user lists stay pending until it returns: "
        "the memory publisher is set to unavailable"
    )


async def test_list_written_by_the_new_partition_owner_is_not_overwritten(
    worker: InMemoryWorker,
) -> None:
    click_shared_items(worker)
    # the partition moves to another worker while the user is pending
    del worker.rows.stored["ann"]
    worker.publisher.documents[user_key("ann")] = b"what the new owner wrote"
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert worker.publisher.documents[user_key("ann")] == b"what the new owner wrote"
    assert user_key("bob") in worker.publisher.documents


async def test_stop_publishes_pending_lists(worker: InMemoryWorker) -> None:
    click_shared_items(worker)
    async with asyncio.timeout(10):
        worker.flush_loop.start()
        await worker.flush_loop.stop()
    assert {user_key("ann"), user_key("bob")} <= set(worker.publisher.documents)


async def test_stop_does_not_wait_for_unavailable_redis_and_logs_the_rest(
    worker: InMemoryWorker, caplog: pytest.LogCaptureFixture
) -> None:
    click_shared_items(worker)
    worker.publisher.available = False
    async with asyncio.timeout(10):
        worker.flush_loop.start()
        await worker.publisher.publish_failed.wait()
        await run_pending_tasks()
        await worker.flush_loop.stop(patience=0.01)
    assert worker.publisher.documents == {}
    assert "unpublished work: 2 user lists, 0 erasures" in caplog.text


async def test_stop_leaves_no_task_behind(worker: InMemoryWorker) -> None:
    worker.accept(worker.click("ann", "shoe"))
    worker.publisher.block()
    async with asyncio.timeout(10):
        worker.flush_loop.start()
        await worker.publisher.publish_started.wait()
        await worker.flush_loop.stop(patience=0.01)
    remaining = asyncio.all_tasks() - {asyncio.current_task()}
    for task in remaining:
        task.cancel()
    await asyncio.gather(*remaining, return_exceptions=True)
    assert remaining == set()


async def test_stop_before_start_is_a_no_op(worker: InMemoryWorker) -> None:
    await worker.flush_loop.stop()


async def test_stale_search_list_is_deleted_on_republication(worker: InMemoryWorker) -> None:
    worker.accept(worker.click("ann", "shoe"))
    worker.publisher.documents[search_key("ann")] = b"{}"
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        # an event does not delete it: it may be current
        assert search_key("ann") in worker.publisher.documents
        worker.queue.mark_pending("ann")
        await worker.flush_loop.wait_until_idle()
    assert search_key("ann") not in worker.publisher.documents


async def test_list_rules_from_settings_apply_to_published_lists(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(max_per_brand=1)
    for item in ("shoe", "boot", "hat"):
        number = worker.models.index.index(item, 0.0)
        worker.models.index.describe(number, 0.0, brand="knit" if item == "hat" else "acme")
    for user in ("ann", "bob"):
        for item in ("shoe", "boot", "hat"):
            worker.accept(worker.click(user, item))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    found = worker.published(user_key("ann"))
    assert found is not None
    assert len(found.items) == 2
    assert "hat" in {item.id for item in found.items}


async def test_a_flush_logs_lists_then_deletes_then_writes(
    worker: InMemoryWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    publish, delete = worker.publisher.publish, worker.publisher.delete

    async def record_publish(documents: Sequence[Document]) -> None:
        steps.extend(f"write {each.key}" for each in documents if each.key.startswith("recs:user"))
        await publish(documents)

    async def record_delete(keys: Sequence[OwnedKey]) -> None:
        steps.extend(f"delete {each.key}" for each in keys)
        await delete(keys)

    def record_append(*record: Any) -> None:
        topic, _, key, value = record[:4]
        if topic == LISTS.name:
            steps.append(f"{'tombstone' if value is None else 'log'} {user_of(key).decode()}")

    monkeypatch.setattr(worker.publisher, "publish", record_publish)
    monkeypatch.setattr(worker.publisher, "delete", record_delete)
    monkeypatch.setattr(worker.flush_loop._list_log, "_append", record_append)
    worker.accept(worker.click("ann", "shoe"), worker.erasure("ann"), worker.click("ann", "hat"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert steps == [
        "tombstone ann",
        "log ann",
        f"delete {user_key('ann')}",
        f"delete {search_key('ann')}",
        f"write {user_key('ann')}",
    ]


async def test_a_doubt_about_the_ownership_is_not_called_an_outage_of_redis(
    worker: InMemoryWorker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, errors = (
        worker.publisher.publish,
        [
            OwnershipUnconfirmedError("the lease expired"),
            OwnershipUnconfirmedError("the lease expired"),
            StoreRestartedError("the script is loaded again"),
            PublisherUnavailableError("no reply"),
        ],
    )

    async def fail_first(documents: Sequence[Document]) -> None:
        if errors:
            raise errors.pop(0)
        await publish(documents)

    monkeypatch.setattr(worker.publisher, "publish", fail_first)
    worker.accept(worker.click("ann", "shoe"))
    with caplog.at_level(logging.WARNING, "stream_app.publishing.flush_loop"):
        async with worker.running_flush_loop():
            await worker.flush_loop.wait_until_idle()
    messages = [record.message for record in caplog.records if "stay pending" in record.message]
    doubt, outage = messages
    assert doubt == (
        "it is not certain that this worker still owns its partitions; 1 user lists stay pending until it is: "
        "the lease expired"
    )
    assert outage == "Redis is unavailable; 1 user lists stay pending until it returns: no reply"
    assert user_key("ann") in worker.publisher.documents
