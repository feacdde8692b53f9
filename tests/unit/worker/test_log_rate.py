"""The log of a worker is bounded, and tells how many lines it lacks."""

import logging
from collections.abc import Iterator
from itertools import islice, product
from string import ascii_lowercase

import pytest

from stream_app.worker.log_rate import LogRateLimit


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limit(clock: Clock) -> Iterator[LogRateLimit]:
    limit = LogRateLimit(clock)
    yield limit
    if limit._timer is not None:
        limit._timer.cancel()


def line(
    text: str, *values: object, name: str = "aiokafka", level: int = logging.ERROR, traceback: bool = False
) -> logging.LogRecord:
    error = OSError(text)
    exc_info = (OSError, error, None) if traceback else None
    return logging.LogRecord(name, level, "", 0, text, values, exc_info)


def suppressed(caplog: pytest.LogCaptureFixture) -> list[tuple[object, ...]]:
    return [each.args[0:1] for each in caplog.records if isinstance(each.args, tuple)]


def test_lines_of_one_kind_are_limited_and_counted(
    limit: LogRateLimit, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    passed = [limit.filter(line("no node %s at port 1234", n)) for n in range(10)]
    assert passed == [True] * 3 + [False] * 7
    assert limit.filter(line("no topic %s", 1)), "another kind has a limit of its own"
    assert limit.filter(line("no node %s at port 1234", 1, level=logging.WARNING))
    clock.now += 60.0
    assert limit.filter(line("no node %s at port 99", 1)), "a number in the text is a value, too"
    assert [record.getMessage() for record in caplog.records] == [
        "suppressed 7 lines like this one within 60 s: ERROR aiokafka: no node 9 at port 1234"
    ]


def test_the_count_is_reported_without_a_further_line(
    limit: LogRateLimit, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(5):
        limit.filter(line("no node %s", n))
    assert limit._timer is not None
    limit.report()
    assert not caplog.records, "the period has not ended"
    clock.now += 60.0
    limit.report()
    limit.report()
    assert suppressed(caplog) == [(2,)]


def test_the_count_is_reported_at_the_exit(limit: LogRateLimit, caplog: pytest.LogCaptureFixture) -> None:
    for n in range(5):
        limit.filter(line("no node %s", n))
    limit.report(at_exit=True)
    assert suppressed(caplog) == [(2,)]


def test_headrace_may_log_more_lines_than_a_library(limit: LogRateLimit) -> None:
    own = [limit.filter(line("row of %s", n, name="stream_app.worker.app")) for n in range(30)]
    assert sum(own) == 20
    assert sum(limit.filter(line("row of %s", n, name="state.row")) for n in range(30)) == 20


def test_tracebacks_count_as_several_lines(limit: LogRateLimit) -> None:
    assert [limit.filter(line("failed", traceback=True)) for _ in range(3)] == [True, False, False]
    own = [limit.filter(line("failed", name="stream_app.worker", traceback=True)) for _ in range(9)]
    assert sum(own) == 3


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_lines_below_warnings_pass(limit: LogRateLimit, level: int) -> None:
    assert all(limit.filter(line("sent %s", n, level=level)) for n in range(100))


def test_the_kinds_in_memory_are_bounded(limit: LogRateLimit, caplog: pytest.LogCaptureFixture) -> None:
    for letters in islice(product(ascii_lowercase, repeat=3), 2_000):
        for _ in range(4):
            limit.filter(line(f"no {''.join(letters)}"))
    assert len(limit._periods) == 1_000
    assert suppressed(caplog) == [(1,)] * 1_000, "a forgotten kind is reported"
