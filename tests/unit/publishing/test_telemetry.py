"""The metrics of the flush loop: exposure and diversity."""

import math

import pytest

from tests.support.in_memory_worker import InMemoryWorker


async def test_exposure_is_reported_with_the_lists(worker: InMemoryWorker) -> None:
    for user in ("ann", "bob"):
        for item in ("shoe", "sock", "hat"):
            worker.accept(worker.click(user, item))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert worker.count("exposure_gini_ratio") == pytest.approx(0.0)
    assert worker.count("exposure_new_items_ratio") == 1.0
    assert 0.0 <= worker.count("exposure_long_tail_ratio") <= 1.0


async def test_list_diversity_is_reported_for_described_items(worker: InMemoryWorker) -> None:
    for user in ("ann", "bob"):
        for item in ("shoe", "sock", "hat"):
            worker.accept(worker.click(user, item))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert math.isnan(worker.count("list_dissimilarity_ratio"))
    for item, category in (("shoe", "feet"), ("sock", "feet"), ("hat", "head")):
        number = worker.models.index.index(item, 0.0)
        worker.models.index.describe(number, 0.0, categories=(category,))
    worker.clock.now += 10.0
    worker.accept(worker.click("ann", "hat"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    assert worker.count("list_dissimilarity_ratio") == pytest.approx(2 / 3)
    assert worker.count("list_categories") == 2.0
