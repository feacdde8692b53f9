"""A search that waits for its list: which list is used, and when, by a clock that the test sets."""

import inspect
import re
from types import SimpleNamespace

import pytest

from stream_app.client import AsyncClient, Client, search_order
from stream_app.client.redis_contract import SearchList, encode_list, search_key
from stream_app.client.search_order import DEFAULT_SEARCH_TIMEOUT, STALE_SEARCH_TOLERANCE, PendingSearch
from tests.support import ROOT
from topics.events import rfc3339
from topics.records import ListedItem, Reason

SEARCHED_AT = 1_700_000_000.0
RESULTS = ("a", "b")


class Clock:
    """Replaces the module `time`: both clocks show what the test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return 50.0 + self.seconds

    def time(self) -> float:
        return SEARCHED_AT + self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(search_order, "time", SimpleNamespace(monotonic=clock.monotonic, time=clock.time))
    return clock


def search_list(generated_at: float | str, query: str = "tents", *items: str) -> bytes:
    listed = tuple(ListedItem(item, 0.5, 1.0, Reason("matches_search")) for item in items or ("b", "a"))
    return encode_list(
        SearchList(
            list_id="l",
            key=search_key("ann"),
            generated_at=generated_at if isinstance(generated_at, str) else rfc3339(generated_at),
            policy="p",
            model_version=1,
            items=listed,
            query=query,
        )
    )


@pytest.mark.usefixtures("clock")
def test_the_list_of_this_search_is_used_at_once() -> None:
    pending = PendingSearch(" TENTS ", RESULTS, SEARCHED_AT, 0.1)
    found = pending.match(search_list(SEARCHED_AT))
    assert found is not None
    assert (found.items, found.personal) == (("b", "a"), True)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("age", "is_current"), [(STALE_SEARCH_TOLERANCE, True), (STALE_SEARCH_TOLERANCE + 0.001, False)]
)
def test_a_list_may_be_older_than_the_search_by_the_tolerance(age: float, is_current: bool) -> None:
    for searched_at in (SEARCHED_AT, None):
        pending = PendingSearch("tents", RESULTS, searched_at, 0.1)
        assert (pending.match(search_list(SEARCHED_AT - age)) is not None) == is_current


def test_the_tolerance_is_one_second_and_a_search_waits_a_tenth_of_one() -> None:
    page = (ROOT / "docs" / "redis.md").read_text()
    assert STALE_SEARCH_TOLERANCE == 1.0
    found = re.search(r"client\.search\(.*timeout=([\d.]+)\)", page)
    assert found is not None
    assert float(found.group(1)) == DEFAULT_SEARCH_TIMEOUT


def test_a_stale_list_is_used_when_the_time_is_over_and_not_before(clock: Clock) -> None:
    pending = PendingSearch("tents", RESULTS, SEARCHED_AT, 0.1)
    stale = search_list(SEARCHED_AT - 60.0)
    assert pending.match(stale) is None
    clock.seconds = 0.099
    assert pending.match(stale) is None
    clock.seconds = 0.1
    found = pending.match(None)
    assert found is not None
    assert (found.items, found.personal) == (("b", "a"), True)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("generated_at", ["yesterday", "", "9999-12-31T23:59:59+00:00x"])
def test_a_list_without_a_readable_time_is_stale(generated_at: str) -> None:
    pending = PendingSearch("tents", RESULTS, 0.0, 0.1)
    assert pending.match(search_list(generated_at)) is None
    assert pending.fallback_order().items == ("b", "a")


@pytest.mark.parametrize("value", [None, b"", b"{", b"\xff", b"[" * 100_000, b'{"query":"tents"}'])
def test_a_value_that_is_no_search_list_is_waited_out(clock: Clock, value: bytes | None) -> None:
    pending = PendingSearch("tents", ("a", "b", "a"), SEARCHED_AT, 0.1)
    assert pending.match(value) is None
    clock.seconds = 0.2
    assert pending.match(value) == (("a", "b"), False, None)


def test_a_list_of_another_query_is_not_used_even_after_the_time(clock: Clock) -> None:
    pending = PendingSearch("tents", RESULTS, SEARCHED_AT, 0.1)
    other = search_list(SEARCHED_AT, "boots")
    assert pending.match(other) is None
    clock.seconds = 1.0
    assert pending.match(other) == (RESULTS, False, None)


@pytest.mark.usefixtures("clock")
def test_without_a_timeout_a_search_reads_once_for_as_long_as_one_read_may_take() -> None:
    pending = PendingSearch("tents", RESULTS, SEARCHED_AT, 0.0)
    assert pending.match(None) == (RESULTS, False, None)
    assert pending.timeout == 0.005
    assert PendingSearch("tents", RESULTS, SEARCHED_AT, 0.1).timeout == 0.1


def test_a_search_polls_every_five_milliseconds_and_not_beyond_its_time(clock: Clock) -> None:
    pending = PendingSearch("tents", RESULTS, SEARCHED_AT, 0.1)
    assert pending.poll_delay() == 0.005
    clock.seconds = 0.098
    assert pending.poll_delay() == pytest.approx(0.002)
    clock.seconds = 5.0
    assert pending.poll_delay() == 0.0


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a_page_waits_a_quarter_of_a_second_for_a_read_and_a_tenth_for_a_search(
    client: type[Client | AsyncClient],
) -> None:
    page = (ROOT / "docs" / "redis.md").read_text()
    [seconds] = re.findall(r"give up after ([\d.]+) s", page)
    assert inspect.signature(client).parameters["timeout"].default == float(seconds) == 0.25
    assert inspect.signature(client.search).parameters["timeout"].default == 0.1
