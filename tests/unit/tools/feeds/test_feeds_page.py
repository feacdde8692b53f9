"""The examples in docs/feeds.md work."""

import re

from stream_app.tools.feeds import jsonl
from stream_app.tools.feeds.column_mapping import ROW_KINDS, parse_mapping
from stream_app.tools.feeds.formats import FORMATS
from stream_app.tools.feeds.rows import EventRow
from tests.support import ROOT

DOCUMENT = (ROOT / "docs" / "feeds.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, flags=re.DOTALL)


def test_documented_mappings_parse() -> None:
    shop, yoochoose = (parse_mapping(block, "docs/feeds.md") for block in blocks("toml"))

    assert shop.columns.order_id == "order"
    assert yoochoose.delimiter == "\t"


def test_documented_events_parse() -> None:
    [block] = blocks("json")
    lines = block.replace(",\n ", ", ").encode().splitlines()

    assert [isinstance(row, EventRow) for row in jsonl.rows(lines, "feeds")] == [True, True]


def test_every_format_and_kind_is_documented() -> None:
    assert all(f"\n## {name}\n" in DOCUMENT for name in FORMATS)
    assert all(kind in DOCUMENT for kind in ROW_KINDS)
