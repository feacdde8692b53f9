"""Delimited files read with a column mapping."""

from pathlib import Path

import pytest

from stream_app.errors import UserError
from stream_app.settings import shared_data_dir
from stream_app.tools.feeds.column_mapping import ColumnMapping, parse_mapping
from stream_app.tools.feeds.formats import reader
from stream_app.tools.feeds.mapped_csv import rows
from stream_app.tools.feeds.rows import EventRow, IgnoredRow, Row, UnreadableRow
from topics.events import Action, Click, Feedback, FeedbackKind, Purchase, Search

SHOP = """
delimiter = ";"
time_format = "rfc3339"

[columns]
user_id = "customer"
ts = "at"
item_id = "sku"
kind = "event"
price = "price"
quantity = "n"
query = "words"
session_id = "visit"
order_id = "order"

[kinds]
view = "click"
basket = "click:cart"
buy = "purchase"
search = "search"
love = "feedback:like"
"*" = "ignore"

[constants]
channel = "web"
currency = "EUR"

[context]
country = "land"
"""

YOOCHOOSE = """
delimiter = "\\t"
time_format = "s"
constants.kind = "click"

[columns]
user_id = "SessionId"
session_id = "SessionId"
item_id = "ItemId"
ts = "Time"
"""

HEADER = b"customer;at;sku;event;price;n;words;visit;order;land\n"
AT = b"2026-05-04T12:00:00.250+02:00"


def read(*body: bytes, mapping: str = SHOP) -> list[Row]:
    return list(rows([HEADER, *body], "shop", parse_mapping(mapping, "shop.toml")))


def event(row: Row) -> object:
    assert isinstance(row, EventRow)
    return row.event


def test_columns_constants_and_context_make_a_click_with_an_id_from_file_and_line() -> None:
    [row] = read(b"v1;" + AT + b";s1;view;;;;visit-1;;FR\n")

    assert event(row) == Click(
        event_id="shop-2",
        user_id="v1",
        ts=1777888800250,
        session_id="visit-1",
        channel="web",
        context={"country": "FR"},
        item_id="s1",
    )


def test_kind_column_values_select_the_event_type() -> None:
    cart, buy, search, like = (
        event(row)
        for row in read(
            b"v1;" + AT + b";s1;basket;;;;;;\n",
            b"v1;" + AT + b";s1;buy;9.5;3;;;o1;\n",
            b"v1;" + AT + b";;search;;;red tent;;;\n",
            b"v1;" + AT + b";s1;love;;;;;;\n",
        )
    )

    assert isinstance(cart, Click)
    assert cart.action is Action.CART
    assert isinstance(buy, Purchase)
    assert (buy.order_id, buy.items[0].price, buy.items[0].quantity, buy.currency) == ("o1", 9.5, 3.0, "EUR")
    assert isinstance(search, Search)
    assert search.query == "red tent"
    assert isinstance(like, Feedback)
    assert like.kind is FeedbackKind.LIKE


def test_wildcard_matches_every_other_value() -> None:
    [row] = read(b"v1;" + AT + b";s1;scroll;;;;;;\n")

    assert isinstance(row, IgnoredRow)


def test_unmapped_value_without_wildcard_is_unreadable() -> None:
    [row] = read(b"v1;" + AT + b";s1;scroll;;;;;;\n", mapping=SHOP.replace('"*" = "ignore"', ""))

    assert isinstance(row, UnreadableRow)
    assert row.problem == "the mapping's [kinds] does not contain 'scroll'"


@pytest.mark.parametrize(
    "body",
    [
        b"v1;yesterday;s1;view;;;;;;\n",
        b"v1;2026-05-04T12:00:00;s1;view;;;;;;\n",
        b"v1;" + AT + b";s1;buy;cheap;1;;;;\n",
        b"v1;" + AT + b";s1;buy;nan;1;;;;\n",
        b"v1;" + AT + b"\n",
        b'v1;"' + b"x" * 200_000 + b'";s1;view;;;;;;\n',
    ],
)
def test_unreadable_row_is_reported_and_reading_continues(body: bytes) -> None:
    bad, good = read(body, b"v1;" + AT + b";s1;view;;;;;;\n")

    assert isinstance(bad, UnreadableRow)
    assert bad.line == 2
    assert isinstance(good, EventRow)


def test_quoted_line_breaks_stay_in_their_row() -> None:
    [first, second] = read(
        b"v1;" + AT + b';;search;;;"two\n', b'words";;;\n', b"v1;" + AT + b";s1;view;;;;;;\n"
    )

    parsed = event(first)
    assert isinstance(parsed, Search)
    assert parsed.query == "two\nwords"
    assert (first.line, second.line) == (3, 4)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("columns = 3", "shop.toml is not a column mapping"),
        ("[columns", "shop.toml is not a column mapping"),
        ('[columns]\nuser_id="u"\nts="t"\nitem_id="i"', "does not determine the kind of a row"),
        ('constants.kind="click"\n[columns]\nuser_id="u"\nts="t"', "a click needs an item"),
        ('constants.kind="search"\n[columns]\nuser_id="u"\nts="t"', "a search needs a query"),
        (
            'constants.kind="clik"\n[columns]\nuser_id="u"\nts="t"',
            "'clik' is not a kind; kinds are click, click:view",
        ),
        ('[columns]\nuser_id="u"\nts="t"\nitem_id="i"\nkind="k"', r"no \[kinds\]"),
        ('constants.kind="click"\n[columns]\nuser="u"', "shop.toml is not a column mapping"),
    ],
)
def test_invalid_mapping_is_rejected_with_the_reason(mapping: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_mapping(mapping, "shop.toml")


def test_the_header_must_have_the_mapped_columns() -> None:
    mapping: ColumnMapping = parse_mapping(YOOCHOOSE, "y.toml")
    with pytest.raises(UserError, match="no column 'SessionId'"):
        list(rows([b"a\tb\n"], "log", mapping))


def test_only_the_csv_format_takes_a_mapping(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs a --mapping"):
        reader("csv")
    with pytest.raises(UserError, match="Only the format csv"):
        reader("trivago", tmp_path / "m.toml")
    with pytest.raises(UserError, match="There is no mapping file"):
        reader("csv", tmp_path / "m.toml")
    with pytest.raises(UserError, match="no log format 'xml'; there are jsonl, csv, trivago"):
        reader("xml")


def test_the_whole_yoochoose_log_is_readable(tmp_path: Path) -> None:
    from stream_app.tools.feeds.event_log import LogRequest, open_log

    path = shared_data_dir() / "yoochoose" / "train.tsv.gz"
    if not path.is_file():
        pytest.skip(f"no real log at {path}; set HEADRACE_DATA")
    mapping = tmp_path / "yoochoose.toml"
    mapping.write_text(YOOCHOOSE)
    log = open_log(
        LogRequest(path=path, read=reader("csv", mapping), limit=20_000),
        now=1_800_000_000,
        max_age=30 * 86_400,
    )
    rows = list(log)

    assert len(rows) == 20_000
    assert all(isinstance(row, EventRow) and isinstance(row.event, Click) for row in rows)
    times = [row.time for row in rows if row.time is not None]
    assert times == sorted(times)
    assert max(times) == pytest.approx(1_800_000_000, abs=0.002)
