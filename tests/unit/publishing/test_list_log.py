"""The list log: when lists are appended to the topic, and which fields the topic, Redis and the memory have."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from stream_app.client.redis_contract import decode_list, user_key
from stream_app.publishing.list_documents import to_published_list
from stream_app.ranking.ranker import RankedList, Ranker
from stream_app.ranking.request import RankRequest
from tests.support.in_memory_worker import InMemoryWorker, click_shared_items, run_pending_tasks
from topics.catalog import LISTS
from topics.log_keys import list_key, user_of


async def test_lists_are_appended_to_kafka_before_redis(
    worker: InMemoryWorker,
) -> None:
    worker.events.handle(worker.message(worker.click("ann", "shoe"), partition=3))
    worker.publisher.block()
    async with worker.running_flush_loop():
        await worker.publisher.publish_started.wait()
        [record] = worker.producer.of(LISTS)
        assert worker.publisher.documents == {}
        worker.publisher.unblocked.set()
        await worker.flush_loop.wait_until_idle()
    assert worker.producer.of(LISTS) == [record]
    document = worker.publisher.documents[user_key("ann")]
    [published] = worker.list_store.lists_of("ann")
    assert record == (LISTS.name, 3, list_key(b"ann", published.list_id, published.at), document)


async def test_a_list_is_logged_once_when_redis_returns(worker: InMemoryWorker) -> None:
    worker.accept(worker.click("ann", "shoe"))
    worker.publisher.available = False
    async with worker.running_flush_loop():
        await worker.publisher.publish_failed.wait()
        await run_pending_tasks()
        worker.clock.now += 30.0
        worker.publisher.available = True
        await worker.flush_loop.wait_until_idle()
    unacknowledged, acknowledged = [record.value for record in worker.producer.of(LISTS)]
    assert acknowledged == worker.publisher.documents[user_key("ann")]
    assert unacknowledged != acknowledged
    assert [each.at for each in worker.list_store.lists_of("ann")] == [worker.clock.now]


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
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    logged = {user_of(r.key or b""): r.value for r in worker.producer.of(LISTS)}[b"ann"]
    assert logged is not None
    document = worker.publisher.documents[user_key("ann")]
    assert b"features" not in document
    listed = decode_list(logged)
    assert listed.features == features
    assert replace(listed, features=b"") == decode_list(document)
    [remembered_list] = worker.list_store.lists_of("ann")
    assert remembered_list == replace(to_published_list(listed), window_start=remembered_list.at)
    assert (remembered_list.policy, remembered_list.propensity(2), remembered_list.feature_row(1)) == (
        "thompson",
        0.5,
        features[2:4],
    )
    assert worker.count("policy_lists_total", policy="thompson") == 2


async def test_lists_are_not_appended_when_the_setting_is_off(
    make_worker: Callable[..., InMemoryWorker],
) -> None:
    worker = make_worker(log_lists=False)
    worker.accept(worker.click("ann", "shoe"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert user_key("ann") in worker.publisher.documents
    assert worker.producer.of(LISTS) == []
