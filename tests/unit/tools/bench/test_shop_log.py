"""The log of a generated shop is read by the format jsonl."""

from pathlib import Path

from stream_app.tools.bench.shop_log import shop_log
from stream_app.tools.feeds import jsonl
from stream_app.tools.feeds.rows import EventRow
from topics.events import CatalogItem, Click


def test_the_log_has_the_catalog_and_then_events_of_users(tmp_path: Path) -> None:
    rows = list(jsonl.rows(shop_log(seed=2, users=3, folder=tmp_path), "shop"))

    events = [row.event for row in rows if isinstance(row, EventRow)]
    assert len(events) == len(rows)
    kinds = [isinstance(event, CatalogItem) for event in events]
    assert kinds == sorted(kinds, reverse=True)
    assert any(isinstance(event, Click) for event in events)
