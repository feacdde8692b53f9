"""What a worker does about its shoppers' lists when partitions are given to it."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from state.dedup import Place
from state.fold import fold
from state.row import EMPTY_ROW
from stream_app.client.redis_contract import user_key
from topics.events import Click
from topics.records import Source

if TYPE_CHECKING:
    from tests.support.app_without_kafka import Shop, opened
else:
    from tests.support.app_without_kafka import Shop, opened


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with opened(tmp_path) as made:
        yield made


async def test_whoever_is_erased_still_is_erased_again_and_not_who_came_back_meanwhile(shop: Shop) -> None:
    click = Click(event_id="e", user_id="bob", ts=1_000_000, item_id="shoe")
    back = fold(EMPTY_ROW, click, Place(Source.CLICK, 0, 0), gap=1800.0).row
    # the store gives the rows as they were when it began to be gone through
    before, now = {"ann": EMPTY_ROW, "bob": EMPTY_ROW}, {"ann": EMPTY_ROW, "bob": back}
    shop.parts.rows = SimpleNamespace(
        scan=before.items, get=now.__getitem__, partition_of=lambda _: 0, count_from=lambda _: None
    )
    shop.publisher.documents.update({user_key("ann"): b"{}", user_key("bob"): b"{}"})
    shop.parts.gate.set()
    await shop.parts._mark_recent()
    shop.parts.flusher.start()
    await shop.parts.flusher.drained()
    assert shop.publisher.documents.keys() == {user_key("bob")}
