"""The pacer and the feeder, against a clock that only the test moves."""

import itertools
import threading
from collections.abc import Iterator

import pytest

from stream_app.kafka.event_sender import MemoryOutbox
from stream_app.tools.feeds.feeder import Feeder
from stream_app.tools.feeds.pacing import BURST_SECONDS, Pacer
from stream_app.tools.feeds.rows import Ignored, Mapped, Row, Unreadable
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


def row(number: int) -> Mapped:
    return Mapped(number, Click(event_id=f"e{number}", user_id=f"u{number % 3}", ts=0, item_id="i"))


def test_events_leave_evenly() -> None:
    times = send_times(200, 401, FakeClock())

    assert times[-1] - times[0] == pytest.approx(2.0)
    assert max(b - a for a, b in itertools.pairwise(times)) == pytest.approx(0.005)


def test_sleeping_a_little_too_long_each_time_does_not_add_up() -> None:
    clock = FakeClock()
    clock.oversleep = 0.0007
    times = send_times(500, 5_001, clock)

    assert times[-1] - times[0] == pytest.approx(10.0, abs=0.01)


def test_a_stall_is_made_good_without_a_burst() -> None:
    times = send_times(1_000, 6_001, FakeClock(), stall_at=1_000, stall=0.5)

    assert times[-1] - times[0] == pytest.approx(6.0, abs=0.01), "what was missed is caught up"
    assert most_within(times, BURST_SECONDS) <= 13, "a bucket of 5 ms and what 5 ms more let through"


def most_within(times: list[float], seconds: float) -> int:
    first = most = 0
    for last, at in enumerate(times):
        while times[first] < at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_rate_zero_never_waits() -> None:
    assert send_times(0, 1_000, FakeClock())[-1] == 100.0


@pytest.mark.parametrize("rate", [-1.0, float("inf"), float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="events a second"):
        Pacer(rate)


def test_every_row_is_counted_and_only_events_and_unreadable_rows_are_sent() -> None:
    outbox = MemoryOutbox()
    feeder = Feeder(outbox)
    rows: list[Row] = [
        row(1),
        Ignored(2, "filter selection", 0.0),
        Unreadable(3, b"??", "no JSON object"),
        Mapped(4, CatalogItem(item_id="i", ts=0)),
        row(5),
    ]
    feeder.feed(rows)

    tally = feeder.tally
    assert [record.key for record in outbox.records] == [b"u1", None, b"i", b"u2"]
    assert (tally.rows, tally.sent, tally.total_ignored, tally.unreadable, tally.catalog) == (5, 4, 1, 1, 1)
    assert tally.users == {"u1", "u2"}
    assert tally.problems == [(3, "no JSON object")]


def test_the_feeder_keeps_the_rate() -> None:
    clock = FakeClock()
    Feeder(MemoryOutbox(), rate=50, monotonic=clock, sleep=clock.sleep).feed(row(n) for n in range(101))

    assert clock.now == pytest.approx(102.0)


def test_the_feeder_stops_between_two_rows() -> None:
    stop, outbox = threading.Event(), MemoryOutbox()

    def rows() -> Iterator[Row]:
        yield row(1)
        stop.set()
        yield row(2)
        raise AssertionError("no further row is asked for")

    feeder = Feeder(outbox, stop=stop)
    feeder.feed(rows())

    assert feeder.tally.sent == len(outbox.records) == 1


def test_the_feeder_waits_while_there_is_no_room() -> None:
    outbox, clock = MemoryOutbox(), FakeClock()
    feeder = Feeder(
        outbox,
        monotonic=clock,
        sleep=clock.sleep,
        has_room=lambda: len(outbox.records) < 2 or clock.now >= 103,
    )
    feeder.feed(row(n) for n in range(3))

    assert len(outbox.records) == 3
    assert clock.now >= 103


def test_an_event_too_long_for_kafka_ends_as_unreadable_and_cut() -> None:
    outbox = MemoryOutbox()
    feeder = Feeder(outbox)
    feeder.feed([Mapped(1, Click(event_id="e", user_id="u", ts=0, item_id="x" * 2_000_000))])

    assert feeder.tally.unreadable == 1
    assert len(outbox.records[0].value) == 65_536


def test_an_event_that_json_cannot_hold_ends_as_unreadable() -> None:
    outbox = MemoryOutbox()
    feeder = Feeder(outbox)
    feeder.feed([Mapped(1, Click(event_id="e", user_id="u\ud800", ts=0, item_id="x")), row(2)])

    assert (feeder.tally.sent, feeder.tally.unreadable) == (2, 1)
