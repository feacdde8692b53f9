"""The catalog agent, declared on a real Faust application."""

from tests.support.app_without_kafka import WorkerWithoutKafka
from topics.catalog import CATALOG_ITEMS


async def test_items_are_validated_and_unreadable_ones_become_dead_letters(
    worker: WorkerWithoutKafka,
) -> None:
    good = b'{"item_id":"shoe","ts":"2020-01-01T00:00:00Z"}'
    async with worker.agent("catalog") as agent:
        for value in (good, b"{", None, good):
            await worker.put(agent, CATALOG_ITEMS.name, b"shoe", value)
        await worker.until(lambda: worker.count(CATALOG_ITEMS.name, "accepted") == 3)
    await worker.batch_producer.flush()
    assert [(letter.topic, letter.offset, letter.reason) for letter in worker.letters()] == [
        (CATALOG_ITEMS.name, 1, "unreadable")
    ]


async def test_catalog_agent_does_not_wait_for_the_catch_up_barrier(worker: WorkerWithoutKafka) -> None:
    assert not worker.catch_up_barrier.is_set()
    async with worker.agent("catalog") as agent:
        await worker.put(agent, CATALOG_ITEMS.name, b"shoe", None)
        await worker.until(lambda: worker.count(CATALOG_ITEMS.name, "accepted") == 1)
