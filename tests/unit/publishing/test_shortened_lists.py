"""A list that is too long for a record loses its last items, in Redis and in the log alike."""

import pytest

from stream_app.client.redis_contract import decode_list, user_key
from stream_app.publishing import list_builder
from tests.support.in_memory_worker import InMemoryWorker
from topics.catalog import LISTS


@pytest.mark.parametrize(("limit", "n_items"), [(10_000, 12), (900, 6), (500, 2)])
async def test_a_list_is_shortened_until_it_fits(
    worker: InMemoryWorker, monkeypatch: pytest.MonkeyPatch, limit: int, n_items: int
) -> None:
    monkeypatch.setattr(list_builder, "MAX_LIST_BYTES", limit)
    for number in range(12):
        worker.accept(worker.click("ann", f"item {number}"))
    async with worker.running_flush_loop():
        await worker.flush_loop.wait_until_idle()
    [record] = worker.producer.of(LISTS)
    document = worker.publisher.documents[user_key("ann")]
    assert record.value == document
    assert len(document) <= limit
    items = [item.id for item in decode_list(document).items]
    assert [*worker.list_store.lists_of("ann")[0].items] == items
    assert worker.count("lists_shortened_total") == (n_items < 12)
    assert abs(len(items) - n_items) <= 1
