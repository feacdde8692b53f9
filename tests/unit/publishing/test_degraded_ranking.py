"""Degraded ranking: which lists are degraded in an overload, and when their users are re-ranked."""

import asyncio
from math import inf
from pathlib import Path
from typing import Any

import pytest

from stream_app.client.redis_contract import search_key, user_key
from stream_app.publishing.degraded_ranking import DegradedRanking, FlushMode
from stream_app.ranking.ranker import DEGRADED_POLICY
from tests.support.in_memory_worker import InMemoryWorker


def make_worker(folder: Path, *models: str, **settings: Any) -> InMemoryWorker:
    """A worker whose flushes take four users."""
    return InMemoryWorker(folder, models=["popularity", "session_knn", *models], flush_users=4, **settings)


@pytest.fixture
def worker(tmp_path: Path) -> InMemoryWorker:
    return make_worker(tmp_path)


@pytest.fixture
def search_worker(tmp_path: Path) -> InMemoryWorker:
    return make_worker(tmp_path, "search")


def click_users(worker: InMemoryWorker, count: int) -> list[str]:
    users = [f"u{number}" for number in range(count)]
    for user in users:
        worker.accept(worker.click(user, "shoe"), worker.click(user, "sock"))
    return users


async def publish_pending(worker: InMemoryWorker) -> None:
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()


def degraded_users(worker: InMemoryWorker, users: list[str]) -> set[str]:
    lists = {user: worker.published(user_key(user)) for user in users}
    return {user for user, found in lists.items() if found is not None and found.policy == DEGRADED_POLICY}


async def test_second_consecutive_full_flush_is_degraded(worker: InMemoryWorker) -> None:
    users = click_users(worker, 10)
    await publish_pending(worker)
    # the second of two consecutive full flushes; the third takes two users and is not full
    assert degraded_users(worker, users) == set(users[4:8])
    assert worker.count("lists_degraded_total") == 4
    assert worker.count("degraded_users") == 4
    found = worker.published(user_key("u4"))
    assert found is not None
    assert {item.id for item in found.items} == {"shoe", "sock"}
    assert found.items[0].why.source in ("viewed_before", "similar_sessions")


async def test_no_degraded_lists_below_flush_size_or_when_disabled(
    worker: InMemoryWorker, tmp_path: Path
) -> None:
    users = click_users(worker, 3)
    await publish_pending(worker)
    assert degraded_users(worker, users) == set()
    full_ranking_worker = make_worker(tmp_path, degraded_ranking=False)
    users = click_users(full_ranking_worker, 10)
    await publish_pending(full_ranking_worker)
    assert degraded_users(full_ranking_worker, users) == set()
    assert all(full_ranking_worker.published(user_key(user)) for user in users)


async def test_degraded_users_are_reranked_once_after_the_overload(worker: InMemoryWorker) -> None:
    users = click_users(worker, 40)
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        first = worker.published(user_key("u5"))
        assert len(degraded_users(worker, users)) == 36
        # a short pause: one user has an event, and none is re-ranked yet
        worker.clock.now += 0.5
        worker.accept(worker.click("late", "shoe"))
        await worker.flush_loop.wait_until_idle()
        before = worker.count("lists_published_total", kind="user")
        assert before == 41
        worker.clock.now += 0.6
        # sixteen are re-ranked with the next flush, the others follow without an event
        worker.accept(worker.click("late", "sock"))
        for _ in range(1_000):
            await asyncio.sleep(0)
            # a re-ranked list counts once Redis has it: the last batch is sent while nothing is pending
            if not degraded_users(worker, users):
                break
        await worker.flush_loop.wait_until_idle()
    assert degraded_users(worker, users) == set()
    assert worker.count("lists_published_total", kind="user") == before + 1 + 36
    assert worker.count("degraded_users") == 0
    assert max(worker.publisher.flush_sizes) < 16 + 1 + 5
    reranked = worker.published(user_key("u5"))
    assert first is not None
    assert reranked is not None
    assert reranked.list_id != first.list_id
    assert worker.count("freshness_seconds_count") == 2 * len(users) + 2


async def test_erased_user_is_not_reranked(worker: InMemoryWorker) -> None:
    click_users(worker, 8)
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        assert worker.published(user_key("u5")) is not None
        worker.accept(worker.erasure("u5"))
        await worker.flush_loop.wait_until_idle()
        worker.clock.now += 2.0
        worker.accept(worker.click("late", "shoe"))
        await worker.flush_loop.wait_until_idle()
    assert worker.published(user_key("u5")) is None


async def test_an_erased_user_waits_for_no_reranking(worker: InMemoryWorker) -> None:
    users = click_users(worker, 12)
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        [*_, user] = sorted(degraded_users(worker, users))
        n_waiting = worker.count("degraded_users")
        assert n_waiting > 0
        worker.accept(worker.erasure(user))
        await worker.flush_loop.wait_until_idle()
        assert worker.count("degraded_users") == n_waiting - 1


async def test_consecutive_bursts_do_not_postpone_reranking(worker: InMemoryWorker) -> None:
    users = click_users(worker, 12)
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        assert degraded_users(worker, users)
        for _ in range(4):
            # more users than a flush takes, every 0.4 s: no second without an overload
            worker.clock.now += 0.4
            click_users(worker, 6)
            await worker.flush_loop.wait_until_idle()
    assert degraded_users(worker, users[6:]) == set()


async def test_costly_models_learn_a_sample_until_the_overload_ends(tmp_path: Path) -> None:
    worker = make_worker(tmp_path, "bpr")
    async with worker.running_flush_loop():
        click_users(worker, 12)
        await worker.flush_loop.wait_until_idle()
        clicks = 2 * len(click_users(worker, 200))
        await worker.flush_loop.wait_until_idle()
        worker.accept(worker.click("late", "shoe"))
        await worker.flush_loop.wait_until_idle()
        n_unlearned = worker.count("interactions_unlearned_total")
        assert n_unlearned == pytest.approx(0.75 * clicks, rel=0.2)
        click_users(worker, 3)
        await worker.flush_loop.wait_until_idle()
    assert worker.count("interactions_unlearned_total") == n_unlearned


async def test_republication_without_an_event_is_never_degraded(worker: InMemoryWorker) -> None:
    users = click_users(worker, 12)
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        worker.clock.now += 2.0
        for user in users:
            worker.queue.mark_pending(user)
        await worker.flush_loop.wait_until_idle()
    assert degraded_users(worker, users) == set()


async def test_full_list_has_its_own_id_without_new_events(worker: InMemoryWorker) -> None:
    click_users(worker, 8)
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        first = worker.published(user_key("u7"))
        worker.queue.mark_pending("u7")
        await worker.flush_loop.wait_until_idle()
        reranked = worker.published(user_key("u7"))
    assert first is not None
    assert reranked is not None
    assert first.model_version == reranked.model_version
    assert (first.policy, reranked.policy) == (DEGRADED_POLICY, "fixed_rrf")
    assert first.list_id != reranked.list_id


async def test_search_during_overload_is_ranked_and_reranked(search_worker: InMemoryWorker) -> None:
    worker = search_worker
    click_users(worker, 4)
    worker.accept(worker.search("u9", "warm feet", "hat", "sock", "never met"))
    click_users(worker, 8)
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        found = worker.published(search_key("u9"))
        assert found is not None
        assert {item.id for item in found.items} >= {"hat", "sock", "never met"}
        # the user clicks a result before the re-ranking is due
        worker.accept(worker.click("u9", "sock"))
        await worker.flush_loop.wait_until_idle()
        reranked = worker.published(search_key("u9"))
    assert worker.count("lists_published_total", kind="search") == 2
    assert reranked is not None
    assert reranked.list_id != found.list_id


async def test_full_search_list_is_not_reranked_after_a_later_overload(search_worker: InMemoryWorker) -> None:
    worker = search_worker
    click_users(worker, 2)
    worker.accept(worker.search("u9", "warm feet", "hat", "sock"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        found = worker.published(search_key("u9"))
        for _ in range(2):
            # clicks do not make the search list stale, and the user's list is degraded both times
            click_users(worker, 5)
            worker.accept(worker.click("u9", "shoe"))
            click_users(worker, 12)
            await worker.flush_loop.wait_until_idle()
            assert degraded_users(worker, ["u9"]) == {"u9"}
        worker.clock.now += 1.1
        worker.accept(worker.click("late", "shoe"))
        await worker.flush_loop.wait_until_idle()
    assert degraded_users(worker, ["u9"]) == set()
    assert worker.count("lists_published_total", kind="search") == 1
    assert found is not None
    assert worker.published(search_key("u9")) == found


async def test_event_backlog_degrades_a_flush_that_is_not_full(worker: InMemoryWorker) -> None:
    async with worker.running_flush_loop():
        for number, backlog in enumerate((3, 4, 4, 3, 4)):
            worker.accept(worker.click(f"u{number}", "shoe"), worker.click(f"u{number}", "sock"))
            # the users agent does this after each event, with the number of queued events
            await worker.queue.wait_for_capacity(backlog)
            await worker.flush_loop.wait_until_idle()
    # only the second overloaded flush in a row: one burst within a flush is not an overload
    assert degraded_users(worker, [f"u{number}" for number in range(5)]) == {"u2"}


async def test_pending_search_rerank_survives_a_redis_failure(search_worker: InMemoryWorker) -> None:
    worker = search_worker
    click_users(worker, 4)
    worker.accept(worker.search("u9", "warm feet", "hat", "sock"))
    click_users(worker, 8)
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
        found = worker.published(search_key("u9"))
        assert degraded_users(worker, ["u9"]) == {"u9"}
        worker.publisher.available = False
        worker.accept(worker.click("u9", "sock"))
        await worker.publisher.publish_failed.wait()
        worker.publisher.available = True
        await worker.flush_loop.wait_until_idle()
        worker.clock.now += 1.1
        worker.accept(worker.click("late", "shoe"))
        await worker.flush_loop.wait_until_idle()
    reranked = worker.published(search_key("u9"))
    assert found is not None
    assert reranked is not None
    assert reranked.list_id != found.list_id
    assert worker.count("degraded_users") == 0


def test_a_disabled_strategy_never_degrades_but_reports_that_an_overload_lasts() -> None:
    degraded_ranking = DegradedRanking(enabled=False)
    modes = [degraded_ranking.start_flush(full=True, backlog=0) for _ in range(3)]
    assert modes == [
        FlushMode(overloaded=True, lasting=lasting, degraded=False) for lasting in (False, True, True)
    ]


def test_flush_without_overload_ends_a_series() -> None:
    degraded_ranking = DegradedRanking(flush_users=4)
    modes = [degraded_ranking.start_flush(full=False, backlog=backlog) for backlog in (4, 4, 3, 4, 5)]
    assert [mode.degraded for mode in modes] == [False, True, False, False, True]


def test_rerankings_are_due_in_order_and_bounded_per_flush() -> None:
    degraded_ranking = DegradedRanking()
    assert degraded_ranking.next_due == inf
    for number in range(20):
        degraded_ranking.schedule(f"u{number}", now=100.0 + number / 100)
    assert degraded_ranking.next_due == 101.0
    assert degraded_ranking.due_users(now=101.05) == [f"u{number}" for number in range(6)]
    assert degraded_ranking.due_users(now=200.0) == [f"u{number}" for number in range(16)]


def test_scheduled_rerankings_are_bounded_and_evictions_counted() -> None:
    degraded_ranking = DegradedRanking(max_pending=2)
    for user in "abc":
        degraded_ranking.schedule(user, now=100.0, search=True)
    assert (len(degraded_ranking), degraded_ranking.evicted) == (2, 1)
    assert [degraded_ranking.pop(user) for user in "abc"] == [False, True, True]
    assert len(degraded_ranking) == 0


def test_search_of_a_failed_flush_does_not_postpone_a_reranking() -> None:
    degraded_ranking = DegradedRanking()
    degraded_ranking.schedule("ann", now=100.0)
    degraded_ranking.schedule_search("ann", now=105.0)
    degraded_ranking.schedule_search("bob", now=105.0)
    assert degraded_ranking.due_users(now=101.0) == ["ann"]
    assert (degraded_ranking.pop("ann"), degraded_ranking.pop("bob")) == (False, True)
