"""The agent of the catalogue, declared on a real Faust application."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from topics.catalog import CATALOG_ITEMS

if TYPE_CHECKING:
    from tests.support.app_without_kafka import Shop, opened
else:
    from tests.support.app_without_kafka import Shop, opened


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with opened(tmp_path) as made:
        yield made


async def test_items_are_checked_and_what_cannot_be_read_is_a_dead_letter(shop: Shop) -> None:
    good = b'{"item_id":"shoe","ts":"2020-01-01T00:00:00Z"}'
    async with shop.agent("catalog") as agent:
        for value in (good, b"{", None, good):
            await shop.put(agent, CATALOG_ITEMS.name, b"shoe", value)
        await shop.until(lambda: shop.count(CATALOG_ITEMS.name, "accepted") == 3)
    await shop.parts.outbox.flush()
    assert [(letter.topic, letter.offset, letter.reason) for letter in shop.letters()] == [
        (CATALOG_ITEMS.name, 1, "unreadable")
    ]


async def test_it_does_not_wait_at_the_gate(shop: Shop) -> None:
    assert not shop.parts.gate.is_set()
    async with shop.agent("catalog") as agent:
        await shop.put(agent, CATALOG_ITEMS.name, b"shoe", None)
        await shop.until(lambda: shop.count(CATALOG_ITEMS.name, "accepted") == 1)
