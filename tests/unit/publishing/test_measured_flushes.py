"""What a flush measures: freshness by clocks that may differ, and exposure from time to time."""

from tests.support.in_memory_worker import InMemoryWorker


async def publish(worker: InMemoryWorker) -> None:
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()


async def test_freshness_is_the_time_since_the_event_for_lists_and_searches(worker: InMemoryWorker) -> None:
    worker.accept(worker.search("ann", "red", "a", "b"))
    worker.accept(worker.click("ann", "a"))
    worker.clock.now += 2.5
    await publish(worker)
    assert worker.count("freshness_seconds_count") == 2
    assert worker.count("freshness_seconds_sum") == 5.0
    assert worker.count("search_freshness_seconds_count") == 1
    assert worker.count("search_freshness_seconds_sum") == 2.5


async def test_an_event_that_the_broker_received_later_than_now_has_the_freshness_zero(
    worker: InMemoryWorker,
) -> None:
    # The broker's clock is ahead of that of this machine.
    worker.accept(worker.search("ann", "red", "a", "b"))
    worker.clock.now -= 0.5
    await publish(worker)
    assert worker.count("freshness_seconds_count") == worker.count("search_freshness_seconds_count") == 1
    assert worker.count("freshness_seconds_sum") == worker.count("search_freshness_seconds_sum") == 0.0


async def test_exposure_is_reported_every_five_seconds(worker: InMemoryWorker) -> None:
    for item in ("shoe", "sock", "hat", "scarf"):
        worker.accept(worker.click("ann", item))
    reported = []
    async with worker.running_flush_loop():
        # The lists name other items each time; only a report shows it.
        for step, item in enumerate(("shoe", "glove", "cap", "tie")):
            worker.accept(worker.click("bob", item))
            await worker.flush_loop.wait_until_idle()
            reported.append(worker.count("exposure_gini_ratio"))
            for number in range(3):
                worker.accept(worker.click("cem", f"unlisted {step} {number}"))
            await worker.flush_loop.wait_until_idle()
            worker.clock.now += 2.5
    first, unchanged, changed, unchanged_again = reported
    assert first == unchanged
    assert changed not in {first, 0.0}
    assert unchanged_again == changed
