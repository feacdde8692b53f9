"""Republication of lists after partitions were assigned."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from state.dedup import RecordId
from state.fold import fold
from state.row import EMPTY_ROW
from stream_app.client.redis_contract import user_key
from topics.events import Click
from topics.records import Source

if TYPE_CHECKING:
    from tests.support.app_without_kafka import WorkerWithoutKafka, open_worker
else:
    from tests.support.app_without_kafka import WorkerWithoutKafka, open_worker


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[WorkerWithoutKafka]:
    async with open_worker(tmp_path) as made:
        yield made


async def test_erased_users_are_erased_again_on_assignment_unless_they_returned(
    worker: WorkerWithoutKafka,
) -> None:
    click = Click(event_id="e", user_id="bob", ts=1_000_000, item_id="shoe")
    returned_row = fold(EMPTY_ROW, click, RecordId(Source.CLICK, 0, 0), gap=1800.0).row
    # the scan returns the rows as they were at its start
    scanned_rows, current_rows = {"ann": EMPTY_ROW, "bob": EMPTY_ROW}, {"ann": EMPTY_ROW, "bob": returned_row}
    worker.worker.rows = SimpleNamespace(
        scan=scanned_rows.items,
        get=current_rows.__getitem__,
        partition_of=lambda _: 0,
        set_count=lambda _: None,
    )
    worker.publisher.documents.update({user_key("ann"): b"{}", user_key("bob"): b"{}"})
    worker.worker.catch_up_barrier.set()
    await worker.worker._republish_recent_users()
    worker.components.flush_loop.start()
    await worker.components.flush_loop.wait_until_idle()
    assert worker.publisher.documents.keys() == {user_key("bob")}
