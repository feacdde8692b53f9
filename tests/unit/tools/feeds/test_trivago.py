"""The format trivago, on generated rows and on the real log."""

from collections import Counter

import pytest

from stream_app.errors import UserError
from stream_app.settings import shared_data_dir
from stream_app.tools.feeds import trivago
from stream_app.tools.feeds.files import lines, open_log_file
from stream_app.tools.feeds.rows import EventRow, IgnoredRow, Row, UnreadableRow
from topics.catalog import topic_of
from topics.events import Action, Click, Purchase, Search

HEADER = (
    "user_id,session_id,timestamp,step,action_type,reference,platform,city,device,"
    "current_filters,impressions,prices"
)


def read(*rows: str | bytes) -> list[Row]:
    raw = [row if isinstance(row, bytes) else row.encode() for row in (HEADER, *rows)]
    return list(trivago.rows([row + b"\n" for row in raw], "events"))


def event(row: Row) -> object:
    assert isinstance(row, EventRow)
    return row.event


def test_item_interaction_is_a_click_with_a_millisecond_timestamp() -> None:
    [row] = read('U1,s1,1541600000,6,interaction item rating,42,FR,"Nice, France",tablet,,,')

    assert event(row) == Click(
        event_id="s1-6-1541600000",
        user_id="U1",
        ts=1541600000000,
        session_id="s1",
        channel="tablet",
        context={"country": "FR", "device": "tablet"},
        item_id="42",
        action=Action.DETAIL,
    )


def test_search_reference_becomes_the_query() -> None:
    [row] = read('U1,s1,1541600000,1,search for destination,"Nice, France",FR,"Nice, France",mobile,,,')

    parsed = event(row)
    assert isinstance(parsed, Search)
    assert parsed.query == "Nice, France"


def test_clickout_is_a_purchase_with_its_impressions_and_the_price_at_its_rank() -> None:
    [row] = read("U1,s1,1541600000,9,clickout item,7,FR,Nice,desktop,Free WiFi,5|7|9,50|70|90")

    parsed = event(row)
    assert isinstance(parsed, Purchase)
    assert [(line.item_id, line.price) for line in parsed.items] == [("7", 70.0)]
    assert (parsed.shown, parsed.shown_prices) == (["5", "7", "9"], [50.0, 70.0, 90.0])
    assert parsed.order_id == parsed.event_id


def test_clickout_of_an_unlisted_item_has_no_price() -> None:
    [row] = read("U1,s1,1541600000,9,clickout item,8,FR,Nice,desktop,,5|7,50|70")

    parsed = event(row)
    assert isinstance(parsed, Purchase)
    assert parsed.items[0].price == 0


def test_filters_and_sort_orders_are_ignored() -> None:
    rows = read(
        "U1,s1,1541600000,1,filter selection,Free WiFi,FR,Nice,desktop,,,",
        "U1,s1,1541600001,2,change of sort order,price only,FR,Nice,desktop,,,",
    )

    assert [row.kind for row in rows if isinstance(row, IgnoredRow)] == [
        "filter selection",
        "change of sort order",
    ]


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"U1,s1,yesterday,1,interaction item image,42,FR,Nice,desktop,,,", "invalid literal"),
        (b"U1,s1,1541600000,1,interaction item image,42", "6 columns where the header has 12"),
        (b"U1,s1,1541600000,1,teleport,42,FR,Nice,desktop,,,", "action_type 'teleport' is unknown"),
        (b"U1,s1,1541600000,1,clickout item,7,FR,Nice,desktop,,5|7,50", "2 impressions with 1 prices"),
        (b"U1,s1,1541600000,1,clickout item,7,FR,Nice,desktop,,5|7,50|much", "could not convert"),
        (b"U\xff,s1,1541600000,1,interaction item image,42,FR,Nice,desktop,,,", "not UTF-8"),
    ],
)
def test_unreadable_row_keeps_bytes_and_line_and_reading_continues(raw: bytes, problem: str) -> None:
    bad, good = read(raw, "U1,s1,1541600000,2,interaction item image,42,FR,Nice,desktop,,,")

    assert isinstance(bad, UnreadableRow)
    assert (bad.line, bad.raw) == (2, raw)
    assert problem in bad.problem
    assert isinstance(good, EventRow)
    assert good.line == 3


def test_unexpected_header_is_a_user_error() -> None:
    with pytest.raises(
        UserError, match=r"events has no column 'user_id'.*its header names 'SessionId', 'ItemId'"
    ):
        list(trivago.rows([b"SessionId,ItemId\n", b"1,2\n"], "events"))


def test_the_whole_log_is_readable() -> None:
    path = shared_data_dir() / "trivago" / "events.csv.gz"
    if not path.is_file():
        pytest.skip(f"no real log at {path}; set HEADRACE_DATA")
    kinds: Counter[str] = Counter()
    ids: set[tuple[str, str]] = set()
    priced = 0
    with open_log_file(path) as stream:
        for row in trivago.rows(lines(stream), path.name):
            kinds[type(row.event).__name__ if isinstance(row, EventRow) else type(row).__name__] += 1
            if isinstance(row, EventRow):
                assert topic_of(type(row.event)).key == "user_id"
                ids.add((row.event.user_id, row.event.event_id))  # type: ignore[union-attr]
                priced += isinstance(row.event, Purchase) and row.event.items[0].price > 0

    assert kinds == {"Click": 72_971, "Search": 5_184, "Purchase": 13_597, "IgnoredRow": 8_251}
    assert len(ids) == 72_971 + 5_184 + 13_597
    assert priced == 13_596
