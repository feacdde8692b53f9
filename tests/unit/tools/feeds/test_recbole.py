"""The format recbole, on small files and on the real data set."""

import gzip
from collections import Counter
from pathlib import Path

import pytest

from stream_app.errors import UserError
from stream_app.settings import shared_data_dir
from stream_app.tools.feeds.event_log import LogRequest, open_log
from stream_app.tools.feeds.formats import reader
from stream_app.tools.feeds.rows import EventRow, Row, UnreadableRow
from topics.events import CatalogItem, Click

INTERACTIONS = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"


def read(path: Path) -> list[Row]:
    return list(
        open_log(LogRequest(path=path, read=reader("recbole", None, path), keep_time=True), now=0, max_age=0)
    )


def events(rows: list[Row]) -> list[object]:
    return [row.event for row in rows if isinstance(row, EventRow)]


def test_rows_become_clicks_in_the_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "ml.inter"
    path.write_text(INTERACTIONS + "ann\ttoy\t3\t20\nbob\theat\t5\t10\n")

    clicks = events(read(path))

    assert [(each.user_id, each.item_id, each.ts) for each in clicks if isinstance(each, Click)] == [
        ("bob", "heat", 10_000),
        ("ann", "toy", 20_000),
    ]


def test_files_of_items_and_users_beside_the_log_are_read(tmp_path: Path) -> None:
    path = tmp_path / "ml.inter"
    path.write_text(INTERACTIONS + "ann\ttoy\t3\t20\nann\theat\t3\t10\n")
    (tmp_path / "ml.item.gz").write_bytes(
        gzip.compress(
            b"item_id:token\tmovie_title:token_seq\tclass:token_seq\tprice:float\tyear:token\n"
            b"toy\tToy Story\tAnimation Comedy\t9.5\t1995\n"
        )
    )
    (tmp_path / "ml.user").write_text("user_id:token\tage:token\nann\t24\n")

    entry, first, _ = events(read(path))

    assert entry == CatalogItem(
        item_id="toy",
        ts=10_000,
        title="Toy Story",
        categories=["Animation", "Comedy"],
        price=9.5,
        tags=["1995"],
    )
    assert isinstance(first, Click)
    assert first.context == {"age": "24"}


def test_an_unreadable_row_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "ml.inter"
    path.write_text(INTERACTIONS + "ann\ttoy\t3\tsoon\nann\ttoy\n")

    rows = read(path)

    assert [row.line for row in rows if isinstance(row, UnreadableRow)] == [2, 3]


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ml.inter"
    path.write_text("user,item\n")

    with pytest.raises(UserError, match="user_id:token"):
        read(path)
    with pytest.raises(UserError, match="mapping"):
        reader("recbole", tmp_path / "m.toml", path)


def test_movielens_is_read_whole() -> None:
    path = shared_data_dir() / "ml-100k" / "ml-100k.inter.gz"
    if not path.is_file():
        pytest.skip(f"there is no {path}")

    counts = Counter(type(event) for event in events(read(path)))

    assert counts == {Click: 100_000, CatalogItem: 1_682}
