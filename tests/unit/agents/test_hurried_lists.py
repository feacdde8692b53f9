"""Lists made in a hurry while many shoppers wait: who gets one, and that it does not stay."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stream_app.publish.contract import search_key, user_key
from stream_app.ranker.ranker import HURRIED

if TYPE_CHECKING:
    from tests.unit.agents.workbench import Workbench
else:
    from workbench import Workbench


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
    # two full flushes; the two shoppers of the last waited for nobody
    assert hurried(bench, users) == set(users[:8])
    assert bench.count("lists_hurried_total") == 8
    found = bench.published(user_key("u0"))
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
        first = bench.published(user_key("u0"))
        assert hurried(bench, users)
        # a lull in the rush: somebody comes, and nobody is ranked again
        bench.clock.now += 0.5
        bench.take(bench.click("late", "shoe"))
        await bench.flusher.drained()
        before = bench.count("lists_published_total", kind="user")
        assert before == 41
        bench.clock.now += 0.6
        # sixteen go with the next flush, the others follow by themselves
        bench.take(bench.click("late", "sock"))
        await bench.flusher.drained()
    assert hurried(bench, users) == set()
    assert bench.count("lists_published_total", kind="user") == before + 1 + len(users)
    assert max(bench.publisher.flushes) < 16 + 1 + 5
    again = bench.published(user_key("u0"))
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
        assert bench.published(user_key("u0")) is not None
        bench.take(bench.erasure("u0"))
        await bench.flusher.drained()
        bench.clock.now += 2.0
        bench.take(bench.click("late", "shoe"))
        await bench.flusher.drained()
    assert bench.published(user_key("u0")) is None


async def test_a_search_in_the_rush_is_ordered_and_ordered_again(
    make_workbench: Callable[..., Workbench],
) -> None:
    bench = make_workbench(models=["popularity", "session_knn", "search"])
    bench.take(bench.search("u0", "warm feet", "hat", "sock", "never met"))
    crowd(bench, 8)
    bench.publisher.flushes.clear()
    async with bench.flushing():
        await bench.flusher.drained()
        found = bench.published(search_key("u0"))
        assert found is not None
        assert {item.id for item in found.items} >= {"hat", "sock", "never met"}
        bench.clock.now += 2.0
        bench.take(bench.click("late", "shoe"))
        await bench.flusher.drained()
    assert bench.count("lists_published_total", kind="search") == 2
