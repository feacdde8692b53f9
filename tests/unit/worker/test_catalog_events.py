"""What the catalogue's agent makes of items."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from stream_app.client.redis_contract import item_key, popular_key, user_key
from stream_app.worker.agents.catalog import CatalogEvents
from stream_app.worker.dead_letter_writer import DeadLetterWriter
from topics.catalog import CATALOG_ITEMS
from topics.codec import Limits

if TYPE_CHECKING:
    from tests.support.in_memory_worker import Workbench
else:
    from tests.support.in_memory_worker import Workbench


@pytest.fixture
def workbench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


OLD = b'{"item_id":"shoe","ts":"2001-01-01T00:00:00Z","title":"A shoe"}'


@pytest.fixture
def catalog(workbench: Workbench) -> CatalogEvents:
    letters = DeadLetterWriter(workbench.outgoing.append, workbench.metrics)
    return CatalogEvents(letters, workbench.metrics, Limits(max_age=60.0))


@pytest.mark.parametrize("value", [OLD, None])
def test_an_item_of_any_age_and_a_removal_are_fine(
    workbench: Workbench, catalog: CatalogEvents, value: bytes | None
) -> None:
    catalog.handle(workbench.record(CATALOG_ITEMS.name, b"shoe", value))
    assert workbench.outgoing.records == []
    assert workbench.outcomes(CATALOG_ITEMS) == {"accepted": 1}


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
def test_an_item_that_cannot_be_read_is_a_dead_letter(
    workbench: Workbench, catalog: CatalogEvents, value: bytes, reason: str
) -> None:
    catalog.handle(workbench.record(CATALOG_ITEMS.name, b"shoe", value))
    [letter] = workbench.letters()
    assert (letter.reason, letter.topic, letter.value) == (reason, CATALOG_ITEMS.name, value)
    assert workbench.outcomes(CATALOG_ITEMS) == {"dead_lettered": 1}


async def test_an_item_that_can_be_bought_no_more_leaves_lists_that_no_event_touches(
    workbench: Workbench,
) -> None:
    def described(**fields: object) -> None:
        value = msgspec.json.encode({"item_id": "shoe", "ts": int(workbench.clock.now * 1000), **fields})
        record = workbench.record(
            CATALOG_ITEMS.name, b"shoe", value, timestamp=int(workbench.clock.now * 1000)
        )
        workbench.replica._fold_catalogue([record])

    def holding() -> set[str]:
        lists = {key: workbench.published(key) for key in workbench.publisher.documents}
        return {key for key, one in lists.items() if one and any(item.id == "shoe" for item in one.items)}

    async def held_by(*keys: str) -> None:
        async with asyncio.timeout(5):
            while holding() != set(keys):  # noqa: ASYNC110  # a publisher in memory has no event
                await asyncio.sleep(0.001)

    shared = {popular_key(), popular_key("country:FR"), popular_key("category:footwear"), item_key("sock")}
    async with workbench.flushing():
        described(categories=["footwear"])
        for item in ("shoe", "sock", "shoe"):
            workbench.take(workbench.click("ann", item, context={"country": "FR"}))
        await held_by(*shared, user_key("ann"))
        workbench.clock.now += 60
        described(available=False)
        await held_by(user_key("ann"))  # a shopper's list follows at their next event
        workbench.take(workbench.click("ann", "sock"))
        await held_by()
        workbench.clock.now += 60
        described(categories=["footwear"])
        await held_by(*shared)
