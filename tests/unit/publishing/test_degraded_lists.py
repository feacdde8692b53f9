"""Lists made in a hurry while many shoppers wait: who gets one, and that it does not stay."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stream_app.client.redis_contract import search_key, user_key
from stream_app.ranking.ranker import HURRIED

if TYPE_CHECKING:
    from tests.support.in_memory_worker import Workbench
else:
    from tests.support.in_memory_worker import Workbench


@pytest.fixture
def make_workbench(tmp_path: Path) -> Callable[..., Workbench]:
    """A workbench whose flushes take four shoppers."""
    return partial(Workbench, tmp_path, models=["popularity", "session_knn"], flush_users=4)


def crowd(bench: Workbench, count: int) -> list[str]:
    users = [f"u{number}" for number in range(count)]
    for user in users:
        bench.take(bench.click(user, "shoe"), bench.click(user, "sock"))
    return users


def hurried(bench: Workbench, users: list[str]) -> set[str]:
    lists = {user: bench.published(user_key(user)) for user in users}
    return {user for user, found in lists.items() if found is not None and found.policy == HURRIED}


async def test_whoever_waits_while_a_full_flush_waits_gets_a_list_in_a_hurry(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench()
    users = crowd(bench, 10)
    async with bench.flushing():
        await bench.flusher.drained()
    # of two full flushes one after the other the second; the two shoppers of the last waited for nobody
    assert hurried(bench, users) == set(users[4:8])
    assert bench.count("lists_hurried_total") == 4
    assert bench.count("hurried_users") == 4
    found = bench.published(user_key("u4"))
    assert found is not None
    assert {item.id for item in found.items} == {"shoe", "sock"}
    assert found.items[0].why.source in ("viewed_before", "similar_sessions")


async def test_few_shoppers_are_in_no_hurry_and_nobody_is_where_it_is_switched_off(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench()
    users = crowd(bench, 3)
    async with bench.flushing():
        await bench.flusher.drained()
    assert hurried(bench, users) == set()
    patient = make_workbench(hurry=False)
    users = crowd(patient, 10)
    async with patient.flushing():
        await patient.flusher.drained()
    assert hurried(patient, users) == set()
    assert all(patient.published(user_key(user)) for user in users)


async def test_they_are_ranked_again_when_the_rush_is_over_and_then_no_more(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench()
    users = crowd(bench, 40)
    async with bench.flushing():
        await bench.flusher.drained()
        first = bench.published(user_key("u5"))
        assert len(hurried(bench, users)) == 36
        # a lull in the rush: somebody comes, and nobody is ranked again
        bench.clock.now += 0.5
        bench.take(bench.click("late", "shoe"))
        await bench.flusher.drained()
        before = bench.count("lists_published_total", kind="user")
        assert before == 41
        bench.clock.now += 0.6
        # sixteen go with the next flush, the others follow by themselves
        bench.take(bench.click("late", "sock"))
        for _ in range(1_000):
            await asyncio.sleep(0)
            if not bench.count("hurried_users"):
                break
        await bench.flusher.drained()
    assert hurried(bench, users) == set()
    assert bench.count("lists_published_total", kind="user") == before + 1 + 36
    assert bench.count("hurried_users") == 0
    assert max(bench.publisher.flushes) < 16 + 1 + 5
    again = bench.published(user_key("u5"))
    assert first is not None
    assert again is not None
    assert again.list_id != first.list_id
    assert bench.count("freshness_seconds_count") == 2 * len(users) + 2


async def test_whoever_is_erased_meanwhile_is_not_ranked_again(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench()
    crowd(bench, 8)
    async with bench.flushing():
        await bench.flusher.drained()
        assert bench.published(user_key("u5")) is not None
        bench.take(bench.erasure("u5"))
        await bench.flusher.drained()
        bench.clock.now += 2.0
        bench.take(bench.click("late", "shoe"))
        await bench.flusher.drained()
    assert bench.published(user_key("u5")) is None


async def test_bursts_that_follow_one_another_do_not_keep_lists_hurried(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench()
    users = crowd(bench, 12)
    async with bench.flushing():
        await bench.flusher.drained()
        assert hurried(bench, users)
        for _ in range(4):
            # more than a flush takes, every 0.4 s: never a second without one
            bench.clock.now += 0.4
            crowd(bench, 6)
            await bench.flusher.drained()
    assert hurried(bench, users[6:]) == set()


async def test_whoever_is_published_again_without_an_event_is_in_no_hurry(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench()
    users = crowd(bench, 12)
    async with bench.flushing():
        await bench.flusher.drained()
        bench.clock.now += 2.0
        for user in users:
            bench.flusher.mark(user)
        await bench.flusher.drained()
    assert hurried(bench, users) == set()


async def test_the_better_list_has_a_name_of_its_own_though_nothing_happened_in_between(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench()
    crowd(bench, 8)
    async with bench.flushing():
        await bench.flusher.drained()
        first = bench.published(user_key("u7"))
        bench.flusher.mark("u7")
        await bench.flusher.drained()
        again = bench.published(user_key("u7"))
    assert first is not None
    assert again is not None
    assert first.model_version == again.model_version
    assert (first.policy, again.policy) == (HURRIED, "fixed_rrf")
    assert first.list_id != again.list_id


async def test_a_search_in_the_rush_is_ordered_and_ordered_again(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench(models=["popularity", "session_knn", "search"])
    crowd(bench, 4)
    bench.take(bench.search("u9", "warm feet", "hat", "sock", "never met"))
    crowd(bench, 8)
    async with bench.flushing():
        await bench.flusher.drained()
        found = bench.published(search_key("u9"))
        assert found is not None
        assert {item.id for item in found.items} >= {"hat", "sock", "never met"}
        # they click what was found before it is their turn again
        bench.take(bench.click("u9", "sock"))
        await bench.flusher.drained()
        again = bench.published(search_key("u9"))
    assert bench.count("lists_published_total", kind="search") == 2
    assert again is not None
    assert again.list_id != found.list_id


async def test_a_search_list_made_with_leisure_is_not_made_again_for_a_rush_after_it(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench(models=["popularity", "session_knn", "search"])
    crowd(bench, 2)
    bench.take(bench.search("u9", "warm feet", "hat", "sock"))
    async with bench.flushing():
        await bench.flusher.drained()
        found = bench.published(search_key("u9"))
        for _ in range(2):
            # clicks are no news of what was found, and both times the shopper's list is made in a hurry
            crowd(bench, 5)
            bench.take(bench.click("u9", "shoe"))
            crowd(bench, 12)
            await bench.flusher.drained()
            assert hurried(bench, ["u9"]) == {"u9"}
        bench.clock.now += 1.1
        bench.take(bench.click("late", "shoe"))
        await bench.flusher.drained()
    assert hurried(bench, ["u9"]) == set()
    assert bench.count("lists_published_total", kind="search") == 1
    assert found is not None
    assert bench.published(search_key("u9")) == found


async def test_a_flush_that_events_wait_behind_is_in_a_hurry_though_it_was_not_full_yet(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench()
    async with bench.flushing():
        for number, backlog in enumerate((3, 4, 4, 3, 4)):
            bench.take(bench.click(f"u{number}", "shoe"), bench.click(f"u{number}", "sock"))
            # what a worker does after each event, with what it has read and not taken yet
            await bench.flusher.room(backlog)
            await bench.flusher.drained()
    # only the second of two in a row, so that one burst that is worked off at once is no rush
    assert hurried(bench, [f"u{number}" for number in range(5)]) == {"u2"}


async def test_a_search_list_that_was_to_be_made_again_is_though_redis_failed_meanwhile(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench(models=["popularity", "session_knn", "search"])
    crowd(bench, 4)
    bench.take(bench.search("u9", "warm feet", "hat", "sock"))
    crowd(bench, 8)
    async with bench.flushing():
        await bench.flusher.drained()
        found = bench.published(search_key("u9"))
        assert hurried(bench, ["u9"]) == {"u9"}
        bench.publisher.available = False
        bench.take(bench.click("u9", "sock"))
        await bench.publisher.refused.wait()
        bench.publisher.available = True
        await bench.flusher.drained()
        bench.clock.now += 1.1
        bench.take(bench.click("late", "shoe"))
        await bench.flusher.drained()
    again = bench.published(search_key("u9"))
    assert found is not None
    assert again is not None
    assert again.list_id != found.list_id
    assert bench.count("hurried_users") == 0
