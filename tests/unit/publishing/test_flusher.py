"""Ranking and publishing what became dirty."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from stream_app.client.redis_contract import decode_list, item_key, popular_key, search_key, user_key
from stream_app.ranking.ranker import RankedList, Ranker
from stream_app.ranking.request import RankRequest
from stream_app.worker.list_recovery import to_published_list
from topics.catalog import LISTS
from topics.events import rfc3339

if TYPE_CHECKING:
    from tests.support.in_memory_worker import InMemoryWorker
else:
    from tests.support.in_memory_worker import InMemoryWorker


@pytest.fixture
def worker(tmp_path: Path) -> InMemoryWorker:
    return InMemoryWorker(tmp_path)


@pytest.fixture
def make_worker(tmp_path: Path) -> Callable[..., InMemoryWorker]:
    """A workbench with other settings."""
    return partial(InMemoryWorker, tmp_path)


def click_shared_items(worker: InMemoryWorker) -> None:
    """Two shoppers have looked at the same things, so that there is something to list."""
    for user in ("ann", "bob"):
        for item in ("shoe", "sock", "hat"):
            worker.accept(worker.click(user, item))


def item_ids_at(worker: InMemoryWorker, key: str) -> set[str]:
    document = worker.published(key)
    return set() if document is None else {item.id for item in document.items}


async def run_pending_tasks() -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_pending_user_is_published_under_their_key(worker: InMemoryWorker) -> None:
    click_shared_items(worker)
    async with worker.running_flusher():
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
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    # two shoppers, three items, one segment
    assert worker.publisher.flush_sizes == [6]
    assert worker.count("flush_lists_sum") == 6
    assert worker.count("flush_lists_count") == 1
    assert worker.count("flush_seconds_count") == 1
    assert worker.count("ranking_seconds_count") == 2


async def test_events_of_one_user_are_coalesced_into_one_list(worker: InMemoryWorker) -> None:
    for number in range(10):
        worker.accept(worker.click("ann", f"i{number}"))
    async with worker.running_flusher():
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
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert worker.count("lists_published_total", kind="user") == 10
    assert len(worker.publisher.flush_sizes) == 3


async def test_freshness_is_observed_once_per_event_after_acknowledgement(
    worker: InMemoryWorker,
) -> None:
    worker.accept(worker.click("ann", "shoe"), worker.click("ann", "sock"))
    worker.publisher.block()
    async with worker.running_flusher():
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
    async with worker.running_flusher():
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
    async with worker.running_flusher():
        await worker.publisher.publish_failed.wait()
        await run_pending_tasks()
        assert worker.publisher.documents == {}
        assert worker.count("freshness_seconds_count") == 0
        # the attempt that found Redis away was logged; nobody saw those lists, and no later attempt is
        assert [record.key for record in worker.producer.of(LISTS)] == [b"ann", b"bob"]
        assert len(worker.memory) == 0
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
    # the lists of items and segments were not lost either
    assert item_ids_at(worker, popular_key()) == {"shoe", "sock", "hat", "scarf"}
    assert item_ids_at(worker, item_key("shoe")) >= {"sock", "hat"}
    assert worker.count("freshness_seconds_count") == 8
    assert worker.count("lists_published_total", kind="user") == 3


async def test_an_outage_is_logged_once(worker: InMemoryWorker, caplog: pytest.LogCaptureFixture) -> None:
    worker.accept(worker.click("ann", "shoe"))
    worker.publisher.available = False
    with caplog.at_level(logging.WARNING):
        async with worker.running_flusher():
            for _ in range(3):
                await worker.publisher.publish_failed.wait()
                worker.publisher.publish_failed.clear()
            worker.publisher.available = True
            await worker.flush_loop.wait_until_idle()
    assert [record.message for record in caplog.records if "Redis is unavailable" in record.message] == [
        "Redis is unavailable; lists stay pending until it returns: the memory publisher is set to unavailable"
    ]


async def test_back_pressure_applies_when_a_full_batch_is_pending(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(flush_users=2)
    worker.accept(worker.click("ann", "shoe"))
    await worker.queue.wait_for_capacity()
    worker.accept(worker.click("bob", "shoe"))
    blocked_call = asyncio.create_task(worker.queue.wait_for_capacity())
    await run_pending_tasks()
    assert not blocked_call.done()
    async with worker.running_flusher():
        await blocked_call


async def test_no_back_pressure_while_redis_is_unavailable(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(flush_users=2)
    worker.publisher.available = False
    worker.accept(worker.click("ann", "shoe"), worker.click("bob", "shoe"))
    async with worker.running_flusher():
        await worker.publisher.publish_failed.wait()
        for user in range(20):
            # events go on being learned, and the shoppers wait
            await worker.queue.wait_for_capacity()
            worker.accept(worker.click(f"u{user}", "shoe"))
        assert worker.models.version == 22
        assert worker.queue.n_users >= 20
        worker.publisher.available = True
        await worker.flush_loop.wait_until_idle()
    assert worker.count("lists_published_total", kind="user") == 22


async def test_pending_users_are_bounded_and_evictions_counted(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(max_pending=3)
    worker.accept(*(worker.click(f"u{user}", "shoe") for user in range(5)))
    assert worker.queue.n_users == 3
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert worker.count("pending_evicted_total") == 2
    assert worker.count("pending_users") == 0


async def test_an_erased_shopper_has_no_list_and_the_others_keep_theirs(worker: InMemoryWorker) -> None:
    click_shared_items(worker)
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
        worker.publisher.documents[search_key("ann")] = b"{}"
        worker.accept(worker.erasure("ann"))
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") not in worker.publisher.documents
    assert search_key("ann") not in worker.publisher.documents
    assert user_key("bob") in worker.publisher.documents
    assert worker.lists.evaluate_interaction("ann", "shoe", worker.clock.now) == 0


async def test_erasure_before_the_flush_cancels_publication(worker: InMemoryWorker) -> None:
    worker.accept(worker.click("ann", "shoe"), worker.erasure("ann"))
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") not in worker.publisher.documents
    assert [record.value for record in worker.producer.of(LISTS)] == [None]


async def test_erasure_during_a_flush_removes_the_list(worker: InMemoryWorker) -> None:
    worker.accept(worker.click("ann", "shoe"))
    worker.publisher.block()
    async with worker.running_flusher():
        await worker.publisher.publish_started.wait()
        worker.accept(worker.erasure("ann"))
        worker.publisher.unblocked.set()
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") not in worker.publisher.documents
    # whoever reads the topic back is told to forget what was on it
    assert [record.value is None for record in worker.producer.of(LISTS)] == [False, True]
    assert worker.lists.evaluate_interaction("ann", "shoe", worker.clock.now) == 0


async def test_erasure_during_a_failing_flush_removes_the_list(
    worker: InMemoryWorker,
) -> None:
    worker.accept(worker.click("ann", "shoe"), worker.click("bob", "shoe"))
    worker.publisher.block()
    worker.publisher.available = False
    async with worker.running_flusher():
        await worker.publisher.publish_started.wait()
        worker.accept(worker.erasure("ann"))
        worker.publisher.unblocked.set()
        await worker.publisher.publish_failed.wait()
        worker.publisher.available = True
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") not in worker.publisher.documents
    assert user_key("bob") in worker.publisher.documents
    last = {record.key: record.value for record in worker.producer.of(LISTS)}
    assert last == {b"ann": None, b"bob": worker.publisher.documents[user_key("bob")]}


async def test_erasure_of_a_ranked_but_unsent_list_leaves_no_trace(
    worker: InMemoryWorker,
) -> None:
    worker.accept(worker.click("bob", "shoe"))
    worker.publisher.block()
    async with worker.running_flusher():
        await worker.publisher.publish_started.wait()
        # ann's list is ranked while bob's is on its way
        worker.accept(worker.click("ann", "shoe"))
        async with asyncio.timeout(5):
            while worker.queue.n_users:  # noqa: ASYNC110  # the condition is the flusher's, it has no event
                await asyncio.sleep(0)
        worker.accept(worker.erasure("ann"))
        worker.publisher.unblocked.set()
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") not in worker.publisher.documents
    assert [r.key for r in worker.producer.of(LISTS) if r.value is not None] == [b"bob"]
    assert worker.lists.evaluate_interaction("ann", "shoe", worker.clock.now) == 0


async def test_user_active_after_erasure_gets_a_new_list(worker: InMemoryWorker) -> None:
    click_shared_items(worker)
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
        worker.accept(worker.erasure("ann"), worker.click("ann", "scarf"))
        await worker.flush_loop.wait_until_idle()
    document = worker.published(user_key("ann"))
    assert document is not None
    assert document.model_version == 8
    # and it is on the topic, after the word to forget those of before
    logged = [record.value for record in worker.producer.of(LISTS) if record.key == b"ann"]
    assert logged[1:] == [None, worker.publisher.documents[user_key("ann")]]
    assert [each.list_id for each in worker.memory.lists_of("ann")] == [document.list_id]


async def test_list_written_by_the_new_partition_owner_is_not_overwritten(
    worker: InMemoryWorker,
) -> None:
    click_shared_items(worker)
    # the partition moves while the shopper waits: another worker publishes them now
    del worker.rows.stored["ann"]
    worker.publisher.documents[user_key("ann")] = b"what the new owner wrote"
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert worker.publisher.documents[user_key("ann")] == b"what the new owner wrote"
    assert user_key("bob") in worker.publisher.documents


async def test_refresh_cycles_are_bounded_and_resume(worker: InMemoryWorker) -> None:
    for number in range(250):
        worker.clock.now += 1.0
        worker.accept(worker.click("ann", f"i{number}"))
    documents = worker.publisher.documents
    sizes = [0]
    async with worker.running_flusher():
        while sizes[-1] < 250:
            worker.queue.mark_pending("ann")
            await worker.flush_loop.wait_until_idle()
            sizes.append(sum(key.startswith("recs:item:") for key in documents))
            worker.clock.now += worker.settings.shared_list_interval
    assert all(0 < after - before <= 100 for before, after in pairwise(sizes))


async def test_item_and_segment_lists_wait_for_the_next_refresh_cycle(worker: InMemoryWorker) -> None:
    click_shared_items(worker)
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
        assert item_ids_at(worker, popular_key()) == {"shoe", "sock", "hat"}
        first = worker.published(item_key("shoe"))
        worker.accept(worker.click("ann", "scarf", context={"country": "FR"}), worker.click("ann", "shoe"))
        await worker.flush_loop.wait_until_idle()
        assert worker.published(item_key("shoe")) == first
        assert item_ids_at(worker, popular_key()) == {"shoe", "sock", "hat"}
        worker.clock.now += worker.settings.shared_list_interval
        worker.queue.mark_pending("ann")
        await worker.flush_loop.wait_until_idle()
    assert "scarf" in item_ids_at(worker, popular_key())
    assert item_ids_at(worker, popular_key("country:FR")) == {"scarf"}
    assert worker.published(item_key("shoe")) != first


async def test_refresh_cycle_runs_without_pending_users(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(shared_list_interval=0.01)
    click_shared_items(worker)
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
        worker.accept(worker.click("ann", "scarf", context={"country": "FR"}))
        await worker.flush_loop.wait_until_idle()
        assert popular_key("country:FR") not in worker.publisher.documents
        worker.clock.now += worker.settings.shared_list_interval
        while popular_key("country:FR") not in worker.publisher.documents:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0)
    assert worker.count("lists_published_total", kind="user") == 3


async def test_item_without_related_items_has_no_list(worker: InMemoryWorker) -> None:
    worker.accept(worker.click("ann", "shoe"))
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert set(worker.publisher.documents) == {user_key("ann"), popular_key()}


async def test_lists_are_appended_to_kafka_before_redis(
    worker: InMemoryWorker,
) -> None:
    worker.events.handle(worker.message(worker.click("ann", "shoe"), partition=3))
    worker.publisher.block()
    async with worker.running_flusher():
        await worker.publisher.publish_started.wait()
        [record] = worker.producer.of(LISTS)
        assert worker.publisher.documents == {}
        worker.publisher.unblocked.set()
        await worker.flush_loop.wait_until_idle()
    assert worker.producer.of(LISTS) == [record]
    assert record == (LISTS.name, 3, b"ann", worker.publisher.documents[user_key("ann")])


async def test_a_list_is_logged_once_when_redis_returns(worker: InMemoryWorker) -> None:
    worker.accept(worker.click("ann", "shoe"))
    worker.publisher.available = False
    async with worker.running_flusher():
        await worker.publisher.publish_failed.wait()
        await run_pending_tasks()
        worker.clock.now += 30.0
        worker.publisher.available = True
        await worker.flush_loop.wait_until_idle()
    unacknowledged, acknowledged = [record.value for record in worker.producer.of(LISTS)]
    assert acknowledged == worker.publisher.documents[user_key("ann")]
    assert unacknowledged != acknowledged
    assert [each.at for each in worker.memory.lists_of("ann")] == [worker.clock.now]


async def test_policy_features_are_logged_and_remembered_but_not_in_redis(
    worker: InMemoryWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = bytes(range(6))
    rank = Ranker.rank_user

    def rank_with_features(self: Ranker, request: RankRequest) -> RankedList:
        ranked = rank(self, request)
        halved = tuple(replace(item, propensity=0.5) for item in ranked.items)
        return ranked._replace(items=halved, policy="thompson", features=features)

    monkeypatch.setattr(Ranker, "rank_user", rank_with_features)
    click_shared_items(worker)
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    logged = {r.key: r.value for r in worker.producer.of(LISTS)}[b"ann"]
    assert logged is not None
    document = worker.publisher.documents[user_key("ann")]
    assert b"features" not in document
    item_ids_at = decode_list(logged)
    assert item_ids_at.features == features
    assert replace(item_ids_at, features=b"") == decode_list(document)
    [remembered_list] = worker.memory.lists_of("ann")
    assert remembered_list == replace(to_published_list(item_ids_at), window_start=remembered_list.at)
    assert (remembered_list.policy, remembered_list.propensity(2), remembered_list.feature_row(1)) == (
        "thompson",
        0.5,
        features[2:4],
    )
    assert worker.count("policy_lists_total", policy="thompson") == 2


async def test_lists_are_not_appended_when_audit_is_off(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(audit_lists=False)
    worker.accept(worker.click("ann", "shoe"))
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") in worker.publisher.documents
    assert worker.producer.of(LISTS) == []


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


async def test_pending_erasures_are_counted_and_apply_back_pressure(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(max_pending=3)
    worker.publisher.available = False
    async with worker.running_flusher():
        for user in ("ann", "bob"):
            worker.accept(worker.erasure(user))
            await worker.queue.wait_for_capacity()
        await worker.publisher.publish_failed.wait()
        assert worker.count("pending_erasures") == 2
        worker.accept(worker.erasure("cid"))
        blocked_call = asyncio.create_task(worker.queue.wait_for_capacity())
        await run_pending_tasks()
        assert not blocked_call.done()
        worker.publisher.documents[user_key("ann")] = b"{}"
        worker.publisher.available = True
        await blocked_call
        await worker.flush_loop.wait_until_idle()
    assert worker.publisher.documents == {}
    assert worker.count("pending_erasures") == 0


async def test_many_erasures_are_split_over_pipelines(worker: InMemoryWorker) -> None:
    users = [f"u{number}" for number in range(2_500)]
    worker.publisher.documents.update((user_key(user), b"{}") for user in users)
    for user in users:
        worker.queue.add_erasure(user)
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
    assert worker.publisher.documents == {}
    assert worker.publisher.deletion_sizes == [2_000, 2_000, 1_000]


async def test_back_pressure_resumes_after_an_outage_until_the_batch_is_flushed(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(flush_users=2)
    worker.publisher.available = False
    worker.accept(*(worker.click(f"u{user}", "shoe") for user in range(8)))
    async with worker.running_flusher():
        await worker.publisher.publish_failed.wait()
        await worker.queue.wait_for_capacity()
        worker.publisher.available = True
        worker.publisher.block()
        await worker.publisher.publish_started.wait()
        worker.publisher.unblocked.set()
        while worker.count("lists_published_total", kind="user") == 0:  # noqa: ASYNC110  # told by a counter alone
            await asyncio.sleep(0)
        blocked_call = asyncio.create_task(worker.queue.wait_for_capacity())
        await asyncio.sleep(0)
        assert not blocked_call.done()
        await blocked_call
        assert worker.queue.n_users < 2
        await worker.flush_loop.wait_until_idle()
    assert worker.count("lists_published_total", kind="user") == 8


async def test_user_active_after_erasure_during_an_outage_gets_a_list(
    worker: InMemoryWorker,
) -> None:
    click_shared_items(worker)
    worker.publisher.available = False
    async with worker.running_flusher():
        worker.accept(worker.erasure("ann"), worker.click("ann", "scarf"))
        await worker.publisher.publish_failed.wait()
        worker.publisher.available = True
        await worker.flush_loop.wait_until_idle()
    found = worker.published(user_key("ann"))
    assert found is not None
    assert worker.count("pending_erasures") == 0


async def test_pending_erasures_are_dropped_when_partitions_are_revoked(worker: InMemoryWorker) -> None:
    worker.publisher.available = False
    async with worker.running_flusher():
        worker.accept(worker.erasure("ann"))
        await worker.publisher.publish_failed.wait()
        worker.queue.drop_erasures()
        # the next owner's list
        worker.publisher.documents[user_key("ann")] = b"{}"
        worker.publisher.available = True
        worker.accept(worker.click("bob", "shoe"))
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") in worker.publisher.documents
    assert worker.count("pending_erasures") == 0


async def test_stale_search_list_is_deleted_on_republication(worker: InMemoryWorker) -> None:
    worker.accept(worker.click("ann", "shoe"))
    worker.publisher.documents[search_key("ann")] = b"{}"
    async with worker.running_flusher():
        await worker.flush_loop.wait_until_idle()
        # an event says nothing of it: it may be of this very moment
        assert search_key("ann") in worker.publisher.documents
        worker.queue.mark_pending("ann")
        await worker.flush_loop.wait_until_idle()
    assert search_key("ann") not in worker.publisher.documents


async def test_back_pressure_applies_at_max_pending_below_flush_size(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(flush_users=8, max_pending=2, degraded_ranking=False)
    async with worker.running_flusher():
        for number in range(20):
            worker.accept(worker.click(f"u{number}", "shoe"))
            await worker.queue.wait_for_capacity()
        await worker.flush_loop.wait_until_idle()
    assert worker.count("pending_evicted_total") == 0
    assert worker.count("lists_published_total", kind="user") == 20
