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
from stream_app.ranking.ranker import Ranked, Ranker
from stream_app.ranking.request import RankRequest
from stream_app.worker.list_recovery import remembered
from topics.catalog import LISTS
from topics.events import rfc3339

if TYPE_CHECKING:
    from tests.support.in_memory_worker import Workbench
else:
    from tests.support.in_memory_worker import Workbench


@pytest.fixture
def workbench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


@pytest.fixture
def make_workbench(tmp_path: Path) -> Callable[..., Workbench]:
    """A workbench with other settings."""
    return partial(Workbench, tmp_path)


def shoes_and_socks(bench: Workbench) -> None:
    """Two shoppers have looked at the same things, so that there is something to list."""
    for user in ("ann", "bob"):
        for item in ("shoe", "sock", "hat"):
            bench.take(bench.click(user, item))


def listed(bench: Workbench, key: str) -> set[str]:
    document = bench.published(key)
    return set() if document is None else {item.id for item in document.items}


async def settled() -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_dirty_shopper_is_published_under_their_key(workbench: Workbench) -> None:
    shoes_and_socks(workbench)
    async with workbench.flushing():
        await workbench.flusher.drained()
    document = workbench.published(user_key("ann"))
    assert document is not None
    assert document.key == user_key("ann")
    assert document.generated_at == rfc3339(workbench.clock.now)
    assert document.model_version == 6
    assert {item.id for item in document.items} == {"shoe", "sock", "hat"}
    assert len(workbench.flusher) == 0
    assert workbench.count("lists_published_total", kind="user") == 2


async def test_everything_of_a_flush_goes_in_one_pipeline(workbench: Workbench) -> None:
    shoes_and_socks(workbench)
    async with workbench.flushing():
        await workbench.flusher.drained()
    # two shoppers, three items, one segment
    assert workbench.publisher.flushes == [6]
    assert workbench.count("flush_lists_sum") == 6
    assert workbench.count("flush_lists_count") == 1
    assert workbench.count("flush_seconds_count") == 1
    assert workbench.count("ranking_seconds_count") == 2


async def test_the_events_of_a_shopper_come_together_in_one_list(workbench: Workbench) -> None:
    for place in range(10):
        workbench.take(workbench.click("ann", f"i{place}"))
    async with workbench.flushing():
        await workbench.flusher.drained()
    assert workbench.count("lists_published_total", kind="user") == 1
    assert workbench.count("freshness_seconds_count") == 10


async def test_more_shoppers_than_a_pipeline_holds_take_several(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench(flush_users=4)
    for user in range(10):
        bench.flusher.mark(f"u{user}", bench.clock.now)
        bench.take(bench.click(f"u{user}", "shoe"))
    async with bench.flushing():
        await bench.flusher.drained()
    assert bench.count("lists_published_total", kind="user") == 10
    assert len(bench.publisher.flushes) == 3


async def test_freshness_is_observed_once_an_event_and_only_after_the_acknowledgement(
    workbench: Workbench,
) -> None:
    workbench.take(workbench.click("ann", "shoe"), workbench.click("ann", "sock"))
    workbench.publisher.hold()
    async with workbench.flushing():
        await workbench.publisher.started.wait()
        assert workbench.count("freshness_seconds_count") == 0
        workbench.clock.now += 0.25
        workbench.publisher.open.set()
        await workbench.flusher.drained()
        assert workbench.count("freshness_seconds_count") == 2
        assert workbench.count("freshness_seconds_sum") == pytest.approx(0.5)
        workbench.flusher.mark("ann")
        await workbench.flusher.drained()
    assert workbench.count("freshness_seconds_count") == 2


async def test_a_shopper_marked_while_their_list_is_on_its_way_is_published_again(
    workbench: Workbench,
) -> None:
    shoes_and_socks(workbench)
    workbench.publisher.hold()
    async with workbench.flushing():
        await workbench.publisher.started.wait()
        workbench.take(workbench.click("ann", "scarf"))
        workbench.publisher.open.set()
        await workbench.flusher.drained()
    document = workbench.published(user_key("ann"))
    assert document is not None
    assert document.model_version == 7
    assert workbench.count("freshness_seconds_count") == 7


async def test_nobody_is_forgotten_while_redis_is_away_and_the_list_of_now_is_published(
    workbench: Workbench,
) -> None:
    shoes_and_socks(workbench)
    workbench.publisher.available = False
    async with workbench.flushing():
        await workbench.publisher.refused.wait()
        await settled()
        assert workbench.publisher.documents == {}
        assert workbench.count("freshness_seconds_count") == 0
        # the attempt that found Redis away was logged; nobody saw those lists, and no later attempt is
        assert [record.key for record in workbench.outgoing.of(LISTS)] == [b"ann", b"bob"]
        assert len(workbench.memory) == 0
        workbench.take(workbench.click("bob", "scarf"), workbench.click("cem", "scarf"))
        workbench.clock.now += 30.0
        workbench.publisher.available = True
        await workbench.flusher.drained()
    assert workbench.count("flush_failures_total") >= 1
    for user in ("ann", "bob", "cem"):
        document = workbench.published(user_key(user))
        assert document is not None
        assert document.model_version == 8
        assert document.generated_at == rfc3339(workbench.clock.now)
    # the lists of items and segments were not lost either
    assert listed(workbench, popular_key()) == {"shoe", "sock", "hat", "scarf"}
    assert listed(workbench, item_key("shoe")) >= {"sock", "hat"}
    assert workbench.count("freshness_seconds_count") == 8
    assert workbench.count("lists_published_total", kind="user") == 3


async def test_an_outage_is_one_warning_however_long_it_lasts(
    workbench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    workbench.take(workbench.click("ann", "shoe"))
    workbench.publisher.available = False
    with caplog.at_level(logging.WARNING):
        async with workbench.flushing():
            for _ in range(3):
                await workbench.publisher.refused.wait()
                workbench.publisher.refused.clear()
            workbench.publisher.available = True
            await workbench.flusher.drained()
    assert [record.message for record in caplog.records if "Redis is away" in record.message] == [
        "Redis is away, lists wait until it returns: the memory publisher is set to be away"
    ]


async def test_there_is_room_until_a_full_batch_waits(make_workbench: Callable[..., Workbench]) -> None:
    bench = make_workbench(flush_users=2)
    bench.take(bench.click("ann", "shoe"))
    await bench.flusher.room()
    bench.take(bench.click("bob", "shoe"))
    waiting = asyncio.create_task(bench.flusher.room())
    await settled()
    assert not waiting.done()
    async with bench.flushing():
        await waiting


async def test_there_is_room_while_redis_is_away(make_workbench: Callable[..., Workbench]) -> None:
    bench = make_workbench(flush_users=2)
    bench.publisher.available = False
    bench.take(bench.click("ann", "shoe"), bench.click("bob", "shoe"))
    async with bench.flushing():
        await bench.publisher.refused.wait()
        for user in range(20):
            # events go on being learned, and the shoppers wait
            await bench.flusher.room()
            bench.take(bench.click(f"u{user}", "shoe"))
        assert bench.models.version == 22
        assert len(bench.flusher) >= 20
        bench.publisher.available = True
        await bench.flusher.drained()
    assert bench.count("lists_published_total", kind="user") == 22


async def test_waiting_shoppers_are_bounded_and_those_dropped_are_counted(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench(max_dirty=3)
    bench.take(*(bench.click(f"u{user}", "shoe") for user in range(5)))
    assert len(bench.flusher) == 3
    async with bench.flushing():
        await bench.flusher.drained()
    assert bench.count("dirty_evicted_total") == 2
    assert bench.count("dirty_users") == 0


async def test_an_erased_shopper_has_no_list_and_the_others_keep_theirs(workbench: Workbench) -> None:
    shoes_and_socks(workbench)
    async with workbench.flushing():
        await workbench.flusher.drained()
        workbench.publisher.documents[search_key("ann")] = b"{}"
        workbench.take(workbench.erasure("ann"))
        await workbench.flusher.drained()
    assert user_key("ann") not in workbench.publisher.documents
    assert search_key("ann") not in workbench.publisher.documents
    assert user_key("bob") in workbench.publisher.documents
    assert workbench.lists.chose("ann", "shoe", workbench.clock.now) == 0


async def test_an_erasure_before_the_flush_leaves_nothing_to_publish(workbench: Workbench) -> None:
    workbench.take(workbench.click("ann", "shoe"), workbench.erasure("ann"))
    async with workbench.flushing():
        await workbench.flusher.drained()
    assert user_key("ann") not in workbench.publisher.documents
    assert [record.value for record in workbench.outgoing.of(LISTS)] == [None]


async def test_an_erasure_while_the_list_is_on_its_way_takes_it_back(workbench: Workbench) -> None:
    workbench.take(workbench.click("ann", "shoe"))
    workbench.publisher.hold()
    async with workbench.flushing():
        await workbench.publisher.started.wait()
        workbench.take(workbench.erasure("ann"))
        workbench.publisher.open.set()
        await workbench.flusher.drained()
    assert user_key("ann") not in workbench.publisher.documents
    # whoever reads the topic back is told to forget what was on it
    assert [record.value is None for record in workbench.outgoing.of(LISTS)] == [False, True]
    assert workbench.lists.chose("ann", "shoe", workbench.clock.now) == 0


async def test_an_erasure_while_the_list_is_on_its_way_to_an_absent_redis_takes_it_back(
    workbench: Workbench,
) -> None:
    workbench.take(workbench.click("ann", "shoe"), workbench.click("bob", "shoe"))
    workbench.publisher.hold()
    workbench.publisher.available = False
    async with workbench.flushing():
        await workbench.publisher.started.wait()
        workbench.take(workbench.erasure("ann"))
        workbench.publisher.open.set()
        await workbench.publisher.refused.wait()
        workbench.publisher.available = True
        await workbench.flusher.drained()
    assert user_key("ann") not in workbench.publisher.documents
    assert user_key("bob") in workbench.publisher.documents
    last = {record.key: record.value for record in workbench.outgoing.of(LISTS)}
    assert last == {b"ann": None, b"bob": workbench.publisher.documents[user_key("bob")]}


async def test_an_erasure_of_a_shopper_whose_list_is_ranked_but_not_sent_leaves_no_trace(
    workbench: Workbench,
) -> None:
    workbench.take(workbench.click("bob", "shoe"))
    workbench.publisher.hold()
    async with workbench.flushing():
        await workbench.publisher.started.wait()
        # ann's list is ranked while bob's is on its way
        workbench.take(workbench.click("ann", "shoe"))
        async with asyncio.timeout(5):
            while len(workbench.flusher):  # noqa: ASYNC110  # the condition is the flusher's, it has no event
                await asyncio.sleep(0)
        workbench.take(workbench.erasure("ann"))
        workbench.publisher.open.set()
        await workbench.flusher.drained()
    assert user_key("ann") not in workbench.publisher.documents
    assert [r.key for r in workbench.outgoing.of(LISTS) if r.value is not None] == [b"bob"]
    assert workbench.lists.chose("ann", "shoe", workbench.clock.now) == 0


async def test_a_shopper_who_comes_back_after_the_erasure_gets_a_list_again(workbench: Workbench) -> None:
    shoes_and_socks(workbench)
    async with workbench.flushing():
        await workbench.flusher.drained()
        workbench.take(workbench.erasure("ann"), workbench.click("ann", "scarf"))
        await workbench.flusher.drained()
    document = workbench.published(user_key("ann"))
    assert document is not None
    assert document.model_version == 8
    # and it is on the topic, after the word to forget those of before
    logged = [record.value for record in workbench.outgoing.of(LISTS) if record.key == b"ann"]
    assert logged[1:] == [None, workbench.publisher.documents[user_key("ann")]]
    assert [each.list_id for each in workbench.memory.of("ann")] == [document.list_id]


async def test_a_shopper_whose_row_went_to_another_worker_keeps_the_list_that_worker_wrote(
    workbench: Workbench,
) -> None:
    shoes_and_socks(workbench)
    # the partition moves while the shopper waits: another worker publishes them now
    del workbench.rows.stored["ann"]
    workbench.publisher.documents[user_key("ann")] = b"what the new owner wrote"
    async with workbench.flushing():
        await workbench.flusher.drained()
    assert workbench.publisher.documents[user_key("ann")] == b"what the new owner wrote"
    assert user_key("bob") in workbench.publisher.documents


async def test_rounds_of_item_lists_are_bounded_and_go_on_where_they_stopped(workbench: Workbench) -> None:
    for place in range(250):
        workbench.clock.now += 1.0
        workbench.take(workbench.click("ann", f"i{place}"))
    documents = workbench.publisher.documents
    sizes = [0]
    async with workbench.flushing():
        while sizes[-1] < 250:
            workbench.flusher.mark("ann")
            await workbench.flusher.drained()
            sizes.append(sum(key.startswith("recs:item:") for key in documents))
            workbench.clock.now += workbench.settings.item_list_interval
    assert all(0 < after - before <= 100 for before, after in pairwise(sizes))


async def test_item_and_segment_lists_wait_for_their_next_round(workbench: Workbench) -> None:
    shoes_and_socks(workbench)
    async with workbench.flushing():
        await workbench.flusher.drained()
        assert listed(workbench, popular_key()) == {"shoe", "sock", "hat"}
        first = workbench.published(item_key("shoe"))
        workbench.take(
            workbench.click("ann", "scarf", context={"country": "FR"}), workbench.click("ann", "shoe")
        )
        await workbench.flusher.drained()
        assert workbench.published(item_key("shoe")) == first
        assert listed(workbench, popular_key()) == {"shoe", "sock", "hat"}
        workbench.clock.now += workbench.settings.item_list_interval
        workbench.flusher.mark("ann")
        await workbench.flusher.drained()
    assert "scarf" in listed(workbench, popular_key())
    assert listed(workbench, popular_key("country:FR")) == {"scarf"}
    assert workbench.published(item_key("shoe")) != first


async def test_a_round_comes_by_itself_when_no_shopper_is_dirty(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench(item_list_interval=0.01)
    shoes_and_socks(bench)
    async with bench.flushing():
        await bench.flusher.drained()
        bench.take(bench.click("ann", "scarf", context={"country": "FR"}))
        await bench.flusher.drained()
        assert popular_key("country:FR") not in bench.publisher.documents
        bench.clock.now += bench.settings.item_list_interval
        while popular_key("country:FR") not in bench.publisher.documents:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0)
    assert bench.count("lists_published_total", kind="user") == 3


async def test_an_item_without_company_has_no_list(workbench: Workbench) -> None:
    workbench.take(workbench.click("ann", "shoe"))
    async with workbench.flushing():
        await workbench.flusher.drained()
    assert set(workbench.publisher.documents) == {user_key("ann"), popular_key()}


async def test_lists_are_logged_under_the_shoppers_key_before_redis_has_them(
    workbench: Workbench,
) -> None:
    workbench.events.handle(workbench.message(workbench.click("ann", "shoe"), partition=3))
    workbench.publisher.hold()
    async with workbench.flushing():
        await workbench.publisher.started.wait()
        [record] = workbench.outgoing.of(LISTS)
        assert workbench.publisher.documents == {}
        workbench.publisher.open.set()
        await workbench.flusher.drained()
    assert workbench.outgoing.of(LISTS) == [record]
    assert record == (LISTS.name, 3, b"ann", workbench.publisher.documents[user_key("ann")])


async def test_a_list_is_logged_once_when_redis_returns(workbench: Workbench) -> None:
    workbench.take(workbench.click("ann", "shoe"))
    workbench.publisher.available = False
    async with workbench.flushing():
        await workbench.publisher.refused.wait()
        await settled()
        workbench.clock.now += 30.0
        workbench.publisher.available = True
        await workbench.flusher.drained()
    lost, kept = [record.value for record in workbench.outgoing.of(LISTS)]
    assert kept == workbench.publisher.documents[user_key("ann")]
    assert lost != kept
    assert [each.at for each in workbench.memory.of("ann")] == [workbench.clock.now]


async def test_what_a_policy_went_by_is_logged_and_remembered_and_not_in_redis(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = bytes(range(6))
    rank = Ranker.rank_user

    def with_features(self: Ranker, request: RankRequest) -> Ranked:
        ranked = rank(self, request)
        halved = tuple(replace(item, propensity=0.5) for item in ranked.items)
        return ranked._replace(items=halved, policy="thompson", features=features)

    monkeypatch.setattr(Ranker, "rank_user", with_features)
    shoes_and_socks(workbench)
    async with workbench.flushing():
        await workbench.flusher.drained()
    logged = {r.key: r.value for r in workbench.outgoing.of(LISTS)}[b"ann"]
    assert logged is not None
    document = workbench.publisher.documents[user_key("ann")]
    assert b"features" not in document
    listed = decode_list(logged)
    assert listed.features == features
    assert replace(listed, features=b"") == decode_list(document)
    [known] = workbench.memory.of("ann")
    assert known == replace(remembered(listed), since=known.at)
    assert (known.policy, known.propensity(2), known.row(1)) == ("thompson", 0.5, features[2:4])
    assert workbench.count("policy_lists_total", policy="thompson") == 2


async def test_lists_are_not_audited_when_the_setting_says_so(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench(audit_lists=False)
    bench.take(bench.click("ann", "shoe"))
    async with bench.flushing():
        await bench.flusher.drained()
    assert user_key("ann") in bench.publisher.documents
    assert bench.outgoing.of(LISTS) == []


async def test_stopping_publishes_what_waits(workbench: Workbench) -> None:
    shoes_and_socks(workbench)
    async with asyncio.timeout(10):
        workbench.flusher.start()
        await workbench.flusher.stop()
    assert {user_key("ann"), user_key("bob")} <= set(workbench.publisher.documents)


async def test_stopping_does_not_wait_for_an_absent_redis_and_says_what_is_left(
    workbench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    shoes_and_socks(workbench)
    workbench.publisher.available = False
    async with asyncio.timeout(10):
        workbench.flusher.start()
        await workbench.publisher.refused.wait()
        await settled()
        await workbench.flusher.stop(patience=0.01)
    assert workbench.publisher.documents == {}
    assert "2 lists were not published and 0 erased" in caplog.text


async def test_stopping_leaves_no_flush_behind(workbench: Workbench) -> None:
    workbench.take(workbench.click("ann", "shoe"))
    workbench.publisher.hold()
    async with asyncio.timeout(10):
        workbench.flusher.start()
        await workbench.publisher.started.wait()
        await workbench.flusher.stop(patience=0.01)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    assert left == set()


async def test_stopping_what_was_not_started_is_fine(workbench: Workbench) -> None:
    await workbench.flusher.stop()


async def test_erasures_that_wait_for_redis_are_counted_and_hold_up_what_would_be_too_many(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench(max_dirty=3)
    bench.publisher.available = False
    async with bench.flushing():
        for user in ("ann", "bob"):
            bench.take(bench.erasure(user))
            await bench.flusher.room()
        await bench.publisher.refused.wait()
        assert bench.count("erasures_waiting") == 2
        bench.take(bench.erasure("cid"))
        waiting = asyncio.create_task(bench.flusher.room())
        await settled()
        assert not waiting.done()
        bench.publisher.documents[user_key("ann")] = b"{}"
        bench.publisher.available = True
        await waiting
        await bench.flusher.drained()
    assert bench.publisher.documents == {}
    assert bench.count("erasures_waiting") == 0


async def test_thousands_of_erasures_go_in_several_pipelines(workbench: Workbench) -> None:
    users = [f"u{number}" for number in range(2_500)]
    workbench.publisher.documents.update((user_key(user), b"{}") for user in users)
    for user in users:
        workbench.flusher.erase_again(user)
    async with workbench.flushing():
        await workbench.flusher.drained()
    assert workbench.publisher.documents == {}
    assert workbench.publisher.deletions == [2_000, 2_000, 1_000]


async def test_after_redis_was_away_there_is_room_no_sooner_than_the_full_batch_is_gone(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench(flush_users=2)
    bench.publisher.available = False
    bench.take(*(bench.click(f"u{user}", "shoe") for user in range(8)))
    async with bench.flushing():
        await bench.publisher.refused.wait()
        await bench.flusher.room()
        bench.publisher.available = True
        bench.publisher.hold()
        await bench.publisher.started.wait()
        bench.publisher.open.set()
        while bench.count("lists_published_total", kind="user") == 0:  # noqa: ASYNC110  # told by a counter alone
            await asyncio.sleep(0)
        waiting = asyncio.create_task(bench.flusher.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        await waiting
        assert len(bench.flusher) < 2
        await bench.flusher.drained()
    assert bench.count("lists_published_total", kind="user") == 8


async def test_whoever_comes_back_after_an_erasure_while_redis_is_away_has_a_list_when_it_returns(
    workbench: Workbench,
) -> None:
    shoes_and_socks(workbench)
    workbench.publisher.available = False
    async with workbench.flushing():
        workbench.take(workbench.erasure("ann"), workbench.click("ann", "scarf"))
        await workbench.publisher.refused.wait()
        workbench.publisher.available = True
        await workbench.flusher.drained()
    found = workbench.published(user_key("ann"))
    assert found is not None
    assert workbench.count("erasures_waiting") == 0


async def test_erasures_are_left_to_whoever_gets_the_partitions(workbench: Workbench) -> None:
    workbench.publisher.available = False
    async with workbench.flushing():
        workbench.take(workbench.erasure("ann"))
        await workbench.publisher.refused.wait()
        workbench.flusher.leave_erasures()
        # the next owner's list
        workbench.publisher.documents[user_key("ann")] = b"{}"
        workbench.publisher.available = True
        workbench.take(workbench.click("bob", "shoe"))
        await workbench.flusher.drained()
    assert user_key("ann") in workbench.publisher.documents
    assert workbench.count("erasures_waiting") == 0


async def test_a_search_list_of_before_goes_when_a_shopper_is_published_again(workbench: Workbench) -> None:
    workbench.take(workbench.click("ann", "shoe"))
    workbench.publisher.documents[search_key("ann")] = b"{}"
    async with workbench.flushing():
        await workbench.flusher.drained()
        # an event says nothing of it: it may be of this very moment
        assert search_key("ann") in workbench.publisher.documents
        workbench.flusher.mark("ann")
        await workbench.flusher.drained()
    assert search_key("ann") not in workbench.publisher.documents


async def test_fewer_remembered_than_a_flush_takes_are_a_crowd(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench(flush_users=8, max_dirty=2, hurry=False)
    async with bench.flushing():
        for number in range(20):
            bench.take(bench.click(f"u{number}", "shoe"))
            await bench.flusher.room()
        await bench.flusher.drained()
    assert bench.count("dirty_evicted_total") == 0
    assert bench.count("lists_published_total", kind="user") == 20
