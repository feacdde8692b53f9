"""The pacer and the feeder, with a clock that the test controls."""

import itertools
import threading
from collections.abc import Iterator

import pytest

from stream_app.tools.feeds.feeder import Feeder
from stream_app.tools.feeds.pacing import BURST_SECONDS, Pacer
from stream_app.tools.feeds.rows import EventRow, IgnoredRow, Row, UnreadableRow
from tests.support.in_memory_event_sender import InMemoryEventSender
from topics.events import CatalogItem, Click


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0
        self.oversleep = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self.oversleep


def send_times(
    rate: float, count: int, clock: FakeClock, stall_at: int = -1, stall: float = 0.0
) -> list[float]:
    pacer = Pacer(rate)
    times = []
    for number in range(count):
        if number == stall_at:
            clock.now += stall
        wait = pacer.wait(clock.now)
        if wait > 0:
            clock.sleep(wait)
        times.append(clock.now)
    return times


def row(number: int) -> EventRow:
    return EventRow(number, Click(event_id=f"e{number}", user_id=f"u{number % 3}", ts=0, item_id="i"))


def test_events_are_sent_evenly() -> None:
    times = send_times(200, 401, FakeClock())

    assert times[-1] - times[0] == pytest.approx(2.0)
    assert max(b - a for a, b in itertools.pairwise(times)) == pytest.approx(0.005)


def test_oversleeping_does_not_accumulate() -> None:
    clock = FakeClock()
    clock.oversleep = 0.0007
    times = send_times(500, 5_001, clock)

    assert times[-1] - times[0] == pytest.approx(10.0, abs=0.01)


def test_stall_is_caught_up_without_a_burst() -> None:
    times = send_times(1_000, 6_001, FakeClock(), stall_at=1_000, stall=0.5)

    assert times[-1] - times[0] == pytest.approx(6.0, abs=0.01), "the backlog is caught up"
    assert max_events_in_window(times, BURST_SECONDS) <= 13, "a bucket of 5 ms, and 5 ms at the catch-up rate"


def max_events_in_window(times: list[float], seconds: float) -> int:
    first = max_count = 0
    for last, at in enumerate(times):
        while times[first] < at - seconds:
            first += 1
        max_count = max(max_count, last - first + 1)
    return max_count


def test_rate_zero_never_waits() -> None:
    assert send_times(0, 1_000, FakeClock())[-1] == 100.0


@pytest.mark.parametrize("rate", [-1.0, float("inf"), float("nan")])
def test_invalid_rate_is_rejected(rate: float) -> None:
    with pytest.raises(ValueError, match="events per second"):
        Pacer(rate)


def test_every_row_is_counted_and_only_events_and_unreadable_rows_are_sent() -> None:
    sender = InMemoryEventSender()
    feeder = Feeder(sender)
    rows: list[Row] = [
        row(1),
        IgnoredRow(2, "filter selection", 0.0),
        UnreadableRow(3, b"??", "no JSON object"),
        EventRow(4, CatalogItem(item_id="i", ts=0)),
        row(5),
    ]
    feeder.feed(rows)

    stats = feeder.stats
    assert [record.key for record in sender.records] == [b"u1", None, b"i", b"u2"]
    assert (stats.rows, stats.sent, stats.total_ignored, stats.unreadable, stats.catalog) == (5, 4, 1, 1, 1)
    assert stats.users == {"u1", "u2"}
    assert stats.problems == [(3, "no JSON object")]


def test_the_feeder_keeps_the_rate() -> None:
    clock = FakeClock()
    Feeder(InMemoryEventSender(), rate=50, monotonic=clock, sleep=clock.sleep).feed(
        row(n) for n in range(101)
    )

    assert clock.now == pytest.approx(102.0)


def test_the_feeder_stops_between_two_rows() -> None:
    stop, sender = threading.Event(), InMemoryEventSender()

    def rows() -> Iterator[Row]:
        yield row(1)
        stop.set()
        yield row(2)
        raise AssertionError("no further row is requested")

    feeder = Feeder(sender, stop=stop)
    feeder.feed(rows())

    assert feeder.stats.sent == len(sender.records) == 1


def test_feeder_waits_for_capacity() -> None:
    sender, clock = InMemoryEventSender(), FakeClock()
    feeder = Feeder(
        sender,
        monotonic=clock,
        sleep=clock.sleep,
        has_capacity=lambda: len(sender.records) < 2 or clock.now >= 103,
    )
    feeder.feed(row(n) for n in range(3))

    assert len(sender.records) == 3
    assert clock.now >= 103


def test_oversized_event_is_sent_truncated_as_unreadable() -> None:
    sender = InMemoryEventSender()
    feeder = Feeder(sender)
    feeder.feed([EventRow(1, Click(event_id="e", user_id="u", ts=0, item_id="x" * 2_000_000))])

    assert feeder.stats.unreadable == 1
    assert len(sender.records[0].value) == 65_536


def test_unencodable_event_is_sent_as_unreadable() -> None:
    sender = InMemoryEventSender()
    feeder = Feeder(sender)
    feeder.feed([EventRow(1, Click(event_id="e", user_id="u\ud800", ts=0, item_id="x")), row(2)])

    assert (feeder.stats.sent, feeder.stats.unreadable) == (2, 1)
