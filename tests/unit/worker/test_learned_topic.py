"""Records of the catalog that become part of the models."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from stream_app.worker.learned_topic import decode_catalog_item, fold_catalog
from topics.catalog import CATALOG_ITEMS
from topics.codec import Limits
from topics.events import MAX_ID_BYTES, CatalogItem


def record(key: bytes | None, value: bytes | None = None, offset: int = 0) -> Any:
    return SimpleNamespace(
        topic=CATALOG_ITEMS.name, partition=0, offset=offset, key=key, value=value, timestamp=1_000
    )


@pytest.mark.parametrize("key", [b"shoe", "schön".encode(), b"x" * MAX_ID_BYTES])
def test_a_tombstone_makes_its_item_unavailable(key: bytes) -> None:
    assert decode_catalog_item(record(key), Limits()) == CatalogItem(
        item_id=key.decode(), ts=1_000, available=False
    )


@pytest.mark.parametrize("key", [None, b"", b"\xff", b"x" * (MAX_ID_BYTES + 1)])
def test_a_tombstone_whose_key_is_no_item_id_is_ignored(key: bytes | None) -> None:
    assert decode_catalog_item(record(key), Limits()) is None


def test_an_item_that_cannot_be_learned_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    learned: list[str] = []

    def learn(item: CatalogItem) -> None:
        if item.item_id == "bad":
            raise ZeroDivisionError
        learned.append(item.item_id)

    records = [
        record(None, msgspec.json.encode({"item_id": item, "ts": 1_000}), offset)
        for offset, item in enumerate(["shoe", "bad", "hat"])
    ]
    fold_catalog(records, Limits(), learn)
    assert learned == ["shoe", "hat"]
    name = CATALOG_ITEMS.name
    assert f"ignoring a record of {name} that could not be learned: event {name}[0]@1" in caplog.text
