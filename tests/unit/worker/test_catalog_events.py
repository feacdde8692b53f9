"""The agent of the catalog."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from stream_app.client.redis_contract import item_key, popular_key, user_key
from stream_app.worker.agents.catalog import CatalogEventHandler
from stream_app.worker.dead_letter_writer import DeadLetterWriter
from topics.catalog import CATALOG_ITEMS
from topics.codec import Limits

if TYPE_CHECKING:
    from tests.support.in_memory_worker import InMemoryWorker
else:
    from tests.support.in_memory_worker import InMemoryWorker


@pytest.fixture
def worker(tmp_path: Path) -> InMemoryWorker:
    return InMemoryWorker(tmp_path)


OLD = b'{"item_id":"shoe","ts":"2001-01-01T00:00:00Z","title":"A shoe"}'


@pytest.fixture
def catalog(worker: InMemoryWorker) -> CatalogEventHandler:
    dead_letters = DeadLetterWriter(worker.producer.append, worker.metrics)
    return CatalogEventHandler(dead_letters, worker.metrics, Limits(max_age=60.0))


@pytest.mark.parametrize("value", [OLD, None])
def test_items_of_any_age_and_tombstones_are_accepted(
    worker: InMemoryWorker, catalog: CatalogEventHandler, value: bytes | None
) -> None:
    catalog.handle(worker.record(CATALOG_ITEMS.name, b"shoe", value))
    assert worker.producer.records == []
    assert worker.event_outcomes(CATALOG_ITEMS) == {"accepted": 1}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "unreadable"),
        (b"{}", "missing_field"),
        (OLD.replace(b'"A shoe"', b"7"), "wrong_type"),
        (OLD.replace(b"2001", b"2101"), "future_timestamp"),
        (OLD.replace(b"}", b',"price":-1}'), "negative_price"),
    ],
)
def test_an_unreadable_item_becomes_a_dead_letter(
    worker: InMemoryWorker, catalog: CatalogEventHandler, value: bytes, reason: str
) -> None:
    catalog.handle(worker.record(CATALOG_ITEMS.name, b"shoe", value))
    [letter] = worker.dead_letters()
    assert (letter.reason, letter.topic, letter.value) == (reason, CATALOG_ITEMS.name, value)
    assert worker.event_outcomes(CATALOG_ITEMS) == {"dead_lettered": 1}


async def test_an_unavailable_item_is_removed_from_lists_without_a_user_event(
    worker: InMemoryWorker,
) -> None:
    def handle_item(**fields: object) -> None:
        value = msgspec.json.encode({"item_id": "shoe", "ts": int(worker.clock.now * 1000), **fields})
        record = worker.record(CATALOG_ITEMS.name, b"shoe", value, timestamp=int(worker.clock.now * 1000))
        worker.replica._fold_catalog([record])

    def keys_with_shoe() -> set[str]:
        lists = {key: worker.published(key) for key in worker.publisher.documents}
        return {key for key, one in lists.items() if one and any(item.id == "shoe" for item in one.items)}

    async def wait_until_held_by(*keys: str) -> None:
        async with asyncio.timeout(5):
            while keys_with_shoe() != set(keys):  # noqa: ASYNC110  # a publisher in memory has no event
                await asyncio.sleep(0.001)

    segments = ("all", "country:FR", "category:footwear", "user:new")
    shared = {*map(popular_key, segments), item_key("sock")}
    async with worker.running_flush_loop():
        handle_item(categories=["footwear"])
        for item in ("shoe", "sock", "shoe"):
            worker.accept(worker.click("ann", item, context={"country": "FR"}))
        await wait_until_held_by(*shared, user_key("ann"))
        worker.clock.now += 60
        handle_item(available=False)
        await wait_until_held_by(user_key("ann"))  # a user's list is updated at the next event
        worker.accept(worker.click("ann", "sock"))
        await wait_until_held_by()
        worker.clock.now += 60
        handle_item(categories=["footwear"])
        await wait_until_held_by(*shared)
