"""Republication of lists after partitions were assigned."""

from types import SimpleNamespace
from typing import Any

from state.dedup import RecordId
from state.fold import fold
from state.row import EMPTY_ROW
from stream_app.client.redis_contract import user_key
from stream_app.worker.republication import republish_recent_users
from tests.support.app_without_kafka import WorkerWithoutKafka
from topics.events import Click
from topics.records import Source


async def test_erased_users_are_erased_again_on_assignment_unless_they_returned(
    worker: WorkerWithoutKafka,
) -> None:
    click = Click(event_id="e", user_id="bob", ts=1_000_000, item_id="shoe")
    returned_row = fold(EMPTY_ROW, click, RecordId(Source.CLICK, 0, 0), gap=1800.0).row
    # the scan returns the rows as they were at its start
    scanned_rows, current_rows = {"ann": EMPTY_ROW, "bob": EMPTY_ROW}, {"ann": EMPTY_ROW, "bob": returned_row}
    rows: Any = SimpleNamespace(scan=scanned_rows.items, get=current_rows.__getitem__)
    worker.publisher.documents.update({user_key("ann"): b"{}", user_key("bob"): b"{}"})
    queue = worker.components.queue
    n_rows = await republish_recent_users(rows, queue, oldest=0.0, is_interrupted=lambda: False)
    assert n_rows == 2
    worker.components.flush_loop.start()
    await worker.components.flush_loop.wait_until_idle()
    assert worker.publisher.documents.keys() == {user_key("bob")}
