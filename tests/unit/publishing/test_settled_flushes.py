"""A flush is settled when its lists are in Redis or its users are pending again: a republication waits for it."""

from tests.support.in_memory_worker import InMemoryWorker, run_pending_tasks


async def test_a_flush_is_settled_with_its_acknowledgement_and_not_before(worker: InMemoryWorker) -> None:
    loop = worker.flush_loop
    assert loop.is_settled(0)
    assert not loop.is_settled(1)
    worker.accept(worker.click("ann", "shoe"))
    worker.publisher.block()
    async with worker.running_flush_loop():
        await worker.publisher.publish_started.wait()
        assert loop.n_built == 1
        assert not loop.is_settled(1)
        worker.publisher.unblocked.set()
        await loop.wait_until_idle()
        await run_pending_tasks()
        assert loop.is_settled(1)
        assert not loop.is_settled(loop.n_built + 1)


async def test_every_flush_of_an_outage_is_settled_once(worker: InMemoryWorker) -> None:
    loop = worker.flush_loop
    worker.publisher.available = False
    async with worker.running_flush_loop():
        for number in range(3):
            worker.publisher.publish_failed.clear()
            worker.accept(worker.click(f"u{number}", "shoe"))
            await worker.publisher.publish_failed.wait()
        worker.publisher.available = True
        await loop.wait_until_idle()
        # The last flush is settled when the task that sent it has ended.
        await run_pending_tasks()
        assert loop.n_built > 3
        assert loop.is_settled(loop.n_built)
        assert not loop.is_settled(loop.n_built + 1)
